"""The bench's own parts: what is measured has happened, and what is wrong is found."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import boots, programs
from tests.bench.definitions import write_large, write_usual
from tests.bench.programs import Load, Running
from tests.bench.table import Row, text

VMS = 20

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def built() -> Path:
    if missing := programs.nothing_is_missing():
        pytest.skip(f"needs {missing}")
    return programs.build()


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bench") / "usual"
    write_usual(directory, VMS)
    return directory


@pytest.fixture(scope="module")
def ours(definitions: Path) -> Iterator[Running]:
    with programs.ours(definitions) as server:
        yield server


def test_vms_boot_and_get_what_is_theirs(built: Path, ours: Running) -> None:
    done = Load(built, ours.port).boots(0.2, VMS, at_once=VMS)
    assert done["boots"] > 0
    assert 0 < done["boot"]["p50"] <= done["boot"]["p99"] <= done["boot"]["max"]


def test_a_fleet_asks_and_moves(built: Path, ours: Running) -> None:
    with Load(built, ours.port).fleet(VMS) as fleet:
        assert fleet.ask()["asked"] == VMS
        moved = fleet.move(rate=200, seconds=0.1)
        assert (moved["vmotions"], moved["refused"]) == (20, 0)
        assert fleet.ask()["asked"] == VMS


def test_the_metadata_of_another_vm_is_noticed(
    built: Path, ours: Running, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers"
    answers.write_bytes(boots.record_answers(ours.port))
    with programs.least(built, answers) as server:
        load = Load(built, server.port)
        assert load.boots(0.1, VMS, any_answer=True)["boots"] > 0
        with pytest.raises(subprocess.CalledProcessError):
            load.boots(0.1, VMS)
    assert "the metadata of another" in capfd.readouterr().err


def test_the_least_in_python_answers_as_well(built: Path, ours: Running, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.write_bytes(boots.record_answers(ours.port))
    with programs.fixed(answers) as server:
        assert Load(built, server.port).boots(0.1, VMS, any_answer=True)["boots"] > 0


def test_what_a_server_uses_is_seen(built: Path, tmp_path: Path) -> None:
    write_large(tmp_path / "large", MEBIBYTE)
    with programs.ours(tmp_path / "large") as server, Load(built, server.port).fleet(2) as fleet:
        before = server.usage()
        assert before.cpu > 0
        assert before.resident > MEBIBYTE
        server.reset_peak()
        fleet.ask()
        assert server.peak() > before.resident


def test_a_row_that_missed_its_target_says_so() -> None:
    assert text([Row("held", "9 KiB", "<= 12 KiB", True), Row("asked", "3 s", "<= 2 s", False)]) == (
        "| what  | measured | target    |        |\n"
        "|-------|----------|-----------|--------|\n"
        "| held  | 9 KiB    | <= 12 KiB | ok     |\n"
        "| asked | 3 s      | <= 2 s    | MISSED |"
    )
