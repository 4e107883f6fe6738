import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice

import pytest

from vmw_cloudinit_metadata.checking.processes import BATCH, WORTH_IT, map_in_processes

THINGS = list(range(BATCH * 7 + 1))

PARENT = os.getpid()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def where(thing: int) -> tuple[int, int]:
    return thing, os.getpid()


@pytest.mark.parametrize("processes", [1, 2, 3, 20])
def test_results_come_in_order_and_from_all_processes(processes: int) -> None:
    results = list(map_in_processes(where, THINGS, processes))
    assert [thing for thing, _ in results] == THINGS
    assert len({process for _, process in results}) == min(processes, 8)
    assert results[0] == (0, PARENT)


def test_a_few_things_are_not_worth_a_process() -> None:
    assert {process for _, process in map_in_processes(where, THINGS[: WORTH_IT - 1])} == {PARENT}
    assert list(map_in_processes(where, [])) == []
    many = list(map_in_processes(where, range(WORTH_IT)))
    assert [thing for thing, _ in many] == list(range(WORTH_IT))
    assert len({process for _, process in many}) <= len(os.sched_getaffinity(0))


def test_the_share_of_a_process_that_is_killed_is_done_by_the_parent() -> None:
    def dies_elsewhere(thing: int) -> tuple[int, int]:
        if thing == BATCH * 3 + 7 and os.getpid() != PARENT:
            os.kill(os.getpid(), signal.SIGKILL)
        return thing, os.getpid()

    results = list(map_in_processes(dies_elsewhere, THINGS, 2))
    assert [thing for thing, _ in results] == THINGS
    assert {process for thing, process in results if thing // BATCH in (3, 5, 7)} == {PARENT}
    assert {process for thing, process in results if thing // BATCH == 1} != {PARENT}


def test_what_goes_wrong_in_a_process_is_raised_by_the_parent(capfd: pytest.CaptureFixture[str]) -> None:
    def fails(thing: int) -> int:
        if thing == BATCH:
            raise ZeroDivisionError
        return thing

    with pytest.raises(ZeroDivisionError):
        list(map_in_processes(fails, THINGS, 2))
    assert capfd.readouterr() == ("", "")


def test_results_that_nobody_takes_end_with_their_processes() -> None:
    results = map_in_processes(lambda thing: bytes(100_000), THINGS, 3)  # more than a pipe holds
    assert len(list(islice(results, BATCH + 1))) == BATCH + 1
    assert len(multiprocessing.active_children()) == 2
    results.close()  # type: ignore[attr-defined]


# Each process tells that it has begun, and waits for a byte with each thing.
PROGRAM = f"""
import os, signal
from vmw_cloudinit_metadata.checking.processes import map_in_processes

def waits(thing):
    os.write(1, b"!")
    os.read(0, 1)

# What a shell has started in the background ignores Ctrl-C, and so does all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    list(map_in_processes(waits, range({BATCH * 3}), 3))
except KeyboardInterrupt:
    os.write(1, b"interrupted")
"""


@pytest.fixture
def program() -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as started:
        assert started.stdout is not None
        assert b"".join(started.stdout.read(1) for _ in range(3)) == b"!!!"
        yield started
        started.kill()


def test_ctrl_c_ends_all_of_them_with_a_word_of_the_parent_alone(program: "subprocess.Popen[bytes]") -> None:
    assert program.stdout is not None
    assert program.stderr is not None
    os.killpg(program.pid, signal.SIGINT)
    program.wait(timeout=30)
    # These end when all of them have.
    assert (program.stdout.read(), program.stderr.read()) == (b"interrupted", b"")


def test_when_the_parent_is_killed_the_others_end_too(
    program: "subprocess.Popen[bytes]",
) -> None:
    program.kill()
    output, error = program.communicate(b"." * BATCH * 2, timeout=30)
    assert (output.strip(b"!"), error) == (b"", b"")
