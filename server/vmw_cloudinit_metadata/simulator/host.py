"""The ESXi host's half of VMWARE-TELNET-EXT for one TCP connection of one VM's serial port. Sans-IO.

It follows VMware's "Using a Proxy with vSphere Virtual Serial Ports" (EN-001415) and recorded sessions, and
it is strict: where a proxy breaks a rule, that is logged and kept in ``violations``, for tests to see.
"""

import enum
import logging
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmw_cloudinit_metadata.errors import ProtocolError, SimulatorError
from vmw_cloudinit_metadata.simulator.telnet import (
    Data,
    Negotiated,
    Option,
    Suboption,
    Telnet,
    Verb,
    option_name,
)
from vmw_cloudinit_metadata.vspc import vmware_ext as ext
from vmw_cloudinit_metadata.vspc.vmware_ext import Command

logger = logging.getLogger(__name__)

# A proxy that breaks one rule usually breaks it again and again; the first ones tell which.
MAX_VIOLATIONS = 100

# UUIDs are derived from the VM's name, so that the same name is the same VM in every run.
_NAMESPACE = uuid.UUID("6ac1c2b0-2f1c-5d7a-9d0e-3f1b7f2f6c11")


# What a proxy may send besides questions: what no branch takes has come at the wrong time.
_FROM_PROXY = frozenset(
    {
        Command.WILL_PROXY,
        Command.WONT_PROXY,
        Command.VMOTION_GOAHEAD,
        Command.VMOTION_NOTNOW,
        Command.VMOTION_PEER_OK,
    }
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a VM says of itself when the proxy asks."""

    name: str
    vc_uuid: uuid.UUID
    bios_uuid: uuid.UUID
    location_uuid: uuid.UUID

    @classmethod
    def of(
        cls, name: str, vc_uuid: uuid.UUID | None = None, bios_uuid: uuid.UUID | None = None
    ) -> "Identity":
        """Return the identity of a VM; UUIDs that are not given are derived from its name, stably."""
        derived = {kind: uuid.uuid5(_NAMESPACE, f"{kind}:{name}") for kind in ("vc", "bios", "location")}
        return cls(name, vc_uuid or derived["vc"], bios_uuid or derived["bios"], derived["location"])

    def answers(self) -> dict[Command, ext.Message]:
        """Return the answer to each question a proxy may ask."""
        return {
            Command.GET_VM_NAME: ext.VMName(self.name),
            Command.GET_VM_VC_UUID: ext.VMVCUUID(self.vc_uuid),
            Command.GET_VM_BIOS_UUID: ext.VMBiosUUID(self.bios_uuid),
            Command.GET_VM_LOCATION_UUID: ext.VMLocationUUID(self.location_uuid),
        }


@dataclass(frozen=True, slots=True)
class VMotion:
    """A migration that the proxy has agreed to: what the source tells the destination."""

    sequence: bytes
    token: bytes = field(repr=False)  # sequence ‖ secret


class Phase(enum.Enum):
    """How far a connection is; a VM sends and receives in RUNNING alone."""

    OPENING = "the port is not served yet"
    REFUSED = "the port is refused"
    RUNNING = "the VM runs here"
    LEAVING = "VMOTION-BEGIN is sent: the VM stands still, what is under way still arrives"
    LEFT = "VMOTION-GOAHEAD has come: nothing arrives here any more"
    ARRIVED = "VMOTION-PEER-OK has come: the VM does not run here yet"


class HostPort:
    """One connection: bytes in, bytes out; the serial line in, the serial line out."""

    def __init__(
        self,
        vm: Identity,
        uri: str,
        direction: str = "C",
        *,
        vmotion: VMotion | None = None,
        answers: Mapping[Command, ext.Message | None] | None = None,
    ) -> None:
        """Begin the dialogue.

        Args:
            vm: who the VM says it is.
            uri: the service URI that DO-PROXY asks for.
            direction: ``C`` or ``S``, as the port is set up in vSphere.
            vmotion: makes this the destination of that migration: PEER is sent instead of DO-PROXY.
            answers: other answers to GET-* than the true ones; None withholds one until ``answer``.
        """
        self.phase = Phase.OPENING
        self.vmotion = vmotion  # of a source: set in LEFT
        self.violations: deque[str] = deque(maxlen=MAX_VIOLATIONS)
        self._vm = vm
        self._service = ext.DoProxy(direction, uri)
        self._answers: dict[Command, ext.Message | None] = {**vm.answers(), **(answers or {})}
        self._sequence = vmotion.sequence if vmotion else b""
        self._authenticated = False  # AUTHENTICATION was answered, whichever way
        self._introduced = False  # KNOWN-SUBOPTIONS-1 and DO-PROXY or PEER were sent
        self._serial = bytearray()
        self._telnet = Telnet(held=frozenset({Option.VMWARE_EXT}))
        # ESXi offers this first, and waits with everything else until it is answered.
        self._offer(Option.AUTHENTICATION)

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the proxy; see then ``data_to_send``, ``serial_received`` and ``phase``."""
        for token in self._telnet.receive_data(data):
            match token:
                case Data():
                    self._receive_serial(token.data)
                case Negotiated():
                    self._negotiated(token)
                case Suboption(Option.VMWARE_EXT):
                    self._receive_suboption(token.parameters)
                case Suboption():
                    self._violated(f"it sent a suboption of option {token.option}")
                case _:
                    self._violated(token.reason)

    def data_to_send(self) -> bytes:
        """Return, once, what has to be sent to the proxy."""
        return self._telnet.data_to_send()

    def serial_received(self) -> bytes:
        """Return, once, what the serial line has brought for the guest."""
        data = bytes(self._serial)
        self._serial.clear()
        return data

    def send_serial(self, data: bytes) -> None:
        """Send what the guest has written.

        Raises:
            SimulatorError: the VM does not run here.
        """
        if self.phase not in (Phase.OPENING, Phase.RUNNING):
            raise SimulatorError(f"{self._vm.name}: no serial data can be sent: {self.phase.value}")
        self._log(">", f"{len(data)} bytes of serial data")
        self._telnet.send_data(data)

    def answer(self, command: Command) -> None:
        """Send the true answer to a question, asked or not: a withheld one comes late this way."""
        self._send(self._vm.answers()[command])

    def begin_vmotion(self, sequence: bytes) -> None:
        """Ask the proxy for leave to move; GOAHEAD makes the phase LEFT, NOTNOW makes it RUNNING again.

        Raises:
            SimulatorError: the VM does not run here.
        """
        self._require(Phase.RUNNING)
        self._sequence, self.phase = sequence, Phase.LEAVING
        self._send(ext.VMotionBegin(sequence))

    def abort_vmotion(self) -> None:
        """Stay here after all.

        Raises:
            SimulatorError: no vMotion was begun here.
        """
        self._require(Phase.LEAVING, Phase.LEFT)
        self.phase, self.vmotion = Phase.RUNNING, None
        self._send(ext.VMotionAbort())

    def complete(self) -> None:
        """Run here from now on.

        Raises:
            SimulatorError: this is not a destination whose PEER the proxy has accepted.
        """
        self._require(Phase.ARRIVED)
        self.phase = Phase.RUNNING
        self._send(ext.VMotionComplete(self._sequence))

    def _negotiated(self, negotiated: Negotiated) -> None:
        self._log("<", negotiated)
        if negotiated.option == Option.AUTHENTICATION and not self._authenticated:
            self._authenticated = True
            self._log(">", f"WILL {option_name(Option.VMWARE_EXT)}")
            self._telnet.release(Option.VMWARE_EXT)
        if Option.VMWARE_EXT in self._telnet.ours and not self._introduced:
            self._introduced = True
            self._send(ext.KnownSuboptions1(frozenset(Command)))
            # KNOWN-SUBOPTIONS-2 is not waited for.
            self._send(ext.VMotionPeer(self.vmotion.token) if self.vmotion else self._service)
        if negotiated == Negotiated(Verb.DONT, Option.VMWARE_EXT) and self.phase is Phase.OPENING:
            self.phase = Phase.REFUSED

    def _receive_serial(self, data: bytes) -> None:
        if self.phase in (Phase.RUNNING, Phase.LEAVING):
            self._log("<", f"{len(data)} bytes of serial data")
            self._serial += data
        else:
            self._violated(f"it sent {len(data)} bytes of serial data, which are lost: {self.phase.value}")

    def _receive_suboption(self, suboption: bytes) -> None:
        try:
            message = ext.decode(suboption)
        except ProtocolError as error:
            self._violated(str(error))
            return
        self._log("<", message)
        match message:
            case ext.KnownSuboptions2(codes):
                if not codes >= {Command.KNOWN_SUBOPTIONS_2, Command.UNKNOWN_SUBOPTION_RCVD_2}:
                    self._violated("its KNOWN-SUBOPTIONS-2 is without 1 or 3")
            case ext.WillProxy() if self.phase is Phase.OPENING and self.vmotion is None:
                self.phase = Phase.RUNNING
                self._offer(Option.COM_PORT)
            case ext.WontProxy() if self.phase is Phase.OPENING:
                self.phase = Phase.REFUSED
            case ext.VMotionGoAhead(token) if self.phase is Phase.LEAVING and token.startswith(
                self._sequence
            ):
                self.phase, self.vmotion = Phase.LEFT, VMotion(self._sequence, token)
            case ext.VMotionNotNow(self._sequence) if self.phase is Phase.LEAVING:
                self.phase = Phase.RUNNING
            case ext.VMotionPeerOk(self._sequence) if self.phase is Phase.OPENING and self.vmotion:
                self.phase = Phase.ARRIVED
                self._offer(Option.COM_PORT)
            case ext.UnknownSuboptionRcvd2():
                pass  # a proxy may know less than we do
            case ext.Message() if message.command in self._answers:
                self._give(self._answers[message.command])
            case ext.Message() if message.command in _FROM_PROXY:
                self._violated(f"it sent {message.command.name} where it does not belong: {self.phase.value}")
            case _:
                self._send(ext.UnknownSuboptionRcvd1(suboption[0]))

    def _give(self, answer: ext.Message | None) -> None:
        if answer is not None:
            self._send(answer)

    def _send(self, message: ext.Message) -> None:
        self._log(">", message)
        self._telnet.send_suboption(Option.VMWARE_EXT, ext.encode(message))

    def _offer(self, option: Option) -> None:
        self._log(">", f"WILL {option_name(option)}")
        self._telnet.offer(option)

    def _require(self, *phases: Phase) -> None:
        if self.phase not in phases:
            raise SimulatorError(f"{self._vm.name}: that cannot be done now: {self.phase.value}")

    def _violated(self, reason: str) -> None:
        self.violations.append(reason)
        logger.warning("%s: the proxy broke the protocol: %s", self._vm.name, reason)

    def _log(self, arrow: str, what: object) -> None:
        logger.debug("%s %s %s", self._vm.name, arrow, what)
