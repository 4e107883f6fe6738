"""The conversation on one port, sans-IO: received bytes in, requests out, the time passed in.

It knows the order of the questions, what an answer to each is, and how long to wait before asking again. It
knows nothing of ports, of other ports' conversations, and of when to give up: that is ``client.py``.

Packets of version 1: one request and one answer for each document.
"""

from typing import Callable, List, NamedTuple, Optional

from vmw_cloudinit_guest import documents
from vmw_cloudinit_guest.documents import DocumentError, Documents
from vmw_cloudinit_wire import LineBuffer, Packet, PacketError, decode, encode

Trace = Callable[[str], None]

# Seconds without a byte of the expected line until the request goes out again; doubled each time, up to the
# longest.
FIRST_WAIT = 1.0
LONGEST_WAIT = 8.0


class Question(NamedTuple):
    """A request, the code of its answer, and the check that makes a document of the answer's payload."""

    request: str
    response: str
    check: Callable[[bytes], Optional[bytes]]


# METADATA first: without an instance-id the others are worth nothing, and the port is chosen by it.
QUESTIONS = (
    Question("REQUEST_METADATA", "RESPONSE_METADATA", documents.meta_data),
    Question("REQUEST_NETWORKDATA", "RESPONSE_NETWORKDATA", documents.network_config),
    Question("REQUEST_USERDATA", "RESPONSE_USERDATA", documents.user_data),
)


class Dialogue:
    """Ask the questions one after the other until all documents are there.

    Attributes:
        progressed: when the latest progress was made: a good answer, or more of an answer than ever came
        before.
            None until the first good answer.
        fault: why the latest answer to the question at hand could not be used; None if there was none.
    """

    def __init__(self, now: float, trace: Trace) -> None:
        self.progressed: Optional[float] = None
        self.fault: Optional[str] = None
        self._trace = trace
        self._lines = LineBuffer()
        self._answers: List[Optional[bytes]] = []
        self._wait = 0.0
        self._due = now
        self._longest = 0

    @property
    def question(self) -> Optional[Question]:
        """The question at hand, or None after the last answer."""
        return QUESTIONS[len(self._answers)] if len(self._answers) < len(QUESTIONS) else None

    @property
    def documents(self) -> Optional[Documents]:
        """The documents, once all are there; never some of them, as a seed must not be a mixture."""
        if self.question:
            return None
        meta_data, network_config, user_data = self._answers
        return Documents(meta_data or b"", network_config, user_data or b"")

    def seconds_until_due(self, now: float) -> float:
        """Return for how long there is nothing to send, unless something is received."""
        return max(0.0, self._due - now)

    def data_to_send(self, now: float) -> bytes:
        """Return the request that is due, or nothing; with it begins the next, longer wait."""
        if self.question is None or now < self._due:
            return b""
        self._trace(f"> {self.question.request}")
        self._wait = min(2 * self._wait, LONGEST_WAIT) if self._wait else FIRST_WAIT
        self._due = now + self._wait
        # A server of 0.0.8 ends lines at LF, and disconnects on a blank line and on one without "#".
        return encode(Packet(self.question.request), end=b"\n")

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what came over the line, cut anywhere; noise, echoes and other codes are skipped."""
        dropped = self._lines.dropped
        for line in self._lines.feed(data):
            self._receive_line(line, now)
        if self._lines.dropped > dropped:
            self._refuse(f"a line of more than {self._lines.limit} bytes", now)
        elif self.question:
            self._receive_part(self._lines.size_from(_beginning(self.question)), now)

    def _receive_line(self, line: bytes, now: float) -> None:
        question = self.question
        try:
            packet = decode(line)
        except PacketError as error:
            self._trace(f"< skipped a line of {len(line)} bytes: {error}")
            if question and _beginning(question) in line:
                self._refuse(str(error), now)
            return
        self._trace(f"< {packet.code} {len(packet.payload)} bytes")
        if question is None or packet.code != question.response:
            return
        try:
            self._answers.append(question.check(packet.payload))
        except DocumentError as error:
            self._refuse(str(error), now)
        else:
            self._ask_next(now)

    def _receive_part(self, size: int, now: float) -> None:
        """Begin the wait anew if an answer has begun: what is still arriving is never asked for twice."""
        if not size:
            return
        self._due = now + self._wait
        # Only more than ever is progress: a server that breaks off, again and again, must not hold up the
        # boot for ever.
        if size > self._longest:
            self._longest = size
            if self.progressed is not None:
                self.progressed = now

    def _refuse(self, reason: str, now: float) -> None:
        """Remember why an answer is of no use; it is asked for again, but only after the wait."""
        self._trace(f"  refused: {reason}")
        self.fault = reason
        self._due = now + self._wait

    def _ask_next(self, now: float) -> None:
        self.progressed = now
        self.fault = None
        self._wait = 0.0
        self._due = now
        self._longest = 0


def _beginning(question: Question) -> bytes:
    """Return how a line with the answer begins, be it whole, broken or still arriving."""
    return b"!!%b#" % question.response.encode()
