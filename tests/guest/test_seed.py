import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from tests.guest.deathbed import deaths
from vmw_cloudinit_guest import seed
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import SeedError

OLD = Documents(b'{"instance-id": "old"}\n', b"version: 1\n", b"#cloud-config\nold: true\n")

OLD_STATE, NEW_STATE = b"the old state\n", b"the new state\n"

NEW = Documents(
    b'{"instance-id": "new"}\n',
    b"version: 2\n",
    b"#cloud-config\nnew: true\n",
    b"#cloud-config\nvendor: true\n",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "seed" / "nocloud"


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what matters to a power cut alone, for the tests that write hundreds of seeds."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def write(directory: Path, documents: Documents, state: bytes = b"state\n") -> bool:
    return seed.write(str(directory), documents, state)


def files(directory: Path) -> Dict[str, bytes]:
    """Return what NoCloud would read."""
    names = ("meta-data", "user-data", "vendor-data", "network-config")
    return {name: (directory / name).read_bytes() for name in names if (directory / name).exists()}


def as_files(documents: Documents) -> Dict[str, bytes]:
    return {file: content for file, content in documents.files().items() if content is not None}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_seed_holds_the_documents_and_nothing_else(directory: Path) -> None:
    assert write(directory, NEW)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == as_files(NEW)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_for_root_alone_whatever_the_umask(directory: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write(directory, NEW)
    finally:
        os.umask(before)
    assert mode(directory) == 0o700
    assert {mode(path) for path in directory.iterdir()} == {0o600}
    assert mode(directory.parent) == 0o755


def test_modes_that_are_too_open_are_put_right(directory: Path) -> None:
    write(directory, NEW)
    directory.chmod(0o755)
    (directory / "user-data").chmod(0o644)
    assert not write(directory, NEW)
    assert (mode(directory), mode(directory / "user-data")) == (0o700, 0o600)


def test_parents_that_exist_keep_their_mode(directory: Path) -> None:
    directory.parent.mkdir(mode=0o711)
    write(directory, NEW)
    assert mode(directory.parent) == 0o711


def test_the_same_bytes_leave_every_file_untouched(directory: Path) -> None:
    write(directory, NEW)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.iterdir()}
    assert not write(directory, NEW)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.iterdir()} == before


def test_only_what_differs_is_replaced(directory: Path) -> None:
    write(directory, NEW)
    inode = (directory / "meta-data").stat().st_ino
    assert write(directory, NEW._replace(user_data=b""))
    assert (directory / "meta-data").stat().st_ino == inode
    assert (directory / "user-data").read_bytes() == b""


def test_user_data_is_there_even_if_empty_since_nocloud_requires_it(directory: Path) -> None:
    write(directory, NEW._replace(user_data=b""))
    assert files(directory)["user-data"] == b""


def test_what_is_no_longer_served_is_removed(directory: Path) -> None:
    write(directory, OLD)
    (directory / "vendor-data").write_bytes(b"of a template")
    assert write(directory, NEW._replace(network_config=None, vendor_data=None))
    assert sorted(files(directory)) == ["meta-data", "user-data"]


def test_files_that_nocloud_does_not_know_are_left_alone(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "README").write_text("mine")
    write(directory, NEW)
    assert (directory / "README").read_text() == "mine"


def test_user_data_of_any_bytes_and_of_some_size_is_written_whole(directory: Path) -> None:
    data = bytes(range(256)) * 4096
    write(directory, NEW._replace(user_data=data))
    assert (directory / "user-data").read_bytes() == data


def restore(directory: Path, documents: Optional[Documents]) -> None:
    for path in directory.iterdir() if directory.exists() else ():
        path.unlink()
    for path in directory.parent.iterdir() if directory.parent.exists() else ():
        if path != directory:
            path.unlink()
    if documents:
        write(directory, documents, OLD_STATE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, NEW),
        (OLD, NEW),
        (OLD, NEW._replace(network_config=None)),
        (OLD._replace(network_config=None), NEW),
        (OLD._replace(vendor_data=b"old"), NEW),
        (NEW, OLD),
    ],
)
@pytest.mark.usefixtures("fast")
def test_killed_at_any_step_the_instance_is_the_old_or_the_whole_new_one(
    directory: Path, before: Optional[Documents], after: Documents
) -> None:
    seen = []
    restore(directory, before)
    for _ in deaths(lambda: write(directory, after, NEW_STATE)):
        found = files(directory)
        state = seed.state(str(directory))
        seen.append(found.get("meta-data"))
        if seen[-1] == after.meta_data:
            assert (found, state) == (as_files(after), NEW_STATE)
        else:
            # The old instance-id, so cloud-init acts on nothing new; or none, which is no seed.
            assert seen[-1] == (before.meta_data if before else None)
            # There is no moment with a seed and without a state.
            assert state in ((OLD_STATE, NEW_STATE) if before else (None, NEW_STATE))
        restore(directory, before)
    assert seen[0] != seen[-1] == after.meta_data


