"""Run a command in the test's own process, as ``main`` does it: exit code, standard output and error."""

import sys
from typing import NamedTuple

import pytest

from vmw_cloudinit_metadata.cli import main


class Done(NamedTuple):
    """What a command leaves behind."""

    exit_code: int
    output: str
    error: str


class Commands:
    """``vmw-cloudinit-metadata``, to be called with its arguments."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Done:
        """Run it to its end."""
        self._monkeypatch.setattr(sys, "argv", [main.PROGRAM, *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        return Done(int(str(end.value.code)), *self._capsys.readouterr())
