"""Where something stands: the texts that definitions are made of, and places in them."""

from collections.abc import Callable
from typing import NamedTuple

from vmw_cloudinit_metadata.checks import Path as Path
from vmw_cloudinit_metadata.checks import path_text as path_text


class Source(NamedTuple):
    """A text that a definition is made of: the definition itself, or a ``_defaults.yaml`` under it."""

    name: str  # as faults name the file: printable
    text: bytes

    def __repr__(self) -> str:
        """Show the size alone: user-data is a secret."""
        return f"<Source {self.name} of {len(self.text)}>"


class Place(NamedTuple):
    """Where a value stands: in which source, on which line (from 1)."""

    source: str
    line: int


# Reads the file that a definition names: from the source's name and the path as it is written, relative to
# that source. Raises a DefinitionError with the end of a sentence ("leads out of the directory").
ReadFile = Callable[[str, str], bytes]