@pytest.mark.usefixtures("fast")
def test_what_a_killed_run_left_behind_is_tidied_up_by_the_next(directory: Path) -> None:
    left_behind = set()
    for _ in deaths(lambda: write(directory, NEW)):
        left_behind |= {path.name for path in directory.iterdir()} if directory.exists() else set()
        write(directory, OLD)
        assert {path.name: path.read_bytes() for path in directory.iterdir()} == as_files(OLD)
    assert left_behind > set(as_files(NEW))


def test_a_run_that_is_stopped_tidies_up_itself(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    write(directory, OLD)

    def stop(source: str, target: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write(directory, NEW)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == as_files(OLD)


def test_the_state_is_put_in_place_first_and_meta_data_last_each_on_the_disk_before_the_next(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    write(directory, OLD._replace(network_config=None))
    steps = []
    replace, fsync = os.replace, os.fsync

    def recorded_replace(source: str, target: str) -> None:
        steps.append(os.path.basename(target))
        replace(source, target)

    def recorded_fsync(descriptor: int) -> None:
        steps.append("fsync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    monkeypatch.setattr(os, "replace", recorded_replace)
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    write(directory, NEW, NEW_STATE)
    assert steps == [
        *["fsync file", "nocloud.state", "fsync directory"],
        *["fsync file"] * 4,
        *["user-data", "vendor-data", "network-config", "fsync directory"],
        *["meta-data", "fsync directory"],
    ]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EROFS, "Read-only file system; mount it writable"),
        (errno.EACCES, "Permission denied; run as root, or name another seed directory$"),
        (errno.EIO, "Input/output error; name another seed directory"),
    ],
)
def test_what_cannot_be_written_is_a_sentence_and_leaves_the_old_seed(
    monkeypatch: pytest.MonkeyPatch, directory: Path, number: int, advice: str
) -> None:
    write(directory, OLD)

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SeedError, match=advice) as caught:
        write(directory, NEW)
    assert str(directory) in str(caught.value)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == as_files(OLD)


@pytest.mark.parametrize("full_at", range(5))
def test_a_disk_that_is_full_at_any_file_leaves_the_old_seed_whole(
    monkeypatch: pytest.MonkeyPatch, directory: Path, full_at: int
) -> None:
    """The state and four documents are written; only the state may be the new one already."""
    write(directory, OLD, OLD_STATE)
    real, left = os.fdopen, [full_at]

    def fdopen(descriptor: int, mode: str) -> Any:
        file = real(descriptor, mode)
        if left[0] == 0:
            file.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        return file

    monkeypatch.setattr(os, "fdopen", fdopen)
    with pytest.raises(SeedError, match="free some space"):
        write(directory, NEW, NEW_STATE)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == as_files(OLD)
    assert seed.state(str(directory)) == (NEW_STATE if full_at else OLD_STATE)
    assert sorted(path.name for path in directory.parent.iterdir()) == ["nocloud", "nocloud.state"]


def test_the_contents_are_those_of_the_files_that_there_are(directory: Path) -> None:
    assert seed.contents(str(directory)) == {}
    write(directory, NEW)
    (directory / "README").write_text("mine")
    assert seed.contents(str(directory)) == as_files(NEW)
    write(directory, OLD)
    assert seed.contents(str(directory)) == as_files(OLD)


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SeedError, match="Not a directory"):
        write(tmp_path / "file" / "seed", NEW)
    with pytest.raises(SeedError, match="cannot write the seed"):
        write(tmp_path / "file", NEW)


def test_a_file_in_the_place_of_the_directory_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.write_bytes(b"root\n")
    file.chmod(0o644)
    with pytest.raises(SeedError, match=r"cannot write the seed .*passwd: Not a directory"):
        write(file, NEW)
    assert (file.read_bytes(), mode(file)) == (b"root\n", 0o644)


