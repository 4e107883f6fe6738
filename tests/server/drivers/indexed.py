"""A directory of definitions and its index, for the tests of the index."""

import logging
import time
import uuid
from pathlib import Path

from vmw_cloudinit_metadata.drivers import reading
from vmw_cloudinit_metadata.drivers.index import Index
from vmw_cloudinit_metadata.drivers.tree import Tree

VC = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
BIOS = uuid.UUID("4212ab34-cd56-4e78-9012-3456789abcde")
OTHER = uuid.UUID("00000000-0000-4000-8000-000000000001")


def definition(**pins: uuid.UUID) -> str:
    match = "".join(f"\n  {key.replace('_', '-')}: {value}" for key, value in pins.items())
    return "metadata: {instance-id: i-0042, hostname: web-01}\n" + (f"match:{match}\n" if pins else "")


class Directory:
    """A directory of definitions and its index, which a test refreshes; its clock is beyond all files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.age = reading.SETTLED_NS * 2
        logger = logging.getLogger("index")
        tree = Tree(str(path), logger, self.clock_ns)
        self.index = Index(tree, logger, self.clock_ns)

    def clock_ns(self) -> int:
        return time.time_ns() + self.age

    def write(self, name: str, text: str) -> Path:
        # By renaming, so that also a change within one tick of the file system's clock is one.
        (self.path / "new").write_text(text)
        return (self.path / "new").rename(self.path / name)

    def find(self, key: str, value: uuid.UUID) -> str | None:
        """Return the name of the file that is found."""
        found = self.index.pinned(key, value)
        return None if found is None else str(Path(found).relative_to(self.path))
