from typing import Dict, List, Optional, Tuple, Type
from unittest.mock import ANY

import pytest

from tests.guest.conversation import (
    ASKED,
    METADATA,
    PAYLOADS,
    RANDOM,
    USERDATA,
    Clock,
    Log,
    Version2Server,
    asked_for,
    counted_ids,
    etag,
    response,
)
from vmw_cloudinit_guest.client import PROGRESS_SECONDS, Ports, Result, fetch
from vmw_cloudinit_guest.documents import Held
from vmw_cloudinit_guest.errors import (
    DeniedError,
    GuestError,
    NoAnswerError,
    NoPortError,
    UnknownVMError,
    UnusableAnswerError,
)


class Server:
    """What is behind one port: answers each request after a delay, in version 1 unless told otherwise."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.payloads = dict(PAYLOADS)
        self.asked: List[Tuple[float, str]] = []

    def answer(self, name: str) -> bytes:
        return response(name, self.payloads[name]) if name in self.payloads else b""

    def answer_line(self, line: bytes) -> bytes:
        return self.answer(asked_for(line)[0])


class NewServer(Server):
    """Answers in version 2."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(delay)
        self.half = Version2Server()

    def answer_line(self, line: bytes) -> bytes:
        return self.half.answer(line)


class SilentServer(Server):
    def answer(self, name: str) -> bytes:
        return b""


class FakePorts(Ports):
    """Ports with servers behind them, in a world whose time passes only while somebody waits."""

    def __init__(self, clock: Clock, servers: Dict[str, Server]) -> None:
        self.clock = clock
        self.servers = servers
        self.in_use: Dict[str, float] = {}
        self.coming: List[Tuple[float, str, bytes]] = []
        self.kept: Optional[str] = None
        self.stuck = 0

    def open(self) -> List[str]:
        return [name for name in self.servers if name not in self.closed()]

    def write(self, name: str, data: bytes) -> None:
        server = self.servers[name]
        server.asked.append((self.clock.now, asked_for(data)[0]))
        answer = server.answer_line(data)
        if answer:
            self.coming.append((self.clock.now + server.delay, name, answer))

    def read(self, seconds: float, gather: bool = False) -> List[Tuple[str, bytes]]:
        self.stuck = self.stuck + 1 if seconds == 0 else 0
        assert self.stuck < 10, "the client does not wait"
        self.coming.sort()
        if self.coming and self.coming[0][0] <= self.clock.now + seconds:
            time, name, data = self.coming.pop(0)
            self.clock.now = max(time, self.clock.now)
            return [(name, data)] if name in self.open() else []
        self.clock.now += min([seconds] + [0.25 for _ in self.closed()])
        return []

    def keep(self, name: str) -> None:
        self.kept = name
        self.servers = {name: self.servers[name]}

    def closed(self) -> Dict[str, str]:
        return {
            name: "is in use by another program"
            for name in self.servers
            if self.in_use.get(name, 0) > self.clock.now
        }


class World:
    def __init__(self, **servers: Server) -> None:
        self.clock = Clock()
        self.began = self.clock.now
        self.ports = FakePorts(self.clock, servers)
        self.log = Log()

    def fetch(self, timeout: float = 120.0, held: Optional[Dict[str, Held]] = None) -> Result:
        return fetch(self.ports, timeout, self.clock, self.log, held, counted_ids())

    def fails(self, error: Type[GuestError], timeout: float = 120.0) -> str:
        with pytest.raises(GuestError) as caught:
            self.fetch(timeout)
        assert type(caught.value) is error
        return str(caught.value)

    @property
    def elapsed(self) -> float:
        return self.clock.now - self.began


def test_the_documents_come_from_the_port_that_answers() -> None:
    world = World(ttyS1=Server())
    result = world.fetch()
    assert (result.port, result.version, result.retries, result.seconds) == ("ttyS1", 1, 0, 0)
    assert result.documents.user_data == USERDATA
    assert result.etags == {}


def test_a_dead_port_costs_nothing_and_is_released() -> None:
    world = World(ttyS1=SilentServer(), ttyS2=SilentServer(), ttyS3=Server(delay=0.1))
    assert world.fetch().port == "ttyS3"
    assert world.ports.kept == "ttyS3"
    assert world.elapsed == pytest.approx(0.4)


def test_of_two_servers_the_first_one_gives_all_documents() -> None:
    world = World(ttyS1=Server(delay=0.2), ttyS2=Server(delay=0.1))
    assert world.fetch().port == "ttyS2"
    assert [document for _, document in world.ports.servers["ttyS2"].asked] == ASKED


def test_a_slow_server_is_asked_again_and_its_late_answer_is_taken() -> None:
    server = Server(delay=5.0)
    world = World(ttyS1=server)
    result = world.fetch()
    assert result.documents.user_data == USERDATA
    first = [time - world.began for time, document in server.asked if document == "METADATA"][:3]
    assert first == [0, 1, 3]
    assert result.retries >= 2


