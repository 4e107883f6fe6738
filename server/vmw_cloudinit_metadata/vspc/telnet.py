"""Telnet without a socket: cut a byte stream into data, negotiations and suboptions, and the reverse.

Sources: RFC 854 (commands, the NVT), RFC 855 (suboptions), RFC 856 (BINARY), RFC 1143 (negotiation without
loops). What the suboptions of an option mean is not known here.
"""

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

IAC = b"\xff"
SB = 250
SE = 240

# Data up to the next command: anything but IAC, or IAC doubled. Possessive, so that it never backtracks.
_DATA = re.compile(rb"(?:[^\xff]++|(?:\xff\xff)++)++")

# What hosts send, each in one piece: a negotiation; a suboption without an IAC in it, its option and content.
_WHOLE = re.compile(rb"\xff(?:[\xfb-\xfe].|\xfa([^\xff])([^\xff]*+)\xff\xf0)", re.DOTALL)

# DO-PROXY carries the service URI, the longest suboption there is; vSphere's own limit is far below this.
MAX_SUBOPTION = 4096


class Verb(enum.IntEnum):
    """The four commands of a negotiation (RFC 854)."""

    WILL = 251
    WONT = 252
    DO = 253
    DONT = 254


# The commands that one more byte belongs to: SB and the four verbs.
_WITH_OPTION = frozenset({SB, *Verb})


class Option(enum.IntEnum):
    """Telnet options with a name in this project; any other is refused all the same."""

    BINARY = 0  # RFC 856
    SUPPRESS_GO_AHEAD = 3  # RFC 858
    AUTHENTICATION = 37  # RFC 2941; ESXi offers it first and waits for the answer
    COM_PORT = 44  # RFC 2217
    VMWARE_EXT = 232


class Negotiation(NamedTuple):
    """One of the four verbs about one option."""

    verb: Verb
    option: int

    def __bytes__(self) -> bytes:
        return bytes([0xFF, self.verb, self.option])

    def __str__(self) -> str:
        known = self.option in Option.__members__.values()
        return f"{self.verb.name} {Option(self.option).name if known else self.option}"


_NAMED = frozenset(Option)

# All there can be, made once: a peer may send them by the million.
_NEGOTIATIONS = {
    bytes(each): each for each in (Negotiation(verb, option) for verb in Verb for option in range(256))
}


class Suboption(NamedTuple):
    """What stood between ``IAC SB option`` and ``IAC SE``, IAC un-doubled."""

    option: int
    content: bytes

    def __repr__(self) -> str:
        """Show the size: a service URI's token, or a vMotion's secret, may be in it."""
        return f"<Suboption {self.option} {len(self.content)} bytes>"

    def __bytes__(self) -> bytes:
        return b"\xff\xfa%c%b\xff\xf0" % (self.option, escape(self.content))


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that were dropped, and why."""

    reason: str


Token = bytes | Negotiation | Suboption | Malformed


def escape(data: bytes) -> bytes:
    """Return data as it goes over a connection with BINARY agreed: IAC doubled (RFC 856)."""
    return data.replace(IAC, b"\xff\xff")


def escape_nvt(data: bytes) -> bytes:
    """Return data as it goes over a connection without BINARY: a bare CR becomes CR NUL (RFC 854)."""
    return re.sub(rb"\r(?!\n)", b"\r\x00", escape(data))


class Decoder:
    """Cut received bytes into tokens, in spans, never byte by byte.

    At most ``max_suboption`` bytes of an unfinished suboption are held, and two of an unfinished command.
    """

    __slots__ = ("_after_cr", "_max_suboption", "_rest", "_suboption", "_too_long", "binary")

    def __init__(self, max_suboption: int = MAX_SUBOPTION) -> None:
        self.binary = False  # set when the peer's WILL BINARY is agreed; the NVT rule for CR holds until then
        self._max_suboption = max_suboption
        self._rest = b""  # an unfinished command
        self._suboption: bytearray | None = None  # an unfinished suboption, its option first
        self._too_long = False
        self._after_cr = False  # the last data byte was a CR, and the NVT rule held

    def feed(self, data: bytes) -> Iterator[Token]:
        """Yield the tokens that these bytes finish.

        They are made one at a time as the caller takes them, so that ``binary``, set on a negotiation, holds
        for the very next byte. The iterator must be exhausted before the next call.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        if IAC not in data:
            if data and (token := self._data(data)) is not None:
                yield token
            return
        position, end = 0, len(data)
        while position < end:
            if self._suboption is None and (whole := _WHOLE.match(data, position)):
                position = whole.end()
                option, content = whole.groups()
                yield _NEGOTIATIONS[whole[0]] if option is None else self._whole_suboption(option, content)
                continue
            if span := _DATA.match(data, position):
                position = span.end()
                if (token := self._data(span[0].replace(b"\xff\xff", IAC))) is not None:
                    yield token
                continue
            # An IAC that is not doubled: a command of two or three bytes, or the beginning of one.
            behind = position + 2
            if behind <= end and data[position + 1] in _WITH_OPTION:
                behind += 1
            if behind > end:
                self._rest = data[position:]
                return
            if (token := self._command(data[position + 1 : behind])) is not None:
                yield token
            position = behind

    def _data(self, data: bytes) -> Token | None:
        if self._suboption is not None:
            if len(self._suboption) - 1 + len(data) > self._max_suboption:
                self._too_long = True
            else:
                self._suboption += data
            return None
        if self.binary:
            self._after_cr = False
        else:
            # RFC 854: CR NUL is CR. The two may come in different reads.
            if self._after_cr and data.startswith(b"\x00"):
                data = data[1:]
            self._after_cr = data.endswith(b"\r") if data else False
            data = data.replace(b"\r\x00", b"\r")
        return data or None

    def _command(self, command: bytes) -> Token | None:
        in_suboption = self._suboption is not None
        if in_suboption and command[0] == SE:
            return self._finished_suboption()
        if command[0] == SB or in_suboption:
            self._suboption = bytearray(command[1:]) if command[0] == SB else None
            self._too_long = False
            # RFC 855 allows nothing but a doubled IAC and IAC SE in a suboption. Either may have lost its
            # second half, and which is not to be known: the suboption goes, with this command.
            return Malformed("a suboption without an end was dropped") if in_suboption else None
        if len(command) == 2:
            return _NEGOTIATIONS[IAC + command]
        # NOP, GA, AYT and the others of two bytes ask nothing of a serial port.
        return None

    def _finished_suboption(self) -> Token:
        content, self._suboption = self._suboption or bytearray(), None
        return self._too_long_suboption() if self._too_long else Suboption(content[0], bytes(content[1:]))

    def _whole_suboption(self, option: bytes, content: bytes) -> Token:
        if len(content) > self._max_suboption:
            return self._too_long_suboption()
        return Suboption(option[0], content)

    def _too_long_suboption(self) -> Malformed:
        return Malformed(f"a suboption longer than {self._max_suboption} bytes was dropped")


