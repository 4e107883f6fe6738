"""The seed where the disk is full, and where two guests write it at once."""

import errno
import fcntl
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest

from vmw_cloudinit_guest import seed
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import SeedError

OLD = Documents(b'{"instance-id": "old"}\n', b"version: 1\n", b"#cloud-config\nold: true\n")
# Each document takes pages of its own, so that each of them can be the one that does not fit.
NEW = Documents(
    b'{"instance-id": "new"}\n' + b" " * 9000,
    b"version: 2\n" + b"#" * 9000,
    b"#cloud-config\n" + b"#" * 20_000,
)
PATIENCE = 20


def write(directory: Path, documents: Documents, state: bytes = b"the new state\n") -> bool:
    return seed.write(str(directory), documents, state)


def files(directory: Path) -> Dict[str, bytes]:
    """Return all there is, what was left behind included."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


class FullDisk:
    """An os module whose disk is full from its nth call on that needs room."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.open = self._until_full(os.open, lambda path, flags, *rest: flags & os.O_CREAT)
        self.mkdir = self._until_full(os.mkdir, lambda path: True)
        # What a file system puts off, it may only be able to tell now. A directory that exists has its room.
        self.fsync = self._until_full(os.fsync, lambda fd: stat.S_ISREG(os.fstat(fd).st_mode))

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _until_full(self, function: Callable[..., Any], needs_room: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if needs_room(*args):
                self.left -= 1
                if self.left <= 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*args)

        return call


def outcome(directory: Path) -> str:
    """Write the new seed; return why that could not be, or nothing."""
    try:
        write(directory, NEW)
    except SeedError as error:
        return str(error)
    return ""


def test_a_disk_that_is_full_at_any_step_leaves_the_old_seed_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = tmp_path / "nocloud"
    write(directory, OLD, b"the old state\n")
    old = files(directory)
    failures = 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(seed, "os", FullDisk(failures + 1))
            complaint = outcome(directory)
        if not complaint:
            break
        failures += 1
        assert "No space left on device; free some space" in complaint
        assert files(directory) == old
        assert {path.name for path in tmp_path.iterdir()} == {"nocloud", "nocloud.state"}
        write(directory, OLD, b"the old state\n")
    # The state and three documents, of which each is made and synced.
    assert failures >= 8
    assert files(directory)["user-data"] == NEW.user_data


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 30 pages."""
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.system
def test_a_file_system_that_is_full_leaves_the_old_seed_whole_whatever_document_does_not_fit(
    small_disk: Path,
) -> None:
    directory = small_disk / "seed" / "nocloud"
    write(directory, OLD, b"the old state\n")
    old = files(directory)
    ballast = small_disk / "ballast"
    # Page by page, so that each document is once the first that does not fit.
    for pages in range(20):
        status = os.statvfs(str(small_disk))
        ballast.write_bytes(b"\0" * (status.f_bavail * status.f_bsize - pages * 4096))
        complaint = outcome(directory)
        ballast.unlink()
        if not complaint:
            break
        assert "No space left on device; free some space" in complaint
        assert files(directory) == old
    assert pages > 10
    assert files(directory)["user-data"] == NEW.user_data


def test_a_guest_that_writes_keeps_another_one_waiting(tmp_path: Path) -> None:
    directory = tmp_path / "nocloud"
    write(directory, OLD, b"the old state\n")
    lock = os.open(str(directory), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = os.fork()
        if child == 0:
            os.close(lock)  # which the child shares, and would hold on to
            try:
                write(directory, NEW)
            finally:
                os._exit(0)
        assert waits_for_a_lock(child), "it wrote while another guest did"
        assert seed.state(str(directory)) == b"the old state\n"
        assert files(directory)["meta-data"] == OLD.meta_data
    finally:
        os.close(lock)
    os.waitpid(child, 0)
    assert files(directory)["meta-data"] == NEW.meta_data


def waits_for_a_lock(process: int) -> bool:
    """Wait until a child waits for a lock, or has ended; return which of both."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        # proc(5): "->" marks a process that waits, as in "1: -> FLOCK  ADVISORY  WRITE 4711 …".
        waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
        if str(process) in [fields[5] for fields in waiting]:
            return True
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
    return False
