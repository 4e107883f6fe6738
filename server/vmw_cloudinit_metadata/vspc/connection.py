"""One connection of an ESXi host on behalf of a VM's serial port: bytes in, events and bytes out.

Composes telnet, option 232, the table of vMotions and the packet codec; no socket, no await, no clock of
its own. It never raises to the shell: what a peer does wrong becomes ``ProtocolViolated``.
"""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from vmw_cloudinit_metadata.errors import ProtocolError
from vmw_cloudinit_metadata.vspc import service_uri
from vmw_cloudinit_metadata.vspc import vmware_ext as ext
from vmw_cloudinit_metadata.vspc.events import (
    Event,
    Limits,
    PacketReceived,
    ProtocolViolated,
    ProxyRefused,
    TokenRefused,
    VMIdentified,
    VMLeft,
    VMotionAborted,
    VMotionBegan,
    VMotionCompleted,
)
from vmw_cloudinit_metadata.vspc.handshake import (
    ENCODED_OPENING,
    KNOWN_SUBOPTIONS,
    OPENED,
    OPENING,
    QUESTIONS,
    SUPPORTED,
    WILL_PROXY,
    WONT_PROXY,
    Fixed,
    fixed,
)
from vmw_cloudinit_metadata.vspc.port import Port, VMIdentity
from vmw_cloudinit_metadata.vspc.telnet import (
    Decoder,
    Negotiation,
    Option,
    Suboption,
    escape,
    escape_nvt,
)
from vmw_cloudinit_metadata.vspc.vmotion import VMotion, VMotionTable
from vmw_cloudinit_wire import PacketError, decode

# What a VM may say before it is known: a guest that boots faster than ESXi identifies it sends a few requests
# and the tail of its boot messages.
MAX_EARLY_DATA = 16 * 1024

# Commands can ask for five times as much in answers, and one read is a few KiB; a peer that asks for more
# than this and reads none of it means harm.
MAX_UNSENT_CONTROL = 512 * 1024

# A UUID that is not answered by then counts as absent.
UUID_SECONDS = 2.0

_NOTHING: frozenset[int] = frozenset()


