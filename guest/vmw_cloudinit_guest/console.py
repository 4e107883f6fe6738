"""Lines for people: on a terminal, or through systemd in the journal and on the machine's console.

Not logging: its import is dear, and one line in the right place is all there is to say.
"""

import enum
import os
import sys
from typing import TextIO

PROGRAM = "vmw-cloudinit-guest"


class Level(enum.IntEnum):
    """How much a line matters; the numbers are syslog's."""

    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


def say(level: Level, line: str) -> None:
    """Print one line that no name from outside can break or recolour, on a console of any encoding."""
    stream = sys.stdout if level == Level.INFO else sys.stderr
    text = "".join(character if character.isprintable() else "?" for character in line)
    if level == Level.WARNING:
        text = f"warning: {text}"
    if _is_journal(stream):
        # sd-daemon(3): the priority; the journal adds the program's name itself, on the console, too.
        text = f"<{level:d}>{text}"
    elif level in (Level.ERROR, Level.WARNING):
        text = f"{PROGRAM}: {text}"
    stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    stream.flush()


def _is_journal(stream: TextIO) -> bool:
    """Whether a stream goes to the journal. systemd.exec(5): JOURNAL_STREAM is its device and inode."""
    journal = os.environ.get("JOURNAL_STREAM")
    if not journal:
        return False
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # no file behind it
        return False
    return journal == f"{status.st_dev}:{status.st_ino}"
