"""Telnet as an ESXi host speaks it: framing, and answers to options. Sans-IO.

This is not the server's telnet and takes nothing from vspc/telnet.py: two halves that share code also share
its bugs, and then agree with each other while a real ESXi host agrees with neither.
"""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# The longest suboption a proxy sends is GOAHEAD: a sequence and a secret of some bytes each.
MAX_SUBOPTION = 4096

IAC = b"\xff"
_SUBOPTION_BEGIN = IAC + b"\xfa"
_SUBOPTION_END = IAC + b"\xf0"

# What stands next in the stream (RFC 854). No match means that the rest of the token has not come yet.
_TOKEN = re.compile(
    rb"""
    (?P<data> [^\xff]+ | \xff(?P<escaped>\xff) )
    | \xff(?P<verb>[\xfb-\xfe])(?P<option>.)
    | \xff\xfa(?P<suboption> (?:[^\xff]|\xff\xff)* )
      (?: \xff\xf0 | (?P<cut>(?=\xff[^\xff\xf0])) )   # cut: another command came before IAC SE
    | \xff[\x00-\xf9]                                 # NOP, GA and the like mean nothing on a serial port
    """,
    re.DOTALL | re.VERBOSE,
)


class Verb(enum.IntEnum):
    """The four verbs of option negotiation (RFC 854)."""

    WILL = 251
    WONT = 252
    DO = 253
    DONT = 254


class Option(enum.IntEnum):
    """The options an ESXi host knows."""

    BINARY = 0  # RFC 856
    SUPPRESS_GO_AHEAD = 3  # RFC 858
    AUTHENTICATION = 37  # RFC 2941
    COM_PORT = 44  # RFC 2217
    VMWARE_EXT = 232


# What the host agrees to when the proxy asks first, for either direction.
_AGREEABLE = frozenset({Option.BINARY, Option.SUPPRESS_GO_AHEAD})


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of the serial line."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """A verb the proxy sent; it is answered already."""

    verb: Verb
    option: int

    def __str__(self) -> str:
        return f"{self.verb.name} {option_name(self.option)}"


@dataclass(frozen=True, slots=True)
class Suboption:
    """A suboption, every IAC in it un-doubled."""

    option: int
    parameters: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something telnet does not allow; it is skipped."""

    reason: str


Token = Data | Negotiated | Suboption | Malformed


def option_name(option: int) -> str:
    """Return the standard's name of an option, or its number."""
    try:
        return Option(option).name.replace("_", "-")
    except ValueError:
        return str(option)