class VSPCConnection:
    """The proxy's half of one connection (EN-001415).

    Feed it with ``receive_data`` and ``receive_eof``, take ``events_received`` and send ``data_to_send``
    after each call, and call ``check_deadline`` when ``deadline`` has come.
    """

    __slots__ = (
        *("_accept_token", "_accepted", "_agreed", "_arriving", "_asked", "_claims", "_clock", "_closed"),
        *("_control", "_control_size", "_decoder", "_early_data", "_events", "_logger", "_peer"),
        *("_unanswered", "_uri", "_verbose", "_vmotions", "deadline", "port"),
    )

    def __init__(
        self,
        uri: str,
        vmotions: VMotionTable,
        clock: Callable[[], float],
        limits: Limits,
        logger: "logging.Logger | logging.LoggerAdapter[Any]",
        peer: str = "",
        accept_token: Callable[[str], bool] = lambda token: True,
    ) -> None:
        self.port = Port(limits.max_line)
        self.port.carrier = self
        self.deadline: float | None = None
        self._uri = uri
        self._vmotions = vmotions
        self._clock = clock
        self._logger = logger
        self._peer = peer
        self._accept_token = accept_token
        self._decoder = Decoder(limits.max_suboption)
        self._agreed = OPENED
        self._events: list[Event] = []
        self._control: list[bytes] = []  # telnet's answers, which go out before serial data
        self._control_size = 0
        self._early_data: bytearray | None = None  # serial data from before the VM is known
        self._accepted = False  # WILL-PROXY is sent
        self._claims: dict[str, Any] = {}  # what the VM says of itself, by VMIdentity's fields
        self._asked = False
        self._unanswered = _NOTHING  # the commands of the UUIDs asked for
        self._arriving: VMotion | None = None  # we are the destination of this vMotion
        self._closed = False  # nothing more is taken from the peer
        self._verbose = logger.isEnabledFor(logging.DEBUG)
        if self._verbose:
            for negotiation in OPENING:
                logger.debug("> %s", negotiation)
        self._send_control(ENCODED_OPENING)

    # The verbs

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer, of any number."""
        self._verbose = self._logger.isEnabledFor(logging.DEBUG)  # asked once a read: the level may change
        for token in self._decoder.feed(data):
            if self._closed:
                continue
            if isinstance(token, bytes):
                self._receive_serial(token)
            elif isinstance(token, Suboption):
                self._receive_suboption(token)
            elif isinstance(token, Negotiation):
                self._receive_negotiation(token)
            else:
                self._violation(token.reason)

    def receive_eof(self) -> None:
        """Take note that the peer's stream has ended."""
        self._close()
        if self._arriving is not None:
            if not self._vmotions.lose_destination(self._arriving):
                self._events.append(VMLeft(self._arriving.port))
            self._arriving = None
        if self.port.carrier is not self:
            return
        self.port.carrier = None
        # The source's FIN may come before COMPLETE: then the port waits for its destination.
        vmotion = self._vmotions.under_way(self.port)
        waits = vmotion is not None and self._vmotions.lose_source(vmotion)
        if self.port.identity is not None and not waits:
            self._events.append(VMLeft(self.port))

    def _close(self) -> None:
        self._closed = True
        self.deadline = None

    def events_received(self) -> list[Event]:
        """Return the events since the last call, oldest first."""
        events, self._events = self._events, []
        return events

    def send_serial(self, data: bytes) -> None:
        """Send data to the VM, wherever it lives by the time it can go out."""
        self.port.send(data)

    def data_to_send(self, most: int = 64 * 1024) -> bytes:
        """Take what is to be sent now: telnet's own bytes, then up to ``most`` bytes of serial data.

        Both are escaped for telnet, serial data after ``most`` is counted.
        """
        control = b""
        if self._control:
            control = b"".join(self._control)
            self._control.clear()
            self._control_size = 0
        port = self.port
        if not port.unsent or port.held or port.carrier is not self:
            return control
        data = port.take(most)
        if self._agreed.performs(Option.BINARY):
            return control + escape(data)
        if data.endswith(b"\r"):
            data += port.take(1)  # CR and what follows it go together, or it would look bare
        return control + escape_nvt(data)

    def check_deadline(self) -> None:
        """Go on without the UUIDs that were not answered in time."""
        if self.deadline is not None and self._clock() >= self.deadline:
            self.deadline = None
            self._unanswered = _NOTHING
            self._identify()

    @property
    def awaits_vmotion(self) -> bool:
        """Tell whether this is the destination of a vMotion that is not complete yet."""
        return self._arriving is not None and not self._arriving.ended

    # Telnet

    def _receive_negotiation(self, negotiation: Negotiation) -> None:
        if self._verbose:
            self._logger.debug("< %s", negotiation)
        agreed, answer = self._agreed.receive(negotiation)
        if agreed is not self._agreed:
            self._agreed = agreed
            self._decoder.binary = agreed.peer_performs(Option.BINARY)
        if answer is not None:
            if self._verbose:
                self._logger.debug("> %s", answer)
            self._send_control(bytes(answer))

    def _send(self, told: Fixed) -> None:
        if self._verbose:
            self._logger.debug("> %s", told.message)
        self._send_control(told.data)

    def _send_control(self, data: bytes) -> None:
        self._control.append(data)
        self._control_size += len(data)
        if self._control_size > MAX_UNSENT_CONTROL and not self._closed:
            self._close()
            self._violation(
                f"does not read the answers to {MAX_UNSENT_CONTROL} bytes of telnet commands", fatal=True
            )

    def _violation(self, reason: str, fatal: bool = False) -> None:
        self._events.append(ProtocolViolated(reason, fatal))

    # Serial data

    def _receive_serial(self, data: bytes) -> None:
        if self.port.carrier is not self:
            return  # moved away; a source has nothing more to say
        if self.port.identity is None:
            early = self._early_data = self._early_data or bytearray()
            room = MAX_EARLY_DATA - len(early)
            early += data[:room]
            if self._verbose and len(data) > room:
                self._logger.debug("< %d bytes dropped, the VM is not known yet", len(data) - room)
            return
        lines = self.port.lines
        dropped = lines.dropped
        for line in lines.feed(data):
            try:
                packet = decode(line)
            except PacketError as error:
                if self._verbose:
                    self._logger.debug("< %d bytes of noise: %s", len(line), error)
                continue
            if self._verbose:
                self._logger.debug("< %r", packet)
            self._events.append(PacketReceived(self.port, packet))
        if lines.dropped > dropped:
            self._violation(f"sent a line of more than {lines.limit} bytes, which was dropped")

    def _receive_early_data(self) -> None:
        if self._early_data is not None:
            data, self._early_data = bytes(self._early_data), None
            self._receive_serial(data)

    # Option 232

    def _receive_suboption(self, suboption: Suboption) -> None:
        if suboption.option != Option.VMWARE_EXT:
            self._violation(f"sent a suboption of telnet option {suboption.option}, which was not agreed")
            return
        try:
            message = ext.decode(suboption.content)
        except ProtocolError as error:
            self._violation(str(error))
            return
        if self._verbose:
            self._logger.debug("< %s", message)
        if handler := self._HANDLERS.get(type(message)):
            handler(self, message)
        elif suboption.content:
            # "must be sent for every command not supported": a proxy's own commands are none the VM may send.
            self._send(fixed(ext.UnknownSuboptionRcvd2(suboption.content[0])))

    def _known_suboptions(self, message: ext.KnownSuboptions1) -> None:
        self._send(KNOWN_SUBOPTIONS)
        self._ask(message.codes)

    def _unknown_suboption(self, message: ext.UnknownSuboptionRcvd1) -> None:
        self._answered(message.code - 1)

    def _ask(self, known: frozenset[int]) -> None:
        """Ask who the VM is, once. A UUID it does not know of is not asked for, nor waited for."""
        if self._asked:
            return
        self._asked = True
        self.deadline = self._clock() + UUID_SECONDS
        for question in QUESTIONS:
            command = question.message.command
            answer = command - 1
            if answer == ext.Command.VM_NAME:
                self._send(question)  # whatever the VM knows: without a name it is not served
            elif command in known or answer in known:
                self._send(question)
                self._unanswered |= {answer}

    def _vc_uuid(self, message: ext.VMVCUUID) -> None:
        self._claims["vc_uuid"] = message.uuid
        self._answered(ext.Command.VM_VC_UUID)

    def _bios_uuid(self, message: ext.VMBiosUUID) -> None:
        self._claims["bios_uuid"] = message.uuid
        self._answered(ext.Command.VM_BIOS_UUID)

    def _location_uuid(self, message: ext.VMLocationUUID) -> None:
        self._claims["location_uuid"] = message.uuid

    def _vm_name(self, message: ext.VMName) -> None:
        self._claims["name"] = message.name
        self._identify()

    def _answered(self, command: int) -> None:
        self._unanswered -= {command}
        self._identify()

    def _do_proxy(self, message: ext.DoProxy) -> None:
        if self.awaits_vmotion:
            self._violation("asked for a service in the middle of its vMotion")
            return
        parameters = service_uri.parameters(message.uri, self._uri)
        if parameters is None:
            self._refuse(ProxyRefused(service_uri.loggable(message.uri)))
            return
        token = parameters.get("token", "")
        if not self._accept_token(token):
            self._refuse(TokenRefused())
            return
        self._ask(SUPPORTED)
        self._send(WILL_PROXY)
        self._accepted = True
        self._claims |= {"port": parameters.get("port", ""), "token": token}
        self._identify()

    def _refuse(self, event: ProxyRefused | TokenRefused) -> None:
        self._send(WONT_PROXY)
        self._close()
        self._events.append(event)

    def _identify(self) -> None:
        """Serve the VM once it has a name, was accepted, and has said all it has to say."""
        if self._unanswered or not self._accepted or not self._claims.get("name") or self.port.identity:
            return
        self.deadline = None
        self._unanswered = _NOTHING
        self.port.identity = VMIdentity(**self._claims)
        self._claims.clear()
        self._events.append(VMIdentified(self.port))
        self._receive_early_data()

    # vMotion: the source asks to leave, the destination shows the token, the port moves.

    def _vmotion_begin(self, message: ext.VMotionBegin) -> None:
        served = self.port.carrier is self and self.port.identity is not None
        vmotion = self._vmotions.begin(self.port, self._peer, message.sequence) if served else None
        if vmotion is None:
            self._send(fixed(ext.VMotionNotNow(message.sequence)))
            return
        self._send(fixed(ext.VMotionGoAhead(vmotion.token)))
        self._events.append(VMotionBegan(self.port))

    def _vmotion_peer(self, message: ext.VMotionPeer) -> None:
        # A connection that a port lives on already is no destination: its VM would be lost.
        taken = self._accepted or self.port.identity is not None or self.awaits_vmotion
        vmotion = None if taken else self._vmotions.peer(message.token)
        if vmotion is None:
            # There is no negative answer.
            self._violation("is no destination of a vMotion known here, or of one that has its destination")
            return
        self._arriving = vmotion
        self.deadline = None
        self._send(fixed(ext.VMotionPeerOk(vmotion.sequence)))

    def _vmotion_complete(self, message: ext.VMotionComplete) -> None:
        vmotion = self._arriving
        if vmotion is None or vmotion.ended or vmotion.sequence != message.sequence:
            self._violation("completed a vMotion that is not under way here")
            return
        self._vmotions.end(vmotion)
        self._claims.clear()  # the port keeps its identity
        self.port = vmotion.port
        self.port.carrier = self
        self._events.append(VMotionCompleted(self.port))
        self._receive_early_data()

    def _vmotion_abort(self, message: ext.VMotionAbort) -> None:
        vmotion = self._vmotions.under_way(self.port)
        if vmotion is None or self.port.carrier is not self:
            self._violation("aborted a vMotion that is not under way here")
            return
        self._vmotions.end(vmotion)
        self._events.append(VMotionAborted(self.port))

    _HANDLERS: ClassVar[dict[type, Callable[["VSPCConnection", Any], None]]] = {
        ext.KnownSuboptions1: _known_suboptions,
        ext.UnknownSuboptionRcvd1: _unknown_suboption,
        ext.VMotionBegin: _vmotion_begin,
        ext.VMotionPeer: _vmotion_peer,
        ext.VMotionComplete: _vmotion_complete,
        ext.VMotionAbort: _vmotion_abort,
        ext.DoProxy: _do_proxy,
        ext.VMVCUUID: _vc_uuid,
        ext.VMName: _vm_name,
        ext.VMBiosUUID: _bios_uuid,
        ext.VMLocationUUID: _location_uuid,
    }
