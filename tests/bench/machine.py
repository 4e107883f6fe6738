"""What it was measured on, in a line."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """Return processor, system, and the versions that matter."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    return (
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}, Linux {platform.release()},"
        f" Python {platform.python_version()}, uvloop {version('uvloop')}"
    )
