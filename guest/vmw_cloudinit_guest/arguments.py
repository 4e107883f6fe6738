"""The arguments of ``vmw-cloudinit-guest``: fetch and report as they are mostly run, without argparse.

What is not understood here, be it right, wrong or a question, is left to ``usage.py``.
"""

import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from vmw_cloudinit_guest import config


class Arguments(NamedTuple):
    """What the program was told; a command leaves alone what it does not have."""

    command: str
    port: Optional[str] = None
    seed_dir: Optional[str] = None
    timeout: Optional[float] = None  # seconds
    boot: bool = False
    config: Optional[str] = None
    verbose: bool = False
    root: str = "/"
    at_install: bool = False
    format: str = "text"


Readers = Dict[str, Callable[[str], Any]]

# The options with a value, and what reads it. All others are --boot, --verbose and -v.
_READERS: Dict[str, Readers] = {
    "fetch": {"--port": str, "--seed-dir": str, "--timeout": config.read_timeout, "--config": str},
    "report": {"--config": str},
}
_SWITCHES = {"--boot": "boot", "--verbose": "verbose", "-v": "verbose"}


def parse(argv: Optional[List[str]]) -> Arguments:
    """Return the arguments; --help, --version and wrong usage end the program, the last with 2."""
    arguments = quickly(sys.argv[1:] if argv is None else argv)
    if arguments is None:
        from vmw_cloudinit_guest import usage

        arguments = usage.parse(argv)
    return arguments


def quickly(argv: List[str]) -> Optional[Arguments]:
    """Return the arguments of a fetch or report, whose options are written out; else None."""
    if not argv or argv[0] not in _READERS:
        return None
    readers = _READERS[argv[0]]
    values: Dict[str, Any] = {}
    words = iter(argv[1:])
    for word in words:
        if word in _SWITCHES:
            values[_SWITCHES[word]] = True
            continue
        value = next(words, "-")
        # A value that begins with a dash may be meant for an option: argparse knows.
        if word not in readers or value.startswith("-"):
            return None
        try:
            values[word[2:].replace("-", "_")] = readers[word](value)
        except ValueError:
            return None
    return Arguments(argv[0], **values)
