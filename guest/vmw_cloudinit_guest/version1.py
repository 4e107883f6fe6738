"""Version 1 of the packets, which servers of the past speak: one answer, without a sum, for each document.

What can be checked is that the line was whole and its base64 canonical (the codec does), that metadata and
network data parse, and that the instance was the same before and after. A byte that was altered on the way
and still is base64 goes unnoticed: that is what version 2 is for.
"""

import json
from typing import Dict

from vmw_cloudinit_guest.course import ChangedError, Course
from vmw_cloudinit_guest.documents import META_DATA, NETWORK_CONFIG, USER_DATA, DocumentError
from vmw_cloudinit_wire.options import Pairs

# METADATA once more at the end: nothing says which instance an answer belongs to, and a definition that
# was replaced between two of them must not become a seed of both.
ORDER = (META_DATA, NETWORK_CONFIG, USER_DATA, META_DATA)


class Version1(Course):
    """Ask for the documents one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def options(self) -> Pairs:
        """Return none: a request of version 1 has no options."""
        return ()

    def missed(self) -> None:
        """Do nothing: there is no smaller answer to ask for."""

    def take(self, payload: bytes, options: Dict[str, str]) -> None:
        """Take the answer to the latest request; see ``Course``."""
        if self.kind is None:
            return
        content = self.kind.check(payload)
        if self.kind is NETWORK_CONFIG and content is not None:
            _check_yaml(content)
        if self._contents.setdefault(self.kind.file, content) != content:
            raise ChangedError
        self._number += 1
        self.kind = ORDER[self._number] if self._number < len(ORDER) else None


def _check_yaml(content: bytes) -> None:
    """Refuse network data that does not parse: a VM without its network is hard to reach.

    The YAML of 0.0.8 needs PyYAML, which is there wherever cloud-init is, and takes some 40 ms to import:
    worth it for this alone. User-data is not judged: it need not be YAML, and its mistakes are its author's.

    Raises:
        DocumentError: it is neither JSON nor YAML, or no mapping.
    """
    try:
        parsed = json.loads(content.decode())
    except (ValueError, RecursionError):
        try:
            import yaml
        except ImportError:
            return
        try:
            parsed = yaml.safe_load(content)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise DocumentError("the network data is neither JSON nor YAML") from None
    if not isinstance(parsed, dict):
        raise DocumentError("the network data is not a mapping")
