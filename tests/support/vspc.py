"""The ESXi host's half of a dialogue with the vSPC core, as literal bytes: none of our encoders is used.

A test says lines of the VM's side (``host.says(vm_name(b"web-01"))``) and compares what comes back
(``host.hears() == WILL_PROXY``) and what the shell is told (``host.events()``).
"""

import itertools
import logging
from collections.abc import Callable

from vmw_cloudinit_metadata.vspc.connection import VSPCConnection
from vmw_cloudinit_metadata.vspc.events import (
    Event,
    Limits,
    PacketReceived,
    ProtocolViolated,
    VMIdentified,
    VMotionBegan,
    VMotionCompleted,
)
from vmw_cloudinit_metadata.vspc.port import VMIdentity
from vmw_cloudinit_metadata.vspc.vmotion import VMotionTable
from vmw_cloudinit_wire import Packet

URI = "my-metadata"

REQUEST = b"!!REQUEST_METADATA#\n"
REQUESTED = Packet("REQUEST_METADATA")

# Telnet (RFC 854), and the options by number: 0 BINARY, 3 SGA, 37 AUTHENTICATION, 44 COM-PORT, 232 VMware's.
WILL_BINARY, WONT_BINARY, DO_BINARY, DONT_BINARY = (
    b"\xff\xfb\x00",
    b"\xff\xfc\x00",
    b"\xff\xfd\x00",
    b"\xff\xfe\x00",
)
WILL_SGA, DO_SGA = b"\xff\xfb\x03", b"\xff\xfd\x03"
WILL_AUTHENTICATION, DONT_AUTHENTICATION = b"\xff\xfb\x25", b"\xff\xfe\x25"
WILL_COM_PORT, DONT_COM_PORT = b"\xff\xfb\x2c", b"\xff\xfe\x2c"
WILL_EXT, DO_EXT = b"\xff\xfb\xe8", b"\xff\xfd\xe8"

# What the proxy says first, whoever has connected.
OPENING = WILL_BINARY + WILL_SGA + DO_BINARY + DO_SGA + DO_EXT
# A host that agrees to all of it, after the one question of its own.
AGREES = DO_BINARY + DO_SGA + WILL_BINARY + WILL_SGA + WILL_EXT


def ext(command: int, parameters: bytes = b"") -> bytes:
    """Return ``IAC SB 232 command parameters IAC SE``, IAC in the parameters doubled."""
    return b"\xff\xfa\xe8" + bytes([command]) + parameters.replace(b"\xff", b"\xff\xff") + b"\xff\xf0"


# The VM's side of the table, and the proxy's.
KNOWN_SUBOPTIONS_1 = ext(
    0, bytes([0, 1, 2, 3, 40, 41, 43, 44, 45, 46, 48, 70, 71, 73, 80, 81, 82, 83, 84, 85])
)
KNOWN_SUBOPTIONS_2 = ext(
    1, bytes([0, 1, 2, 3, 40, 41, 43, 44, 45, 46, 48, 70, 71, 73, 80, 81, 82, 83, 84, 85, 86])
)
UUID_TEXT = b"68 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d"
VM_VC_UUID, GET_VM_VC_UUID = ext(80, UUID_TEXT), ext(81)
GET_VM_NAME = ext(83)
VM_BIOS_UUID, GET_VM_BIOS_UUID = ext(84, UUID_TEXT), ext(85)
VM_LOCATION_UUID = ext(86, UUID_TEXT)
WILL_PROXY, WONT_PROXY = ext(71), ext(73)
VMOTION_ABORT = ext(48)


def unknown_suboption_rcvd_1(code: int) -> bytes:
    return ext(2, bytes([code]))


def unknown_suboption_rcvd_2(code: int) -> bytes:
    return ext(3, bytes([code]))


def do_proxy(uri: str = URI, direction: bytes = b"C") -> bytes:
    return ext(70, direction + uri.encode())


def vm_name(name: str) -> bytes:
    return ext(82, name.encode())


# vMotion. The secrets of `vmotion_table` are told beforehand, and hold an IAC and what would be an IAC SE.
SEQUENCE = b"\x00\xff\x00\x07"


def secret(number: int) -> bytes:
    """Return the secret of the table's vMotion with this number, the first being 1."""
    return b"\xff\xf0hidden" + bytes([number])


def vmotion_begin(sequence: bytes = SEQUENCE) -> bytes:
    return ext(40, sequence)