def test_a_relative_directory_and_one_behind_a_link_will_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert write(Path("link/seed"), NEW)
    assert json.loads((tmp_path / "real" / "seed" / "meta-data").read_text()) == {"instance-id": "new"}


def test_a_seed_holds_documents_only_if_it_holds_all_of_them_and_no_others(directory: Path) -> None:
    assert not seed.holds(str(directory), NEW)
    write(directory, NEW)
    assert seed.holds(str(directory), NEW)
    assert not seed.holds(str(directory), NEW._replace(network_config=None))
    (directory / "vendor-data").write_bytes(b"of a template")
    assert not seed.holds(str(directory), NEW)


def test_a_state_of_the_same_bytes_is_left_untouched_but_for_its_mode(directory: Path) -> None:
    write(directory, NEW)
    path = Path(seed.state_path(str(directory)))
    inode = path.stat().st_ino
    path.chmod(0o644)
    write(directory, OLD)
    assert (path.stat().st_ino, mode(path)) == (inode, 0o600)


def test_the_state_lies_beside_the_seed_for_root_alone_and_is_written_with_it(directory: Path) -> None:
    assert seed.state(str(directory)) is None
    write(directory, NEW, OLD_STATE)
    assert not write(directory, NEW, NEW_STATE)
    assert seed.state(str(directory)) == NEW_STATE
    assert sorted(path.name for path in directory.parent.iterdir()) == ["nocloud", "nocloud.state"]
    assert mode(directory.parent / "nocloud.state") == 0o600


@pytest.mark.parametrize(
    ("content", "instance_id"),
    [
        (b'{"instance-id": "i-1"}', "i-1"),
        (b"instance-id: by-hand\n", ""),
        (b"[]", ""),
        (b"{}", ""),
        (b"\xff", ""),
        (b"", ""),
    ],
)
def test_the_instance_id_of_a_seed_is_told_if_it_is_ours(
    directory: Path, content: bytes, instance_id: str
) -> None:
    assert seed.instance_id(str(directory)) is None
    write(directory, NEW)
    (directory / "meta-data").write_bytes(content)
    assert seed.instance_id(str(directory)) == instance_id


def test_a_deleted_seed_leaves_nothing_but_what_is_not_ours(directory: Path) -> None:
    write(directory, OLD)
    (directory / "vendor-data").write_bytes(b"of a template")
    (directory / ".user-data.new").write_bytes(b"left by a run that was killed")
    (directory / "README").write_text("mine")
    assert seed.delete(str(directory))
    assert [path.name for path in directory.iterdir()] == ["README"]
    assert [path.name for path in directory.parent.iterdir()] == ["nocloud"]
    assert not seed.delete(str(directory))


def test_where_there_is_no_seed_nothing_is_deleted_and_nothing_made(directory: Path) -> None:
    assert not seed.delete(str(directory))
    assert not directory.exists()


@pytest.mark.usefixtures("fast")
def test_a_deletion_killed_at_any_step_leaves_a_bound_seed_or_none_and_is_done_again(directory: Path) -> None:
    seen = []
    restore(directory, OLD)
    for _ in deaths(lambda: seed.delete(str(directory))):
        found = files(directory)
        seen.append((found.get("meta-data"), seed.state(str(directory))))
        if seen[-1][0] is not None:
            assert (found, seen[-1][1]) == (as_files(OLD), OLD_STATE)
        if found:
            assert seen[-1][1] == OLD_STATE
        seed.delete(str(directory))
        assert (files(directory), seed.state(str(directory))) == ({}, None)
        restore(directory, OLD)
    assert set(seen) == {(OLD.meta_data, OLD_STATE), (None, OLD_STATE), (None, None)}


def test_what_cannot_be_deleted_is_a_sentence(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    write(directory, OLD)

    def fail(path: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(
        SeedError, match=r"cannot delete the seed .*: Read-only file system; mount it writable"
    ):
        seed.delete(str(directory))


def test_what_cannot_be_read_is_a_sentence(directory: Path) -> None:
    (directory / "meta-data").mkdir(parents=True)
    with pytest.raises(SeedError, match=r"cannot read the seed .*: Is a directory"):
        seed.instance_id(str(directory))
