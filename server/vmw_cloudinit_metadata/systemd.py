"""What a service and systemd have to say to each other; without systemd, nothing.

How the service is (sd_notify(3)), which sockets it got (sd_listen_fds(3)), whether it writes to the journal
(JOURNAL_STREAM in systemd.exec(5)).
"""

import contextlib
import os
import socket
import sys
import time

# SD_LISTEN_FDS_START: the first descriptor after standard input, output and error.
_FIRST_DESCRIPTOR = 3


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1``; a supervisor that does not listen is no reason to fail."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract address
    elif not address.startswith("/"):
        return
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as notify_socket:
        notify_socket.sendto("\n".join(assignments).encode(), address)


def notify_reloading() -> None:
    """Say that a reload begins, and when (systemd 253 wants that); READY=1 ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Return how often to send WATCHDOG=1, half of what systemd allows, or None if it does not ask for it."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdecimal() and int(microseconds) else None


def listen_fds() -> list[tuple[int, str]]:
    """Return the sockets that systemd listens on for us: descriptor and FileDescriptorName= of each."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    descriptors = range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + (int(count) if count.isdecimal() else 0))
    names += [""] * (len(descriptors) - len(names))
    return list(zip(descriptors, names, strict=False))


def stderr_is_journal() -> bool:
    """Return whether standard error is what systemd has connected to the journal."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False  # closed, or replaced by something that is no file
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
