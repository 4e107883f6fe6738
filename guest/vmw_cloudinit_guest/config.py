"""The configuration file: ``key = value`` lines, ``#`` comments. No configparser: its import alone would be a
good part of the time there is.

A line that cannot be used is a fault, with file and line, and is passed over; what becomes of faults is for
the caller to decide.
"""

import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from vmw_cloudinit_guest import paths

# The unit's TimeoutStartSec is beyond this and PROGRESS_SECONDS; an administrator's value must be, too.
LONGEST_TIMEOUT = 600.0


class Settings(NamedTuple):
    """What the file may set; the file in packaging/guest says what each is for, and why its default."""

    port: Optional[str] = None  # None: find it
    first_boot_timeout: float = 120.0  # seconds
    later_boot_timeout: float = 10.0  # seconds
    seed_directory: str = paths.SEED_DIRECTORY
    scrub: bool = False


def load(path: str, may_be_missing: bool = False) -> Tuple[Settings, List[str]]:
    """Return the settings of a file, and its faults as sentences."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        if may_be_missing and isinstance(error, FileNotFoundError):
            return Settings(), []
        return Settings(), [f"{path}: cannot be read: {error.strerror}"]
    return parse(text, path)


def parse(text: str, source: str) -> Tuple[Settings, List[str]]:
    """Return the settings of a file's text, and its faults as sentences that begin with source and line."""
    values: Dict[str, Any] = {}
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            key, value = _pair(line)
            if key in values:
                raise ValueError(f"{key} stands there twice")
            if key:
                values[key] = _READERS[key](value)
        except ValueError as error:
            faults.append(f"{source}:{number}: {error}")
    return Settings(**{key.replace("-", "_"): value for key, value in values.items()}), faults


def _pair(line: str) -> Tuple[str, str]:
    """Return key and value of a line; two empty strings if there is nothing but a comment on it."""
    text = line.partition("#")[0].strip()
    if not text:
        return "", ""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise ValueError(f"{text!r} is not of the form key = value")
    if key not in _READERS:
        raise ValueError(f"{key!r} is not a key; there are {', '.join(_READERS)}")
    if not value:
        raise ValueError(f"{key} has no value")
    if "\0" in value:
        raise ValueError(f"{key} holds a NUL, which no name does")
    return key, value


def read_port(value: str) -> Optional[str]:
    """Return the path of what a person writes: ``ttyS1`` is ``/dev/ttyS1``; None for ``auto``."""
    if value == "auto":
        return None
    return value if "/" in value else f"/dev/{value}"


def read_timeout(value: str) -> float:
    """Return a time in seconds, above 0 and no more than LONGEST_TIMEOUT.

    Raises:
        ValueError: it is not one; the text says so.
    """
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{value!r} is not a number of seconds above 0")
    if seconds > LONGEST_TIMEOUT:
        raise ValueError(f"{value} s is more than {LONGEST_TIMEOUT:g}, where systemd would give up first")
    return seconds


def _read_switch(value: str) -> bool:
    if value not in ("yes", "no"):
        raise ValueError(f"{value!r} is neither yes nor no")
    return value == "yes"


def _read_directory(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is not an absolute path")
    return value


_READERS: Dict[str, Callable[[str], Any]] = {
    "port": read_port,
    "first-boot-timeout": read_timeout,
    "later-boot-timeout": read_timeout,
    "seed-directory": _read_directory,
    "scrub": _read_switch,
}
