"""What is said of a part of a definition, before it is known where in a file that stands."""

from typing import NamedTuple

from vmw_cloudinit_metadata.checks import Path


class Remark(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        text: the end of a sentence: what is wrong, and what would be right. It quotes no value.
        serious: it cannot be meant; else it is a warning.
        path: the keys and numbers that lead there, below what the remark is about.
        shown: the same for people, with no key that is a secret.
        line: in the text that the remark is about, from 1; 0: all of it.
        origin: who says so, where that is not everybody.
        part: of a MIME message, the number of the part, from 1; several for a part within a part.
    """

    text: str
    serious: bool = False
    path: Path = ()
    shown: str = ""
    line: int = 0
    part: tuple[int, ...] = ()
    origin: str = ""