def vmotion_goahead(number: int = 1, sequence: bytes = SEQUENCE) -> bytes:
    return ext(41, sequence + secret(number))


def vmotion_notnow(sequence: bytes = SEQUENCE) -> bytes:
    return ext(43, sequence)


def vmotion_peer(number: int = 1, sequence: bytes = SEQUENCE) -> bytes:
    return ext(44, sequence + secret(number))


def vmotion_peer_ok(sequence: bytes = SEQUENCE) -> bytes:
    return ext(45, sequence)


def vmotion_complete(sequence: bytes = SEQUENCE) -> bytes:
    return ext(46, sequence)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def vmotion_table(clock: Callable[[], float], max_orphans: int = 10, capacity: int = 100) -> VMotionTable:
    numbers = itertools.count(1)
    return VMotionTable(clock, capacity, max_orphans, new_secret=lambda size: secret(next(numbers)))


class Host:
    """One connection of an ESXi host to a proxy that serves ``URI``."""

    def __init__(
        self,
        vmotions: VMotionTable | None = None,
        clock: Clock | None = None,
        uri: str = URI,
        limits: Limits | None = None,
        peer: str = "192.0.2.7",
        token: str = "",
    ) -> None:
        self.clock = clock or Clock()
        self.connection = VSPCConnection(
            uri,
            vmotions if vmotions is not None else vmotion_table(self.clock),
            self.clock,
            limits or Limits(),
            logging.getLogger("vspc"),
            peer,
            lambda given: given == token or not token,
        )

    def says(self, *pieces: bytes) -> None:
        """Send these bytes to the proxy, in one read."""
        self.connection.receive_data(b"".join(pieces))

    def leaves(self) -> None:
        """Close the connection."""
        self.connection.receive_eof()

    def hears(self) -> bytes:
        """Return what the proxy has sent since the last call."""
        return self.connection.data_to_send()

    def events(self) -> list[Event]:
        """Return what the shell was told since the last call."""
        return self.connection.events_received()

    def connects(self, name: str = "web-01") -> "Host":
        """Say all that a first connect takes, and forget what came of it: the VM is served from here on."""
        self.says(WILL_AUTHENTICATION, AGREES, KNOWN_SUBOPTIONS_1, do_proxy())
        self.says(VM_VC_UUID, vm_name(name), VM_BIOS_UUID, WILL_COM_PORT)
        self.hears()
        self.events()
        return self

    def arrives(self, number: int = 1, sequence: bytes = SEQUENCE) -> "Host":
        """Say all that the destination of a vMotion says up to PEER, and forget what came of it."""
        self.says(WILL_AUTHENTICATION, AGREES, KNOWN_SUBOPTIONS_1, vmotion_peer(number, sequence))
        self.hears()
        self.events()
        return self


def begins(here: Host, number: int = 1) -> None:
    """Begin the vMotion with this number."""
    here.says(vmotion_begin())
    assert here.hears() == vmotion_goahead(number)
    assert here.events() == [VMotionBegan(here.connection.port)]


def completes(there: Host) -> None:
    """Complete the vMotion, with nothing held."""
    there.says(vmotion_complete())
    assert there.hears() == b""
    assert there.events() == [VMotionCompleted(there.connection.port)]


def is_served(host: Host) -> bool:
    """Tell whether a request on this connection reaches the port and an answer comes back."""
    host.hears()
    host.says(REQUEST)
    if host.events() != [PacketReceived(host.connection.port, REQUESTED)]:
        return False
    host.connection.send_serial(b"answer\r\n")
    return host.hears() == b"answer\r\n"


def identified(events: list[Event]) -> VMIdentity:
    """Return who was identified by the only event."""
    assert [type(event) for event in events] == [VMIdentified]
    assert isinstance(events[0], VMIdentified)
    assert events[0].port.identity is not None
    return events[0].port.identity


def packets(events: list[Event]) -> list[Packet]:
    """Return the packets of the events, which are nothing else."""
    received = [event for event in events if isinstance(event, PacketReceived)]
    assert len(received) == len(events), events
    return [event.packet for event in received]


def violation(events: list[Event]) -> str:
    """Return the reason of the only event, a violation the connection lives on with."""
    assert [type(event) for event in events] == [ProtocolViolated]
    assert isinstance(events[0], ProtocolViolated)
    assert not events[0].fatal
    return events[0].reason
