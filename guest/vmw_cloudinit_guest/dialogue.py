"""The conversation on one port, sans-IO: received bytes in, requests out; time and randomness are passed in.

It cuts lines, tells answers from noise, settles the version, and knows how long to wait before asking again.
Which question is next is the course's (``version1.py``, ``version2.py``); other ports, and when to give up,
are ``client.py``'s.

Requests always have the form of version 2, which a server of version 1 passes over. The first answer to
METADATA settles the version. An answer of version 2 has a sum, so a broken line can look like version 1 but
never like version 2: after 1 such an answer still counts, and all begins anew with it.
"""

from typing import Callable, Dict, Optional

from vmw_cloudinit_guest.course import BusyError, ChangedError, Course, RefusedError
from vmw_cloudinit_guest.documents import DocumentError, Documents, Held
from vmw_cloudinit_guest.pieces import PieceSize
from vmw_cloudinit_guest.version1 import Version1
from vmw_cloudinit_guest.version2 import Version2
from vmw_cloudinit_wire import LineBuffer, Packet, PacketError, decode, encode, options

Trace = Callable[[str], None]

# Seconds without a byte of the expected line until the request goes out again; doubled each time, up to the
# longest.
FIRST_WAIT = 1.0
LONGEST_WAIT = 8.0
# Where an answer of version 2 came and was broken, there is a server, and nothing to wait for. So many times
# in a row, in which the largest piece shrinks to the smallest, it is asked again at once.
HASTE = 6
# A definition that changes more often than this during one fetch must not hold up a boot for ever.
MAX_RUNS = 8