# What agrees with a verb and what refuses it; which verbs are about the peer's side; which say no. Tables,
# because a peer may negotiate by the million.
_ANSWERS = {
    Verb.WILL: (Verb.DO, Verb.DONT),
    Verb.WONT: (Verb.DO, Verb.DONT),
    Verb.DO: (Verb.WILL, Verb.WONT),
    Verb.DONT: (Verb.WILL, Verb.WONT),
}
_THEIR_SIDE = frozenset({Verb.WILL, Verb.WONT})
_NEGATIVE = frozenset({Verb.WONT, Verb.DONT})
_OURS, _THEIRS = False, True


class _State(enum.Enum):
    """What is known of one option on one side (RFC 1143, section 7).

    NO is to be in no table. We only ever ask for an option to be enabled, so the three states with a refusal
    of ours under way cannot occur and are left out.
    """

    YES = enum.auto()
    WANT_YES = enum.auto()


class Negotiator:
    """What two sides have agreed on, by RFC 1143's Q method: only changes are answered, no peer makes a loop.

    ``ours`` are the options this side performs when asked (DO), ``theirs`` those the peer may perform (WILL).
    It never changes: what either side says leads to another one. There are few, which all connections share.
    """

    __slots__ = ("_others", "_ours", "_states", "_steps", "_theirs")

    def __init__(self, ours: frozenset[int], theirs: frozenset[int]) -> None:
        self._ours, self._theirs = ours, theirs
        # By option, and whose it is. What is not here is in state NO: what a peer makes up is not remembered.
        self._states: dict[tuple[int, bool], _State] = {}
        self._steps: dict[Negotiation, tuple[Negotiator, Negotiation | None]] = {}
        self._others = {frozenset(self._states.items()): self}

    def performs(self, option: int) -> bool:
        """Tell whether this side performs the option, as agreed."""
        return self._states.get((option, _OURS)) is _State.YES

    def peer_performs(self, option: int) -> bool:
        """Tell whether the peer performs the option, as agreed."""
        return self._states.get((option, _THEIRS)) is _State.YES

    def offer(self, option: int) -> "tuple[Negotiator, Negotiation | None]":
        """Ask to perform an option ourselves (WILL)."""
        return self._ask(option, _OURS, Verb.WILL)

    def request(self, option: int) -> "tuple[Negotiator, Negotiation | None]":
        """Ask the peer to perform an option (DO)."""
        return self._ask(option, _THEIRS, Verb.DO)

    def receive(self, negotiation: Negotiation) -> "tuple[Negotiator, Negotiation | None]":
        """Take the peer's word; return what is agreed on then, and the answer, if one is due."""
        if (step := self._steps.get(negotiation)) is None:
            step = self._step(negotiation)
            if negotiation.option in _NAMED:
                self._steps[negotiation] = step
        return step

    def _ask(self, option: int, whose: bool, verb: Verb) -> "tuple[Negotiator, Negotiation | None]":
        if (option, whose) in self._states:
            return self, None
        return self._with(option, whose, _State.WANT_YES), Negotiation(verb, option)

    def _step(self, negotiation: Negotiation) -> "tuple[Negotiator, Negotiation | None]":
        # The table of RFC 1143 is the same for both sides, with DO for WILL and DONT for WONT.
        verb, option = negotiation
        whose = _THEIRS if verb in _THEIR_SIDE else _OURS
        agree, refuse = _ANSWERS[verb]
        state = self._states.get((option, whose))
        if verb in _NEGATIVE:
            answer = Negotiation(refuse, option) if state is _State.YES else None
            return self._with(option, whose, None), answer
        if state is None and option not in (self._theirs if whose else self._ours):
            return self, Negotiation(refuse, option)
        return self._with(option, whose, _State.YES), None if state else Negotiation(agree, option)

    def _with(self, option: int, whose: bool, state: _State | None) -> "Negotiator":
        states = dict(self._states)
        states.pop((option, whose), None)
        if state is not None:
            states[option, whose] = state
        key = frozenset(states.items())
        if (other := self._others.get(key)) is None:
            other = self._others[key] = Negotiator(self._ours, self._theirs)
            other._states, other._others = states, self._others
        return other
