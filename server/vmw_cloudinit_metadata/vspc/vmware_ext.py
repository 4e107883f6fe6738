"""VMWARE-TELNET-EXT (telnet option 232): its suboptions as typed messages, for both directions.

Source: VMware, "Using a Proxy with vSphere Virtual Serial Ports" (EN-001415). A message's bytes are one
command byte and its parameters, as they stand between ``IAC SB 232`` and ``IAC SE`` with every IAC already
un-doubled: framing is telnet's business. Which message is answered how is connection.py's.
"""

import enum
import re
import uuid
from dataclasses import dataclass, field
from typing import ClassVar, Self

from vmw_cloudinit_metadata.errors import ProtocolError
from vmw_cloudinit_metadata.vspc import service_uri


class Command(enum.IntEnum):
    """The command byte, with VMware's names."""

    KNOWN_SUBOPTIONS_1 = 0
    KNOWN_SUBOPTIONS_2 = 1
    UNKNOWN_SUBOPTION_RCVD_1 = 2
    UNKNOWN_SUBOPTION_RCVD_2 = 3
    VMOTION_BEGIN = 40
    VMOTION_GOAHEAD = 41
    VMOTION_NOTNOW = 43
    VMOTION_PEER = 44
    VMOTION_PEER_OK = 45
    VMOTION_COMPLETE = 46
    VMOTION_ABORT = 48
    DO_PROXY = 70
    WILL_PROXY = 71
    WONT_PROXY = 73
    VM_VC_UUID = 80
    GET_VM_VC_UUID = 81
    VM_NAME = 82
    GET_VM_NAME = 83
    VM_BIOS_UUID = 84
    GET_VM_BIOS_UUID = 85
    VM_LOCATION_UUID = 86
    GET_VM_LOCATION_UUID = 87


_MESSAGES: dict[int, type["Message"]] = {}


@dataclass(frozen=True)
class Message:
    """One suboption. Its ``str`` is VMware's name and what may be logged of the parameters."""

    command: ClassVar[Command]

    def __init_subclass__(cls, command: Command | None = None) -> None:
        if command is not None:
            cls.command = command
            _MESSAGES[command] = cls

    def __str__(self) -> str:
        return f"{self.command.name.replace('_', '-')} {self.loggable()}".rstrip()

    def parameters(self) -> bytes:
        """Return what follows the command byte."""
        return b""

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        """Return the message with these parameters.

        Raises:
            ProtocolError: they are not of this message's form.
        """
        return cls()

    def loggable(self) -> str:
        """Return what of the parameters may stand in a log."""
        return ""


# What a message's parameters are.

_UUID_DIGITS = re.compile(rb"[0-9A-Fa-f]{32}")


@dataclass(frozen=True)
class _Codes(Message):
    codes: frozenset[int]

    def parameters(self) -> bytes:
        return bytes(sorted(self.codes))

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        return cls(frozenset(parameters))

    def loggable(self) -> str:
        return " ".join(map(str, sorted(self.codes)))


@dataclass(frozen=True)
class _Code(Message):
    code: int

    def parameters(self) -> bytes:
        return bytes([self.code])

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        if len(parameters) != 1:
            raise ProtocolError(f"{cls.command.name} has one code, not {len(parameters)}")
        return cls(parameters[0])

    def loggable(self) -> str:
        return str(self.code)


@dataclass(frozen=True)
class _Sequence(Message):
    sequence: bytes  # opaque; its length is not specified, 4 bytes were seen

    def parameters(self) -> bytes:
        return self.sequence

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        return cls(parameters)

    def loggable(self) -> str:
        return self.sequence.hex()


@dataclass(frozen=True)
class _Token(Message):
    token: bytes = field(repr=False)  # sequence ‖ secret, which only together name a vMotion

    def parameters(self) -> bytes:
        return self.token

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        return cls(parameters)


@dataclass(frozen=True)
class _Name(Message):
    name: str

    def parameters(self) -> bytes:
        return self.name.encode()

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        return cls(_text(cls.command, parameters))

    def loggable(self) -> str:
        return ascii(self.name)


@dataclass(frozen=True)
class _UUID(Message):
    uuid: uuid.UUID | None  # None: the VM answered with nothing

    def parameters(self) -> bytes:
        """Return the UUID as ESXi writes it: ``68 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d``."""
        if self.uuid is None:
            return b""
        digits = self.uuid.bytes.hex(" ")
        return f"{digits[:23]}-{digits[24:]}".encode()

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        digits = parameters.rstrip(b"\x00").translate(None, b" \t\n\r\v\f{}-")
        if not digits:
            return cls(None)
        if not _UUID_DIGITS.fullmatch(digits):
            raise ProtocolError(f"{cls.command.name} is not a UUID")
        return cls(uuid.UUID(int=int(digits, 16)))

    def loggable(self) -> str:
        return str(self.uuid or "")