class Dialogue:
    """Ask the questions one after the other until all documents are there.

    Attributes:
        version: of the packets; None until an answer has settled it.
        progressed: when the latest progress was made: a good answer, or more of one than ever came before.
            None until the first good answer.
        fault: why the latest answer to the question at hand could not be used; None if there was none.
        busy: what the server said when it had no answer yet; None if it was not the latest it said.
        refusal: why there is no use in going on; None as long as there is.
        retries: how many questions were asked again.
    """

    def __init__(self, now: float, trace: Trace, held: Dict[str, Held], fresh_id: Callable[[], str]) -> None:
        self.version: Optional[int] = None
        self.progressed: Optional[float] = None
        self.fault: Optional[str] = None
        self.busy: Optional[str] = None
        self.refusal: Optional[RefusedError] = None
        self.retries = 0
        self._trace = trace
        self._held = held
        self._fresh_id = fresh_id
        self._lines = LineBuffer()
        self._size = PieceSize()
        self._runs = 0
        self._run = ""
        self._course: Course = Version2(held, self._size)
        # The question at hand: whether it was asked before, and with which id; how many times it may be asked
        # again at once; when to ask, and how long to wait then; how much of an answer there ever was.
        self._asked = False
        self._id: Optional[str] = None
        self._haste = HASTE
        self._due = now
        self._wait = 0.0
        self._longest = 0
        self._begin_run(now)

    @property
    def documents(self) -> Optional[Documents]:
        """The documents, once all are there."""
        return self._course.documents

    @property
    def etags(self) -> Dict[str, str]:
        """The etags of the documents, by file, as far as they are there; none in version 1."""
        return self._course.etags

    @property
    def awaited(self) -> str:
        """The code of the answer to the question at hand; empty after the last."""
        return f"RESPONSE_{self._course.kind.code}" if self._course.kind else ""

    @property
    def arriving(self) -> bool:
        """Whether the answer to the question at hand has begun, and its rest is still to come."""
        return bool(self._course.kind and self._lines.size_from(self._beginning))

    def seconds_until_due(self, now: float) -> float:
        """Return for how long there is nothing to send, unless something is received."""
        return max(0.0, self._due - now)

    def data_to_send(self, now: float) -> bytes:
        """Return the request that is due, or nothing; with it begins the next, longer wait."""
        kind = self._course.kind
        if kind is None or self.refusal or now < self._due:
            return b""
        if self._asked:
            self.retries += 1
            self._course.missed()
        self._asked = True
        self._id = request_id = self._fresh_id()
        self._wait = min(2 * self._wait, LONGEST_WAIT) if self._wait else FIRST_WAIT
        self._due = now + self._wait
        self._trace(f"> REQUEST_{kind.code}{self._course.part}")
        pairs = [("v", "2"), ("run", self._run), ("id", request_id), *self._course.options()]
        # A server of 0.0.8 ends lines at LF, and disconnects on a blank line and on one without "#".
        return encode(options.request(f"REQUEST_{kind.code}", pairs), end=b"\n")

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what came over the line, cut anywhere; noise, echoes and other codes are skipped."""
        dropped = self._lines.dropped
        for line in self._lines.feed(data):
            self._receive_line(line, now)
        if self._lines.dropped > dropped:
            self._refuse(f"a line of more than {self._lines.limit} bytes", now)
        elif self._course.kind:
            self._receive_part(self._lines.size_from(self._beginning), now)

    @property
    def _beginning(self) -> bytes:
        """How a line with the answer begins, be it whole, broken or still arriving."""
        return f"!!{self.awaited}#".encode()

    def _receive_line(self, line: bytes, now: float) -> None:
        try:
            packet = decode(line)
        except PacketError as error:
            self._trace(f"< skipped a line of {len(line)} bytes: {error}")
            if self._course.kind and self._beginning in line:
                self._refuse(str(error), now, at_once=self.version == 2)
            return
        answer = options.read_answer(packet)
        status = f" {answer.get('status')}" if answer else ""
        self._trace(f"< {packet.code} {len(packet.payload)} bytes{status}")
        if self._course.kind is None or self.refusal or packet.code != self.awaited:
            return
        if answer is None:
            self._receive_without_sum(packet, now)
        elif answer.get("id") != self._id:
            # To an earlier attempt: the server is slow, and the next answer is as far behind as its question.
            # Who waits no longer than that overtakes it, again and again.
            self._due = max(self._due, now + 2 * self._wait)
        elif self.version == 1:
            self.version = 2
            self._begin_run(now)
        else:
            self.version = 2
            self._take(self._course, packet.payload, answer, now)

    def _receive_without_sum(self, packet: Packet, now: float) -> None:
        """Take an answer that is of version 1, or broken."""
        if packet.options or self.version == 2:
            self._refuse("its sum is wrong", now, at_once=True)
            return
        course = self._course if self.version else Version1()
        self._take(course, packet.payload, {}, now)
        if self._course is course:
            self.version = 1

    def _take(self, course: Course, payload: bytes, answer: Dict[str, str], now: float) -> None:
        self.busy = None
        try:
            course.take(payload, answer)
        except DocumentError as error:
            self._refuse(str(error), now)
        except BusyError as busy:
            self._trace(f"  busy for {busy.seconds} s")
            self.busy = busy.sentence
            self._ask(now + busy.seconds)
        except ChangedError:
            self.version = None  # a run settles its own: with this word a server can also go over to 1
            self._begin_run(now)
        except RefusedError as refused:
            self.refusal = refused
        else:
            self._course = course
            self.progressed = now
            self._longest = 0
            self._haste = HASTE
            self._ask(now)

    def _receive_part(self, size: int, now: float) -> None:
        """Begin the wait anew if an answer has begun: what is still arriving is never asked for twice."""
        if not size:
            return
        self._due = now + (self._wait or FIRST_WAIT)
        # Only more than ever is progress: a server that breaks off, again and again, must not hold up the
        # boot for ever.
        if size > self._longest:
            self._longest = size
            if self.progressed is not None:
                self.progressed = now

    def _refuse(self, reason: str, now: float, at_once: bool = False) -> None:
        """Remember why an answer is of no use; it is asked for again, mostly after the wait."""
        self._trace(f"  refused: {reason}")
        self.fault = reason
        if at_once and self._haste:
            self._haste -= 1
            self._wait = 0.0
        self._due = now + self._wait

    def _begin_run(self, now: float) -> None:
        """Ask for everything, from the beginning."""
        if self._runs == MAX_RUNS:
            self.refusal = RefusedError("changed", "")
            return
        self._runs += 1
        self._run = self._fresh_id()
        self._course = Version1() if self.version == 1 else Version2(self._held, self._size)
        self._longest = 0
        self._haste = HASTE
        self._ask(now)

    def _ask(self, due: float) -> None:
        """Have a question asked for the first time."""
        self.fault = None
        self._asked = False
        self._id = None
        self._wait = 0.0
        self._due = due
