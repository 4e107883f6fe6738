"""One connection of an ESXi host on behalf of a VM's serial port: bytes in, events and bytes out.

Composes telnet, option 232, the table of vMotions and the packet codec; no socket, no await, no clock of
its own. It never raises to the shell: what a peer does wrong becomes ``ProtocolViolated``.
"""

import dataclasses
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
from vmw_cloudinit_metadata.vspc.port import Port, VMIdentity
from vmw_cloudinit_metadata.vspc.telnet import (
    Decoder,
    Malformed,
    Negotiation,
    Negotiator,
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

# Who the VM is; the code of an answer is one below its question's.
_QUESTIONS = (ext.GetVMVCUUID(), ext.GetVMName(), ext.GetVMBiosUUID())

_NOBODY = VMIdentity("")

# What either side may perform.
_OURS = frozenset({Option.BINARY, Option.SUPPRESS_GO_AHEAD})
_THEIRS = frozenset({Option.BINARY, Option.SUPPRESS_GO_AHEAD, Option.VMWARE_EXT})


class VSPCConnection:
    """The proxy's half of one connection (EN-001415).

    Feed it with ``receive_data`` and ``receive_eof``, take ``events_received`` and send ``data_to_send``
    after each call, and call ``check_deadline`` when ``deadline`` has come.
    """

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
        self._negotiator = Negotiator(_OURS, _THEIRS)
        self._events: list[Event] = []
        self._control = bytearray()  # telnet's answers, which go out before serial data
        self._early_data = bytearray()  # serial data from before the VM is known
        self._accepted = False  # WILL-PROXY is sent
        self._claims = _NOBODY
        self._asked = False
        self._unanswered: set[int] = set()  # the commands of the UUIDs asked for
        self._arriving: VMotion | None = None  # we are the destination of this vMotion
        self._closed = False  # nothing more is taken from the peer
        # Proxies that wait for the VM are in production, and such that open; opening saves a round trip.
        self._negotiate(
            self._negotiator.offer(Option.BINARY)
            + self._negotiator.offer(Option.SUPPRESS_GO_AHEAD)
            + self._negotiator.request(Option.BINARY)
            + self._negotiator.request(Option.SUPPRESS_GO_AHEAD)
            + self._negotiator.request(Option.VMWARE_EXT)
        )

    # The verbs

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer, of any number."""
        for token in self._decoder.feed(data):
            if self._closed:
                continue
            if isinstance(token, bytes):
                self._receive_serial(token)
            elif isinstance(token, Negotiation):
                self._logger.debug("< %s", token)
                self._negotiate(self._negotiator.receive(token))
                self._decoder.binary = self._negotiator.peer_performs(Option.BINARY)
            elif isinstance(token, Suboption):
                self._receive_suboption(token)
            elif isinstance(token, Malformed):
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
        control, self._control = bytes(self._control), bytearray()
        if self.port.carrier is not self or self.port.held or not self.port.unsent:
            return control
        data = self.port.take(most)
        if self._negotiator.performs(Option.BINARY):
            return control + escape(data)
        if data.endswith(b"\r"):
            data += self.port.take(1)  # CR and what follows it go together, or it would look bare
        return control + escape_nvt(data)

    def check_deadline(self) -> None:
        """Go on without the UUIDs that were not answered in time."""
        if self.deadline is not None and self._clock() >= self.deadline:
            self.deadline = None
            self._unanswered.clear()
            self._identify()

    @property
    def awaits_vmotion(self) -> bool:
        """Tell whether this is the destination of a vMotion that is not complete yet."""
        return self._arriving is not None and not self._arriving.ended

    # Telnet

    def _negotiate(self, negotiations: list[Negotiation]) -> None:
        for negotiation in negotiations:
            self._logger.debug("> %s", negotiation)
            self._send_control(bytes(negotiation))

    def _send(self, *messages: ext.Message) -> None:
        for message in messages:
            self._logger.debug("> %s", message)
            self._send_control(bytes(Suboption(Option.VMWARE_EXT, ext.encode(message))))

    def _send_control(self, data: bytes) -> None:
        self._control += data
        if len(self._control) > MAX_UNSENT_CONTROL and not self._closed:
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
            room = MAX_EARLY_DATA - len(self._early_data)
            self._early_data += data[:room]
            if len(data) > room:
                self._logger.debug("< %d bytes dropped, the VM is not known yet", len(data) - room)
            return
        lines = self.port.lines
        dropped = lines.dropped
        for line in lines.feed(data):
            try:
                packet = decode(line)
            except PacketError as error:
                self._logger.debug("< %d bytes of noise: %s", len(line), error)
                continue
            self._logger.debug("< %r", packet)
            self._events.append(PacketReceived(self.port, packet))
        if lines.dropped > dropped:
            self._violation(f"sent a line of more than {lines.limit} bytes, which was dropped")

    def _receive_early_data(self) -> None:
        data, self._early_data = bytes(self._early_data), bytearray()
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
        self._logger.debug("< %s", message)
        if isinstance(message, ext.Message) and (handler := self._HANDLERS.get(type(message))):
            handler(self, message)
        elif suboption.content:
            # "must be sent for every command not supported": a proxy's own commands are none the VM may send.
            self._send(ext.UnknownSuboptionRcvd2(suboption.content[0]))

    def _known_suboptions(self, message: ext.KnownSuboptions1) -> None:
        self._send(ext.KnownSuboptions2(SUPPORTED))
        self._ask(message.codes)

    def _unknown_suboption(self, message: ext.UnknownSuboptionRcvd1) -> None:
        self._unanswered.discard(message.code - 1)
        self._identify()

    def _ask(self, known: frozenset[int]) -> None:
        """Ask who the VM is, once. A UUID it does not know of is not asked for, nor waited for."""
        if self._asked:
            return
        self._asked = True
        self.deadline = self._clock() + UUID_SECONDS
        for question in _QUESTIONS:
            answer = question.command - 1
            if answer == ext.Command.VM_NAME:
                self._send(question)  # whatever the VM knows: without a name it is not served
            elif not known.isdisjoint({question.command, answer}):
                self._send(question)
                self._unanswered.add(answer)

    def _vc_uuid(self, message: ext.VMVCUUID) -> None:
        self._claim(ext.Command.VM_VC_UUID, vc_uuid=message.uuid)

    def _bios_uuid(self, message: ext.VMBiosUUID) -> None:
        self._claim(ext.Command.VM_BIOS_UUID, bios_uuid=message.uuid)

    def _location_uuid(self, message: ext.VMLocationUUID) -> None:
        self._claim(ext.Command.VM_LOCATION_UUID, location_uuid=message.uuid)

    def _vm_name(self, message: ext.VMName) -> None:
        self._claim(ext.Command.VM_NAME, name=message.name)

    def _claim(self, command: ext.Command, **claim: Any) -> None:
        self._claims = dataclasses.replace(self._claims, **claim)
        self._unanswered.discard(command)
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
        self._send(ext.WillProxy())
        self._accepted = True
        self._claim(ext.Command.DO_PROXY, port=parameters.get("port", ""), token=token)

    def _refuse(self, event: ProxyRefused | TokenRefused) -> None:
        self._send(ext.WontProxy())
        self._close()
        self._events.append(event)

    def _identify(self) -> None:
        """Serve the VM once it has a name, was accepted, and has said all it has to say."""
        if self.port.identity is not None or not self._claims.name or not self._accepted or self._unanswered:
            return
        self.deadline = None
        self.port.identity = self._claims
        self._events.append(VMIdentified(self.port))
        self._receive_early_data()

    # vMotion: the source asks to leave, the destination shows the token, the port moves.

    def _vmotion_begin(self, message: ext.VMotionBegin) -> None:
        served = self.port.carrier is self and self.port.identity is not None
        vmotion = self._vmotions.begin(self.port, self._peer, message.sequence) if served else None
        if vmotion is None:
            self._send(ext.VMotionNotNow(message.sequence))
            return
        self._send(ext.VMotionGoAhead(vmotion.token))
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
        self._send(ext.VMotionPeerOk(vmotion.sequence))

    def _vmotion_complete(self, message: ext.VMotionComplete) -> None:
        vmotion = self._arriving
        if vmotion is None or vmotion.ended or vmotion.sequence != message.sequence:
            self._violation("completed a vMotion that is not under way here")
            return
        self._vmotions.end(vmotion)
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

    _HANDLERS: ClassVar[dict[type[ext.Message], Callable[["VSPCConnection", Any], None]]] = {
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


# All of the table: both what we can generate and what we accept.
SUPPORTED = frozenset(ext.Command) - {ext.Command.GET_VM_LOCATION_UUID}
