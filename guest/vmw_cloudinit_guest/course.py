"""What versions 1 and 2 of the packets have in common: the course that the questions of a fetch take.

A course knows which document is asked for next and what an answer to that means. It knows nothing of lines,
ids and time: that is ``dialogue.py``.
"""

import abc
from typing import Dict, Optional

from vmw_cloudinit_guest.documents import META_DATA, Documents, Kind, from_files
from vmw_cloudinit_wire.options import Pairs


class ChangedError(Exception):
    """The instance has changed meanwhile: what has come is to be discarded, and all asked for anew."""


class BusyError(Exception):
    """The server has no answer yet, and says after how many seconds it is worth asking again."""

    def __init__(self, seconds: float, sentence: str) -> None:
        super().__init__(seconds, sentence)
        self.seconds = seconds
        self.sentence = sentence


class RefusedError(Exception):
    """The server will not answer, whenever it is asked; the status says why, and perhaps a sentence."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence


class Course(abc.ABC):
    """One way through the questions.

    Attributes:
        kind: the document that is asked for next; None after the last answer.
        etags: of the documents that there are, by file, where the server gives any.
    """

    def __init__(self) -> None:
        # METADATA first: without an instance-id the others are worth nothing, and the port is chosen by it.
        self.kind: Optional[Kind] = META_DATA
        self.etags: Dict[str, str] = {}
        self._contents: Dict[str, Optional[bytes]] = {}

    @property
    def documents(self) -> Optional[Documents]:
        """The documents, once all are there; never some of them, as a seed must not be a mixture."""
        return None if self.kind else from_files({"vendor-data": None, **self._contents})

    @property
    def part(self) -> str:
        """Which part of the document is asked for, to be shown behind the request; empty for all of it."""
        return ""

    @abc.abstractmethod
    def options(self) -> Pairs:
        """Return what the next request says besides its ids."""

    @abc.abstractmethod
    def missed(self) -> None:
        """Take note that no answer to the latest request has arrived whole."""

    @abc.abstractmethod
    def take(self, payload: bytes, options: Dict[str, str]) -> None:
        """Take the answer to the latest request.

        Raises:
            DocumentError: it is of no use; it is worth asking again.
            ChangedError, BusyError, RefusedError: see there.
        """
