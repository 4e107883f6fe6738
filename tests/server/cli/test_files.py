import os
import stat
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.cli import files
from vmw_cloudinit_metadata.cli.files import check_new, readers_of, remove_file, write_file
from vmw_cloudinit_metadata.errors import OutputError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_file(tmp_path / "web-01.yaml", b"one", force=False)
    finally:
        os.umask(before)
    assert (tmp_path / "web-01.yaml").read_bytes() == b"one"
    assert mode(tmp_path / "web-01.yaml") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["web-01.yaml"]


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "web-01.yaml"
    path.write_text("mine")
    with pytest.raises(OutputError) as caught:
        write_file(path, b"other", force=False)
    assert str(caught.value) == f"{path} exists already; --force replaces it"
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["web-01.yaml"]


def test_with_force_it_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "web-01.yaml"
    path.write_text("mine")
    path.chmod(0o644)
    before = path.stat().st_ino
    write_file(path, b"other", force=True)
    assert (path.read_text(), mode(path)) == ("other", 0o600)
    assert path.stat().st_ino != before


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "web-01.yaml"
    target.write_text("mine")
    path.symlink_to(target)
    with pytest.raises(OutputError, match="exists already"):
        write_file(path, b"other", force=False)
    write_file(path, b"other", force=True)
    assert (target.read_text(), path.read_text(), path.is_symlink()) == ("mine", "other", False)


def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError) as caught:
        write_file(tmp_path / "none" / "web-01.yaml", b"", force=True)
    assert str(caught.value) == f"cannot write {tmp_path}/none/web-01.yaml: No such file or directory"

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"web-01.yaml: No space left on device$"):
        write_file(tmp_path / "web-01.yaml", b"", force=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_removed_if_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "vendor-data"
    path.write_text("")
    remove_file(path)
    remove_file(path)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(OutputError, match=r"^cannot remove .*/vendor-data: Is a directory$"):
        remove_file(path)


def test_a_long_name_and_one_of_line_ends_are_names_too(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 255)
    write_file(long, b"", force=False)
    odd = tmp_path / "a\nb"
    write_file(odd, b"", force=False)
    with pytest.raises(OutputError) as caught:
        check_new([odd, tmp_path / "new", long], force=False)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.endswith("exists already; --force replaces it") for line in lines)
    check_new([odd, long], force=True)


def directory(mode: int, owner: int, group: int) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 0, 0, 0, owner, group, 0, 0, 0, 0))


def test_the_group_that_has_a_directory_to_itself_may_read_what_is_written_there() -> None:
    assert readers_of(directory(0o750, 0, 990), user=0, group=0) == (0, 990, 0o640)
    assert readers_of(directory(0o2770, 1000, 990), user=1000, group=1000) == (-1, 990, 0o640)
    assert readers_of(directory(0o750, 1000, 1000), user=1000, group=1000) is None


@pytest.mark.parametrize("mode", [0o755, 0o751, 0o700, 0o740])
def test_any_other_group_may_not(mode: int) -> None:
    assert readers_of(directory(mode, 0, 990), user=0, group=0) is None


def test_what_root_writes_in_a_user_s_directory_is_the_user_s() -> None:
    assert readers_of(directory(0o700, 990, 991), user=0, group=0) == (990, 991, 0o600)
    assert readers_of(directory(0o755, 990, 0), user=0, group=0) == (990, 0, 0o600)
    assert readers_of(directory(0o700, 990, 990), user=1000, group=1000) is None


def test_who_is_not_in_the_group_writes_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: int) -> None:
        raise PermissionError

    monkeypatch.setattr(files, "readers_of", lambda *arguments: (-1, 990, 0o640))
    monkeypatch.setattr(os, "fchown", refuse)
    write_file(tmp_path / "web-01.yaml", b"", force=False)
    assert mode(tmp_path / "web-01.yaml") == 0o600


def test_a_file_has_its_readers_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, ...]] = []

    def give(descriptor: int, *arguments: int) -> None:
        assert not (tmp_path / "web-01.yaml").exists()
        given.append(arguments)

    monkeypatch.setattr(files, "readers_of", lambda *arguments: (-1, 990, 0o640))
    monkeypatch.setattr(os, "fchown", give)
    monkeypatch.setattr(os, "fchmod", give)
    write_file(tmp_path / "web-01.yaml", b"", force=False)
    assert given == [(-1, 990), (0o640,)]
