"""Run the commands as a user does: as processes, with their exit code and both outputs."""

import subprocess
import sys
from collections.abc import Sequence


def server(*arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run ``vmw-cloudinit-metadata`` to its end."""
    return _run("vmw_cloudinit_metadata", arguments, timeout)


def guest(*arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run ``vmw-cloudinit-guest`` to its end."""
    return _run("vmw_cloudinit_guest", arguments, timeout)


def _run(module: str, arguments: Sequence[str], timeout: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