class Telnet:
    """One connection's telnet state, on the client's side."""

    def __init__(self, held: frozenset[Option]) -> None:
        """``held``: options that are neither offered nor answered before ``release``."""
        self.ours: set[int] = set()  # options in force for what we send
        self.theirs: set[int] = set()  # options in force for what the proxy sends
        self._offered: set[int] = set()  # WILL sent and not answered
        self._held = set(held)
        self._asked: set[int] = set()  # DO received for a held option
        self._out = bytearray()
        self._rest = b""  # the beginning of a token
        self._overlong = False  # that token is a suboption beyond the limit
        self._after_cr = False

    def data_to_send(self) -> bytes:
        """Return, once, what has to be sent."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive_data(self, data: bytes) -> Iterator[Token]:
        """Yield what these bytes and those kept from before hold; options are answered on the way."""
        data, position = self._rest + data, 0
        self._rest = b""
        serial = bytearray()
        while token := _TOKEN.match(data, position):
            position = token.end()
            if token["data"]:
                serial += token["escaped"] or token["data"]
                continue
            # Un-NVT with the option's state at this place of the stream, before a verb changes it.
            if serial:
                yield Data(self._from_wire(bytes(serial)))
                serial.clear()
            if token["verb"]:
                negotiated = Negotiated(Verb(token["verb"][0]), token["option"][0])
                self._answer(negotiated)
                yield negotiated
            elif token["suboption"] is not None:
                yield self._suboption(token["suboption"], cut=token["cut"] is not None)
        if serial:
            yield Data(self._from_wire(bytes(serial)))
        self._keep(data[position:])

    def send_data(self, data: bytes) -> None:
        """Queue bytes of the serial line."""
        if Option.BINARY not in self.ours:
            # RFC 854: "the sequence CR NUL must be used where a carriage return alone is actually desired".
            data = data.replace(b"\r", b"\r\x00")
        self._out += data.replace(IAC, IAC + IAC)

    def send_suboption(self, option: Option, parameters: bytes) -> None:
        """Queue one suboption."""
        self._out += _SUBOPTION_BEGIN + bytes([option]) + parameters.replace(IAC, IAC + IAC) + _SUBOPTION_END

    def offer(self, option: Option) -> None:
        """Offer an option, once."""
        if option not in self.ours | self._offered:
            self._offered.add(option)
            self._send(Verb.WILL, option)

    def release(self, option: Option) -> None:
        """Hold an option back no longer: accept it if the proxy has asked for it, else offer it."""
        self._held.discard(option)
        if option in self._asked:
            self.ours.add(option)
            self._send(Verb.WILL, option)
        else:
            self.offer(option)

    def _answer(self, negotiated: Negotiated) -> None:
        # RFC 854: "a party may only request a change in option status", and nothing else is answered,
        # so that no proxy can make a loop. An answer to our own offer ends there, too.
        option = negotiated.option
        match negotiated.verb:
            case Verb.DO if option in self._held:
                self._asked.add(option)
            case Verb.DO if option in self._offered:
                self._offered.discard(option)
                self.ours.add(option)
            case Verb.DO if option not in self.ours:
                self._agree(self.ours, option, Verb.WILL, Verb.WONT)
            case Verb.DONT:
                self._offered.discard(option)
                self._asked.discard(option)
                self._end(self.ours, option, Verb.WONT)
            case Verb.WILL if option not in self.theirs:
                self._agree(self.theirs, option, Verb.DO, Verb.DONT)
            case Verb.WONT:
                self._end(self.theirs, option, Verb.DONT)

    def _agree(self, side: set[int], option: int, yes: Verb, no: Verb) -> None:
        if option in _AGREEABLE:
            side.add(option)
        self._send(yes if option in _AGREEABLE else no, option)

    def _end(self, side: set[int], option: int, confirmation: Verb) -> None:
        if option in side:
            side.discard(option)
            self._send(confirmation, option)

    def _send(self, verb: Verb, option: int) -> None:
        self._out += IAC + bytes([verb, option])

    def _suboption(self, escaped: bytes, cut: bool) -> Token:
        overlong, self._overlong = self._overlong, False
        content = escaped.replace(IAC + IAC, IAC)
        if overlong or len(content) > MAX_SUBOPTION:
            return Malformed(f"a suboption is longer than {MAX_SUBOPTION} bytes")
        if cut:
            return Malformed("a suboption ends without IAC SE")
        if not content:
            return Malformed("a suboption has no option")
        return Suboption(content[0], content[1:])

    def _keep(self, rest: bytes) -> None:
        # Of a suboption beyond the limit only its beginning is kept, and half an IAC IAC or IAC SE.
        if len(rest) > len(_SUBOPTION_BEGIN) + 2 * MAX_SUBOPTION + 1:
            self._overlong = True
            trailing = len(rest) - len(rest.rstrip(IAC))
            rest = _SUBOPTION_BEGIN + IAC * (trailing % 2)
        self._rest = rest

    def _from_wire(self, data: bytes) -> bytes:
        if Option.BINARY in self.theirs:
            self._after_cr = False
            return data
        # CR NUL is a CR. The two may come in different reads.
        ends_in_cr = data.endswith(b"\r")
        if self._after_cr and data.startswith(b"\x00"):
            data = data[1:]
        self._after_cr = ends_in_cr
        return data.replace(b"\r\x00", b"\r")
