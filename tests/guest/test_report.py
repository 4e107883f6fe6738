from typing import Dict, List, Tuple

import pytest

from tests.guest.conversation import Clock, Log, counted_ids
from vmw_cloudinit_guest.client import Ports
from vmw_cloudinit_guest.report import send
from vmw_cloudinit_wire import decode, encode, options

PAYLOAD = b'{"stage": "seed"}'


class Line(Ports):
    """A port whose far end acknowledges after a delay; time passes while somebody reads."""

    def __init__(self, clock: Clock, status: str = "ok", delay: float = 0.25) -> None:
        self.clock = clock
        self.began = clock.now
        self.status = status
        self.delay = delay
        self.sent: List[Tuple[float, bytes]] = []
        self.coming: List[Tuple[float, str, bytes]] = []

    def open(self) -> List[str]:
        return ["ttyS1", "ttyS2"]

    def write(self, name: str, data: bytes) -> None:
        assert name == "ttyS1"
        self.sent.append((self.clock.now - self.began, data))
        said = options.read_answer(decode(data))
        assert said
        self.coming.append((self.clock.now + self.delay, name, self.acknowledgement(said["id"])))
        self.coming.sort()

    def acknowledgement(self, report_id: str, status: str = "") -> bytes:
        pairs = [("v", "2"), ("id", report_id), ("status", status or self.status)]
        return b"\r\n" + encode(options.answer("RESPONSE_REPORT", b"", pairs))

    def read(self, seconds: float, gather: bool = False) -> List[Tuple[str, bytes]]:
        if self.coming and self.coming[0][0] <= self.clock.now + seconds:
            self.clock.now, name, data = self.coming.pop(0)
            return [(name, data)]
        self.clock.now += seconds
        return []

    def keep(self, name: str) -> None:
        raise NotImplementedError

    def closed(self) -> Dict[str, str]:
        raise NotImplementedError


class Sent:
    """One report, sent over a line."""

    def __init__(self, line: Line, seconds: float) -> None:
        self.log = Log()
        self.taken = send(line, "ttyS1", PAYLOAD, seconds, line.clock, self.log, counted_ids())
        self.elapsed = line.clock.now - line.began
        self.times = [time for time, _ in line.sent]


def test_a_report_is_a_packet_with_options_and_is_acknowledged() -> None:
    line = Line(Clock())
    sent = Sent(line, seconds=1)
    assert (sent.taken, sent.elapsed, sent.times) == (True, 0.25, [0])
    packet = decode(line.sent[0][1])
    assert (packet.code, packet.payload) == ("REPORT_STATUS", PAYLOAD)
    assert options.read_answer(packet) == {"v": "2", "id": "00000001"}
    assert sent.log == ["ttyS1 > REPORT_STATUS 17 bytes", "ttyS1 < RESPONSE_REPORT ok"]


def test_without_an_acknowledgement_it_goes_out_again_each_second_until_the_time_is_up() -> None:
    sent = Sent(Line(Clock(), delay=60), seconds=3.5)
    assert (sent.taken, sent.elapsed, sent.times) == (False, 3.5, [0, 1, 2, 3])


def test_a_late_acknowledgement_of_the_first_attempt_will_do() -> None:
    sent = Sent(Line(Clock(), delay=1.5), seconds=5)
    assert (sent.taken, sent.elapsed, sent.times) == (True, 1.5, [0, 1])


@pytest.mark.parametrize("status", ["invalid", "denied", "unsupported"])
def test_a_server_that_does_not_take_it_is_not_asked_again(status: str) -> None:
    sent = Sent(Line(Clock(), status), seconds=5)
    assert (sent.taken, sent.times) == (False, [0])


def test_a_server_that_is_busy_is_told_again() -> None:
    line = Line(Clock(), "busy")
    line.coming.append((line.clock.now + 2.5, "ttyS1", line.acknowledgement("00000002", "ok")))
    sent = Sent(line, seconds=5)
    assert (sent.taken, sent.elapsed, sent.times) == (True, 2.5, [0, 1, 2])


@pytest.mark.parametrize(
    "noise",
    [
        b"login: ",
        b"!!RESPONSE_REPORT#\r\n",
        b"!!RESPONSE_REPORT##v=2;id=00000001;status=ok;sum=00000000\r\n",
        b"!!REPORT_STATUS#aGk=#v=2\r\n",
        b"x" * 100_000,
    ],
)
def test_noise_is_no_acknowledgement(noise: bytes) -> None:
    line = Line(Clock(), delay=0.5)
    line.coming.append((line.clock.now, "ttyS1", noise))
    sent = Sent(line, seconds=5)
    assert (sent.taken, sent.elapsed) == (True, 0.5)


def test_an_acknowledgement_of_another_report_or_on_another_port_does_not_count() -> None:
    line = Line(Clock(), delay=60)
    line.coming.append((line.clock.now, "ttyS1", line.acknowledgement("0000ffff")))
    line.coming.append((line.clock.now, "ttyS2", line.acknowledgement("00000001")))
    assert not Sent(line, seconds=0.5).taken
