"""Packets: one line ``!!CODE#BASE64[#OPTIONS]`` each, and the buffer that cuts a byte stream into lines.

This module knows the form of a packet, not what its codes mean: codes are an open set, since drivers add
their own. It does no input or output.
"""

import base64
import binascii
import re
from typing import List, NamedTuple

# A response of version 1 is one line, whatever its size: 4 MiB of base64 carry 3 MiB of user-data, which
# takes six minutes at 115200 baud. Whoever reads requests only can do with far less.
MAX_LINE = 4 * 1024 * 1024

_CODE = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
# The third field (wire, version 2) is ``key=value`` pairs: printable ASCII without the field separator and
# without "!", so that a packet always begins at the last "!!" of its line.
_OPTIONS = re.compile(r"[ \"$-~]*")


class PacketError(ValueError):
    """A line that is not a packet, or a packet that cannot be sent; the text never quotes the payload."""


class Packet(NamedTuple):
    """One packet: its code, the payload as plain bytes, and the third field as it stands (usually empty)."""

    code: str
    payload: bytes = b""
    options: str = ""

    def __repr__(self) -> str:
        """Show code and size: a payload may be a secret."""
        return f"<Packet {self.code} {len(self.payload)} bytes>"


def encode(packet: Packet, end: bytes = b"\r\n") -> bytes:
    """Return the packet as one line, ``end`` included.

    The server ends its lines with CR LF, the guest with LF.

    Raises:
        PacketError: code or options hold characters that would break the line apart.
    """
    code, payload, options = packet
    if not _CODE.fullmatch(code):
        raise PacketError("a packet code is 1 to 64 ASCII letters, digits, '_', '.', ':' or '-'")
    if not options:
        return b"!!%b#%b%b" % (code.encode(), binascii.b2a_base64(payload, newline=False), end)
    if not _OPTIONS.fullmatch(options):
        raise PacketError("a packet's options are printable ASCII without '#' and '!'")
    return b"!!%b#%b#%b%b" % (
        code.encode(),
        binascii.b2a_base64(payload, newline=False),
        options.encode(),
        end,
    )


def decode(line: bytes) -> Packet:
    """Return the packet that a line carries, with or without its line end.

    A packet begins at the last ``!!`` of the line: a login prompt or half a line may stand before it.

    Raises:
        PacketError: the line carries no whole packet; nothing else is ever raised.
    """
    start = line.rfind(b"!!")
    if start < 0:
        raise PacketError("no packet on this line")
    code, *fields = line[start + 2 :].strip(b"\r\n").split(b"#")
    if not 1 <= len(fields) <= 2:
        raise PacketError(f"a packet has two or three fields, not {1 + len(fields)}")
    try:
        # Not in one expression: which field is at fault is what an operator needs to know.
        name = code.decode("ascii")
        options = fields[1].decode("ascii") if len(fields) == 2 else ""
    except UnicodeDecodeError:
        raise PacketError("a packet's code and options are ASCII") from None
    if not _CODE.fullmatch(name):
        raise PacketError("not a packet code")
    if options and not _OPTIONS.fullmatch(options):
        raise PacketError("a packet's options are printable ASCII without '#' and '!'")
    return Packet(name, _payload(name, fields[0]) if fields[0] else b"", options)


def _payload(code: str, text: bytes) -> bytes:
    try:
        payload = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PacketError(f"the payload of {code} is not base64") from None
    # Some last characters carry bits that mean nothing. Nobody sets them: one was altered on the way.
    if binascii.b2a_base64(payload, newline=False) != text:
        raise PacketError(f"the payload of {code} is not canonical base64")
    return payload


class LineBuffer:
    """Cut a byte stream into lines, holding no more than ``limit`` bytes of an unfinished one.

    A line longer than that is dropped up to its end and counted in ``dropped``; the next one is whole again.
    A line ends with LF; CR on either side of it belongs to the line end (LF CR is what 0.0.8 sends).
    """

    __slots__ = ("_found", "_rest", "_searched", "_skipping", "_sought", "dropped", "limit")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.limit = limit
        self.dropped = 0
        self._rest = bytearray()
        self._skipping = False
        # What size_from looked for last, up to where it has looked, and where it has found it.
        self._sought = b""
        self._searched = 0
        self._found = -1

    def __len__(self) -> int:
        """Return how many bytes of an unfinished line are held."""
        return len(self._rest)

    def size_from(self, beginning: bytes) -> int:
        """Return how long the unfinished line is from its last ``beginning`` on; 0 if it has none.

        Asked again after every read, it looks at what is new, and at no byte of a long line again and again.
        """
        if beginning != self._sought:
            self._sought = beginning
            self._forget()
        # It may have begun before what is new.
        found = self._rest.rfind(beginning, max(0, self._searched - len(beginning) + 1))
        if found >= 0:
            self._found = found
        self._searched = len(self._rest)
        return len(self._rest) - self._found if self._found >= 0 else 0

    def feed(self, data: bytes) -> List[bytes]:
        """Take the next bytes, of any number; return the lines they finish, without their ends.

        Empty lines are left out.
        """
        lines = []
        start = 0
        end = data.find(b"\n")
        while end >= 0:
            piece = data[start:end]
            start = end + 1
            end = data.find(b"\n", start)
            # Most lines come whole, and pass by the buffer.
            if self._rest or self._skipping or len(piece) > self.limit:
                self._append(piece)
                piece = bytes(self._rest)
                self._clear()
                self._skipping = False
            line = piece.strip(b"\r")
            if line:
                lines.append(line)
        if start < len(data):
            self._append(data[start:])
        return lines

    def _append(self, piece: bytes) -> None:
        if self._skipping:
            return
        if len(self._rest) + len(piece) > self.limit:
            self._clear()
            self._skipping = True
            self.dropped += 1
            return
        self._rest += piece

    def _clear(self) -> None:
        self._rest.clear()
        self._forget()

    def _forget(self) -> None:
        self._searched = 0
        self._found = -1
