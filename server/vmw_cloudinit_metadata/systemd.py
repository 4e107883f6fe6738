"""Tell systemd how the service is (sd_notify(3)); without NOTIFY_SOCKET in the environment, do nothing."""

import contextlib
import os
import socket
import time


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