@dataclass(frozen=True)
class _Service(Message):
    direction: str  # "C" (the VM is the client) or "S"
    uri: str = field(repr=False)  # what stands behind its "?" may be a token

    def parameters(self) -> bytes:
        return (self.direction + self.uri).encode()

    @classmethod
    def parse(cls, parameters: bytes) -> Self:
        text = _text(cls.command, parameters)
        if text[:1] not in ("C", "S"):
            raise ProtocolError(f"{cls.command.name} has a direction, C or S, before the service URI")
        return cls(text[0], text[1:])

    def loggable(self) -> str:
        return f"{self.direction} {service_uri.loggable(self.uri)!a}"


def _text(command: Command, parameters: bytes) -> str:
    try:
        return parameters.rstrip(b"\x00").decode()
    except UnicodeDecodeError:
        raise ProtocolError(f"{command.name} is not UTF-8") from None


# The messages, in the order of their codes.


class KnownSuboptions1(_Codes, command=Command.KNOWN_SUBOPTIONS_1):
    """VM → proxy: the codes the VM can generate or accept."""


class KnownSuboptions2(_Codes, command=Command.KNOWN_SUBOPTIONS_2):
    """Proxy → VM: the codes the proxy can generate or accept, at least 1 and 3."""


class UnknownSuboptionRcvd1(_Code, command=Command.UNKNOWN_SUBOPTION_RCVD_1):
    """VM → proxy: the VM does not support this code."""


class UnknownSuboptionRcvd2(_Code, command=Command.UNKNOWN_SUBOPTION_RCVD_2):
    """Proxy → VM: the proxy does not support this code."""


class VMotionBegin(_Sequence, command=Command.VMOTION_BEGIN):
    """Source → proxy: the VM stands still and waits for leave to move."""


class VMotionGoAhead(_Token, command=Command.VMOTION_GOAHEAD):
    """Proxy → source: go; the destination shows this token."""


class VMotionNotNow(_Sequence, command=Command.VMOTION_NOTNOW):
    """Proxy → source: stay for now."""


class VMotionPeer(_Token, command=Command.VMOTION_PEER):
    """Destination → proxy: the VM of this token comes here."""


class VMotionPeerOk(_Sequence, command=Command.VMOTION_PEER_OK):
    """Proxy → destination: the token is known."""


class VMotionComplete(_Sequence, command=Command.VMOTION_COMPLETE):
    """Destination → proxy: the VM runs here now."""


class VMotionAbort(Message, command=Command.VMOTION_ABORT):
    """Source → proxy: the VM stays where it was."""


class DoProxy(_Service, command=Command.DO_PROXY):
    """VM → proxy: serve this service URI in this direction."""


class WillProxy(Message, command=Command.WILL_PROXY):
    """Proxy → VM: it is served here."""


class WontProxy(Message, command=Command.WONT_PROXY):
    """Proxy → VM: it is not served here."""


class VMVCUUID(_UUID, command=Command.VM_VC_UUID):
    """VM → proxy: the VM's UUID in vCenter."""


class GetVMVCUUID(Message, command=Command.GET_VM_VC_UUID):
    """Proxy → VM: ask for it."""


class VMName(_Name, command=Command.VM_NAME):
    """VM → proxy: the VM's name."""


class GetVMName(Message, command=Command.GET_VM_NAME):
    """Proxy → VM: ask for it."""


class VMBiosUUID(_UUID, command=Command.VM_BIOS_UUID):
    """VM → proxy: the VM's BIOS UUID."""


class GetVMBiosUUID(Message, command=Command.GET_VM_BIOS_UUID):
    """Proxy → VM: ask for it."""


class VMLocationUUID(_UUID, command=Command.VM_LOCATION_UUID):
    """VM → proxy: the UUID of where the VM's files lie."""


class GetVMLocationUUID(Message, command=Command.GET_VM_LOCATION_UUID):
    """Proxy → VM: ask for it."""


@dataclass(frozen=True)
class Unknown:
    """A suboption whose command is none of the table: answered, never a reason to close."""

    code: int

    def __str__(self) -> str:
        return f"unknown command {self.code}"


def encode(message: Message) -> bytes:
    """Return the command byte and the parameters, not escaped."""
    return bytes([message.command]) + message.parameters()


def decode(suboption: bytes) -> Message | Unknown:
    """Return the message that a suboption of option 232 carries.

    Raises:
        ProtocolError: it is empty, or its parameters are not of the form its command has.
    """
    if not suboption:
        raise ProtocolError("a suboption without a command")
    message = _MESSAGES.get(suboption[0])
    return message.parse(suboption[1:]) if message else Unknown(suboption[0])
