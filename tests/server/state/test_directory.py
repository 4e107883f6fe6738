import os
import stat
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.state.directory import StateDirectory


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        StateDirectory(tmp_path / "state").make()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    StateDirectory(tmp_path).make()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750
    assert list(tmp_path.iterdir()) == []


def test_one_without_a_parent_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="/a/b cannot be made: No such file or directory"):
        StateDirectory(tmp_path / "a" / "b").make()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigurationError, match="/state is not a directory"):
        StateDirectory(tmp_path / "state").make()


def test_one_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, but on what is mounted read-only.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(
        ConfigurationError, match="cannot be written by this user: give it to that user, or name"
    ):
        StateDirectory(tmp_path).make()


def test_who_looks_into_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    StateDirectory(tmp_path).check()
    with pytest.raises(ConfigurationError, match=r"/gone: name the server's with --state-directory DIR"):
        StateDirectory(tmp_path / "gone").check()


def test_who_may_not_look_into_it_is_told_who_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.R_OK)
    with pytest.raises(
        ConfigurationError, match="cannot be read by this user: be root, or the server's user"
    ):
        StateDirectory(tmp_path).check()


def test_it_is_the_same_wherever_the_process_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert StateDirectory(Path("state")).path == tmp_path / "state"


def test_each_kind_has_a_directory_of_its_own(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.records("a", 1).write("x", {"n": 1})
    assert directory.records("b", 1).read("x") is None