def test_each_line_of_the_trace_names_its_port() -> None:
    world = World(ttyS1=SilentServer(), ttyS2=Server())
    world.fetch()
    assert world.log[:3] == [
        "ttyS1 > REQUEST_METADATA from 0, at most 4096 bytes",
        "ttyS2 > REQUEST_METADATA from 0, at most 4096 bytes",
        f"ttyS2 < RESPONSE_METADATA {len(METADATA)} bytes",
    ]


def test_when_nobody_answers_the_deadline_ends_it() -> None:
    world = World(ttyS1=SilentServer(), ttyS2=SilentServer())
    with pytest.raises(NoAnswerError, match=r"nobody answers on ttyS1, ttyS2;.*check that"):
        world.fetch(timeout=10)
    assert world.elapsed == 10
    assert [time - world.began for time, _ in world.ports.servers["ttyS1"].asked] == [0, 1, 3, 7]


def test_a_port_in_use_is_waited_for() -> None:
    world = World(ttyS1=Server())
    world.ports.in_use = {"ttyS1": world.clock.now + 20}
    world.fetch()
    assert world.elapsed == 20


def test_a_port_in_use_until_the_deadline_is_named() -> None:
    world = World(ttyS1=Server(), ttyS2=SilentServer())
    world.ports.in_use = {"ttyS1": world.clock.now + 20}
    expected = "nobody answers on ttyS2; ttyS1 is in use by another program;"
    with pytest.raises(NoAnswerError, match=expected):
        world.fetch(timeout=5)
    assert world.elapsed == 5


def test_a_broken_answer_is_asked_for_until_the_deadline_and_then_unusable() -> None:
    server = Server()
    server.payloads["METADATA"] = b"[]"
    world = World(ttyS1=SilentServer(), ttyS2=server)
    expected = "answer on ttyS2 cannot be used: the metadata is not a JSON object;"
    with pytest.raises(UnusableAnswerError, match=expected):
        world.fetch(timeout=10)
    assert world.elapsed == 10
    assert [time - world.began for time, _ in server.asked] == [0, 1, 3, 7]


def test_a_broken_answer_then_a_good_one_is_no_failure() -> None:
    class Mending(Server):
        def answer(self, name: str) -> bytes:
            return super().answer(name) if len(self.asked) > 2 else b"!!RESPONSE_METADATA#%\n"

    world = World(ttyS1=Mending())
    world.fetch()
    assert world.elapsed == 3


@pytest.mark.parametrize("missing", ["NETWORKDATA", "USERDATA"])
def test_a_document_that_never_comes_makes_no_mixture(missing: str) -> None:
    server = Server(delay=1.0)
    del server.payloads[missing]
    world = World(ttyS1=server)
    with pytest.raises(NoAnswerError, match=f"ttyS1 answered, then .* for 30 s while RESPONSE_{missing}"):
        world.fetch(timeout=2)
    assert world.elapsed == (1 if missing == "NETWORKDATA" else 2) + PROGRESS_SECONDS


def test_after_the_first_answer_the_deadline_does_not_count_but_progress_does() -> None:
    class Dribbling(Server):
        """Sends the user-data in pieces, one every 0.9 s."""

        def answer(self, name: str) -> bytes:
            if name != "USERDATA":
                return super().answer(name)
            line = response("USERDATA", b"x" * 3000)
            now = world.clock.now
            for number, start in enumerate(range(0, len(line), 20)):
                world.ports.coming.append((now + 0.9 * number, "ttyS1", line[start : start + 20]))
            return b""

    server = Dribbling()
    world = World(ttyS1=server)
    assert world.fetch(timeout=2).documents.user_data == b"x" * 3000
    assert world.elapsed > 100
    assert [document for _, document in server.asked] == ASKED


def test_a_server_that_breaks_off_at_the_same_place_for_ever_is_given_up() -> None:
    class BreakingOff(Server):
        def answer(self, name: str) -> bytes:
            line = super().answer(name)
            return line[:30] if name == "USERDATA" else line

    world = World(ttyS1=BreakingOff())
    with pytest.raises(NoAnswerError):
        world.fetch()
    assert world.elapsed == PROGRESS_SECONDS


def test_no_port_is_for_the_ports_to_say() -> None:
    class NoPorts(FakePorts):
        def open(self) -> List[str]:
            raise NoPortError("none")

    clock = Clock()
    with pytest.raises(NoPortError):
        fetch(NoPorts(clock, {}), 1, clock, Log(), {}, counted_ids())


# Version 2


def test_in_version_2_the_result_says_how_it_came() -> None:
    world = World(ttyS1=SilentServer(), ttyS2=NewServer(delay=0.25))
    result = world.fetch()
    assert (result.port, result.version, result.retries, result.seconds) == ("ttyS2", 2, 0, 0.75)
    assert result.etags["user-data"] == etag(USERDATA)
    assert world.ports.kept == "ttyS2"


