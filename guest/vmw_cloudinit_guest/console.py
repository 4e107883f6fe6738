"""Lines for people: on a terminal, or through systemd in the journal and on the machine's console.

Not logging: its import is dear, and one line in the right place is all there is to say.
"""

import enum
import os
import sys
from typing import Optional, TextIO

PROGRAM = "vmw-cloudinit-guest"


class Level(enum.IntEnum):
    """How much a line matters; the numbers are syslog's."""

    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


def say(level: Level, line: str) -> None:
    """Print one line that no name from outside can break or recolour, on any console."""
    stream = sys.stdout if level == Level.INFO else sys.stderr
    text = "".join(character if character.isprintable() else "?" for character in line)
    if level == Level.WARNING:
        text = f"warning: {text}"
    if _is_journal(stream):
        # sd-daemon(3): the priority; the journal adds the program's name itself, on the console, too.
        text = f"<{level:d}>{text}"
    elif level in (Level.ERROR, Level.WARNING):
        text = f"{PROGRAM}: {text}"
    write(stream, text.encode("ascii", "backslashreplace").decode() + "\n")


def write(stream: Optional[TextIO], text: str) -> None:
    """Write, or lose the text: neither a console that has hung up nor ``| head`` is a reason to fail."""
    if stream is None:
        return  # it was closed by who started us
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        # What is left in the buffer is written again at the end, and must not fail there.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _is_journal(stream: Optional[TextIO]) -> bool:
    """Whether a stream goes to the journal. systemd.exec(5): JOURNAL_STREAM is its device and inode."""
    journal = os.environ.get("JOURNAL_STREAM")
    if not journal or stream is None:
        return False
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # no file behind it
        return False
    return journal == f"{status.st_dev}:{status.st_ino}"
