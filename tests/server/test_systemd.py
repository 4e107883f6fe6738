import io
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmw_cloudinit_metadata import systemd


@pytest.fixture(params=["a path", "a path with an @", "an abstract address"])
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket that listens as systemd does."""
    name = f"vmw-cloudinit-metadata-test-{secrets.token_hex(8)}"
    address, environment = {
        "a path": (f"{tmp_path}/notify", f"{tmp_path}/notify"),
        "a path with an @": (f"{tmp_path}/user@1000", f"{tmp_path}/user@1000"),
        "an abstract address": (f"\0{name}", f"@{name}"),
    }[request.param]
    monkeypatch.setenv("NOTIFY_SOCKET", environment)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(10)
        yield listener


def test_a_supervisor_is_told(supervisor: socket.socket) -> None:
    systemd.notify("READY=1", "STATUS=serving")
    assert supervisor.recv(1024) == b"READY=1\nSTATUS=serving"


def test_a_reload_is_announced_with_its_time(supervisor: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    systemd.notify_reloading()
    reloading, _, stamp = supervisor.recv(1024).decode().partition("\nMONOTONIC_USEC=")
    assert reloading == "RELOADING=1"
    assert before <= int(stamp) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize(
    "address", [None, "", "vsock:2:1234", "relative/path", "/nowhere/notify", "/" + "x" * 200]
)
def test_a_supervisor_that_is_not_there_or_not_known_is_no_fault(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("3000000", None, 1.5),
        ("3000000", str(os.getpid()), 1.5),
        ("3000000", str(os.getpid() + 1), None),  # meant for our parent
        (None, None, None),
        ("0", None, None),
        ("", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("²", None, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time_if_it_is_ours(
    microseconds: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds


@pytest.mark.parametrize(
    ("pid", "count", "names", "sockets"),
    [
        (os.getpid(), "2", "plain:tls", [(3, "plain"), (4, "tls")]),
        (os.getpid(), "2", "plain", [(3, "plain"), (4, "")]),
        (os.getpid(), "1", None, [(3, "")]),
        (os.getpid(), "0", "", []),
        (os.getpid(), "many", "", []),
        (os.getpid(), None, None, []),
        (os.getpid() + 1, "2", "plain:tls", []),  # meant for our parent
        (None, "2", "plain:tls", []),
    ],
)
def test_sockets_of_systemds_are_found_if_they_are_ours(
    pid: int | None,
    count: str | None,
    names: str | None,
    sockets: list[tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (
        ("LISTEN_PID", None if pid is None else str(pid)),
        ("LISTEN_FDS", count),
        ("LISTEN_FDNAMES", names),
    ):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.listen_fds() == sockets


def test_the_journal_is_standard_error_if_systemd_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("w") as file:
        status = os.fstat(file.fileno())
        monkeypatch.setattr("sys.stderr", file)
        for stream, is_journal in (
            (f"{status.st_dev}:{status.st_ino}", True),
            (f"{status.st_dev}:{status.st_ino + 1}", False),  # redirected since
            ("", False),
        ):
            monkeypatch.setenv("JOURNAL_STREAM", stream)
            assert systemd.stderr_is_journal() is is_journal
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not systemd.stderr_is_journal()


def test_a_standard_error_that_is_no_file_is_not_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    for stderr in (None, io.StringIO()):
        monkeypatch.setattr("sys.stderr", stderr)
        assert not systemd.stderr_is_journal()