def test_what_is_held_is_not_asked_for() -> None:
    server = NewServer()
    files = {"meta-data": METADATA, "user-data": USERDATA, "network-config": PAYLOADS["NETWORKDATA"]}
    world = World(ttyS1=server)
    result = world.fetch(held={file: Held(etag(content), content) for file, content in files.items()})
    assert server.half.codes == ["METADATA"]
    assert result.documents.user_data == USERDATA


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        ("not-found", UnknownVMError, "the server on ttyS1 does not know this VM: so it is"),
        ("denied", DeniedError, "the server on ttyS1 denies this VM its data: so it is"),
        ("invalid", UnusableAnswerError, "what the server on ttyS1 has for this VM cannot be used: so it is"),
        ("unsupported", UnusableAnswerError, "the server on ttyS1 does not serve metadata: so it is"),
    ],
)
def test_a_refusal_ends_it_at_once(status: str, error: Type[GuestError], sentence: str) -> None:
    server = NewServer(delay=0.1)
    server.half.statuses["METADATA"] = status
    server.half.sentence = b"so it is"
    world = World(ttyS1=server, ttyS2=NewServer(delay=5))
    assert world.fails(error) == sentence
    assert world.elapsed == pytest.approx(0.1)


def test_a_refusal_without_a_sentence_is_one_all_the_same() -> None:
    server = NewServer()
    server.half.statuses["USERDATA"] = "denied"
    assert World(ttyS1=server).fails(DeniedError) == "the server on ttyS1 denies this VM its data"


def test_a_definition_that_changes_all_the_time_is_no_answer() -> None:
    server = NewServer()
    server.half.statuses["USERDATA"] = "changed"
    assert "changed again and again" in World(ttyS1=server).fails(NoAnswerError)


def test_a_busy_server_is_asked_until_the_deadline_and_then_named() -> None:
    server = NewServer()
    server.half.statuses["METADATA"] = "busy;retry=4"
    server.half.sentence = b"the driver is slow"
    world = World(ttyS1=SilentServer(), ttyS2=server)
    expected = "no answer in time: the server on ttyS2 is busy: the driver is slow"
    assert world.fails(NoAnswerError, timeout=10) == expected
    assert world.elapsed == 10
    assert [time - world.began for time, _ in server.asked] == [0, 4, 8]


def test_a_busy_server_does_not_settle_the_port() -> None:
    busy = NewServer()
    busy.half.statuses["METADATA"] = "busy;retry=4"
    world = World(ttyS1=busy, ttyS2=NewServer(delay=1))
    assert world.fetch().port == "ttyS2"


def test_a_server_that_is_busy_in_the_middle_is_waited_for_as_long_as_for_progress() -> None:
    server = NewServer()
    server.half.statuses["USERDATA"] = "busy;retry=7"
    world = World(ttyS1=server)
    assert "is busy" in world.fails(NoAnswerError, timeout=2)
    assert world.elapsed == PROGRESS_SECONDS


def test_a_definition_that_changes_once_after_the_deadline_is_read_to_its_end() -> None:
    class Replaced(NewServer):
        def answer_line(self, line: bytes) -> bytes:
            if len(self.half.requests) == 3:
                self.half = Version2Server(USERDATA=b"new" * 10_000)
            return super().answer_line(line)

    server = Replaced(delay=2)
    server.half.documents["USERDATA"] = b"old" * 10_000
    world = World(ttyS1=server)
    assert world.fetch(timeout=4).documents.user_data == b"new" * 10_000


class SlowLine(FakePorts):
    """A line that gives so many bytes at a time, and fifty times as many if they are gathered."""

    def __init__(self, clock: Clock, server: Server, size: int) -> None:
        super().__init__(clock, {"ttyS1": server})
        self.size = size
        self.line = b""
        self.reads: List[Tuple[bool, int]] = []

    def read(self, seconds: float, gather: bool = False) -> List[Tuple[str, bytes]]:
        for _, data in super().read(seconds):
            self.line += data
        size = 50 * self.size if gather else self.size
        data, self.line = self.line[:size], self.line[size:]
        self.reads.append((gather, len(data)))
        return [("ttyS1", data)] if data else []


def test_of_an_answer_that_arrives_slowly_the_rest_is_gathered_and_never_the_beginning() -> None:
    server = NewServer()
    server.half.documents.update(USERDATA=RANDOM[:4000], NETWORKDATA=None)
    clock = Clock()
    ports = SlowLine(clock, server, 40)
    assert fetch(ports, 1, clock, Log(), {}, counted_ids()).documents.user_data == RANDOM[:4000]
    # METADATA, then some 5,500 bytes of user-data.
    assert ports.reads == [(False, 40), (True, ANY), (False, 40), (True, 2000), (True, 2000), (True, ANY)]


def test_of_one_that_arrives_fast_nothing_is() -> None:
    server = NewServer()
    server.half.documents["USERDATA"] = RANDOM[:30_000]
    clock = Clock()
    ports = SlowLine(clock, server, 2048)
    assert fetch(ports, 1, clock, Log(), {}, counted_ids()).documents.user_data == RANDOM[:30_000]
    assert not any(gather for gather, _ in ports.reads)
