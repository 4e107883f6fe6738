"""What a connection tells its shell: events in the past tense, and the limits the shell sets it."""

from dataclasses import dataclass

from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.telnet import MAX_SUBOPTION
from vmw_cloudinit_wire import Packet

# Requests are short; the longest packet a guest sends is a report of 4 KiB, 5.5 KiB in base64. The rest is
# room for codes that drivers add.
MAX_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class VMIdentified:
    """The VM is known and WILL-PROXY is sent: from now on it is served."""

    port: Port


@dataclass(frozen=True, slots=True)
class PacketReceived:
    """A packet came from the VM of this port."""

    port: Port
    packet: Packet


@dataclass(frozen=True, slots=True)
class ProxyRefused:
    """The VM asked for a service that is not ours: close when all is sent."""

    service: str  # as much of the service URI as may be logged


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The VM asked for our service without a token that is accepted: close when all is sent."""


@dataclass(frozen=True, slots=True)
class VMotionBegan:
    """The port's output is held until the vMotion ends."""

    port: Port


@dataclass(frozen=True, slots=True)
class VMotionCompleted:
    """The port lives on this connection now; what was held goes out."""

    port: Port


@dataclass(frozen=True, slots=True)
class VMotionAborted:
    """The port stays on this connection; what was held goes out."""

    port: Port


@dataclass(frozen=True, slots=True)
class VMLeft:
    """The connection ended and its port with it: no vMotion is under way."""

    port: Port


@dataclass(frozen=True, slots=True)
class ProtocolViolated:
    """The peer broke the protocol. Unless it is fatal, the connection goes on."""

    reason: str
    fatal: bool = False


Event = (
    VMIdentified
    | PacketReceived
    | ProxyRefused
    | TokenRefused
    | VMotionBegan
    | VMotionCompleted
    | VMotionAborted
    | VMLeft
    | ProtocolViolated
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may make the server hold, in bytes."""

    max_line: int = MAX_LINE
    max_suboption: int = MAX_SUBOPTION
