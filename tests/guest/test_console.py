import os
import sys
from pathlib import Path
from typing import Any

import pytest

from vmw_cloudinit_guest.console import Level, say


def test_on_a_terminal_what_is_wrong_names_the_program(capsys: Any) -> None:
    say(Level.INFO, "seed written")
    say(Level.WARNING, "a disk")
    say(Level.ERROR, "no answer")
    say(Level.DEBUG, "ttyS1 > REQUEST_METADATA")
    captured = capsys.readouterr()
    assert captured.out == "seed written\n"
    assert captured.err.splitlines() == [
        "vmw-cloudinit-guest: warning: a disk",
        "vmw-cloudinit-guest: no answer",
        "ttyS1 > REQUEST_METADATA",
    ]


def test_in_the_journal_a_line_carries_its_priority_and_the_journal_names_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with journal.open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        say(Level.INFO, "seed written")
        say(Level.WARNING, "a disk")
        say(Level.ERROR, "no answer")
    assert journal.read_text().splitlines() == ["<6>seed written", "<4>warning: a disk", "<3>no answer"]


@pytest.mark.parametrize("stream", ["1:2", "nonsense", ""])
def test_a_journal_that_is_somebody_elses_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: str
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    path = tmp_path / "out"
    with path.open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        say(Level.INFO, "seed written")
    assert path.read_text() == "seed written\n"


def test_nothing_from_outside_breaks_or_recolours_the_line(capsys: Any) -> None:
    say(Level.INFO, "i\n\x1b[31mw\xe9b")
    assert capsys.readouterr().out == "i??[31mw\\xe9b\n"


def test_a_line_that_nobody_can_take_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        say(Level.INFO, "seed written")
        say(Level.INFO, "seed written")
    # Closing has flushed what was left.
    assert full.closed


def test_without_standard_output_a_line_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    monkeypatch.setattr(sys, "stdout", None)
    say(Level.INFO, "seed written")
