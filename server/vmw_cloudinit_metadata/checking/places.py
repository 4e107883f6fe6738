"""On which line of which file something of a definition stands, also inside its user-data.

What is needed to say it of user-data is looked up only when something is to be said of it: the files are read
once more.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping

import yaml

from vmw_cloudinit_metadata.checking.remarks import Remark
from vmw_cloudinit_metadata.checks import Path, path_text
from vmw_cloudinit_metadata.definition import Place, Source
from vmw_cloudinit_metadata.definition.strict_yaml import compose, place_of
from vmw_cloudinit_metadata.instance import METADATA_KEYS

_LAST_STEP = re.compile(r"(^|\.|\[)[^.\[]*$")


class Places:
    """The places in a definition and its defaults.

    Args:
        known: where each key of the merged definition stands.
        read_sources: reads the files it is made of, the definition first and the outermost defaults last.
    """

    def __init__(self, known: Mapping[Path, Place], read_sources: Callable[[], Iterable[Source]]) -> None:
        self._known = known
        self._read_sources = read_sources

    def has(self, key: str) -> bool:
        """Return whether the definition, or a default under it, says something under a key."""
        return (key,) in self._known

    def of(self, path: Path) -> Place:
        """Return where a value stands, or what is nearest above it."""
        while path not in self._known:
            path = path[:-1]
        return self._known[path]

    def spelt(self, path: Path) -> Path:
        """Return a path as the definition spells it, which may write a key of metadata in several ways."""
        if path[:1] == ("metadata",) and len(path) > 1 and path[:2] not in self._known:
            meant = METADATA_KEYS.get(str(path[1]))
            for key, name in METADATA_KEYS.items():
                if name == meant and ("metadata", key) in self._known:
                    return ("metadata", key, *path[2:])
        return path

    def of_key(self, key: str) -> Place:
        """Return the same of a value that is written as people do: ``network.nameservers[1]``."""
        paths = {path_text(path): path for path in self._known}
        while key and key not in paths:
            key = _LAST_STEP.sub("", key)
        return self._known[paths.get(key, ())]

    def of_remark(self, key: str, remark: Remark, data: bytes) -> tuple[Place, str]:
        """Return where what a remark is about stands, ``data`` being the user-data under ``key``.

        Where that cannot be told to the line it is the key's place, with words for the rest of the way.
        """
        base: Path = (key,)
        parts = remark.part
        if parts and (key, parts[0] - 1) in self._known:
            base, parts = (key, parts[0] - 1), parts[1:]
        if (*base, "content") in self._known:
            base = (*base, "content")
        if not parts:
            place = self._place_of_key((*base, *remark.path)) if remark.path else None
            if place is None and not remark.part:
                place = self._place_of_line(self.of(base), data, remark.line)
            if place is not None:
                return place, ""
        words = [f"part {number}" for number in parts] + ([f"line {remark.line}"] if remark.line else [])
        return self.of(base), f"its {', '.join(words)}" if words else ""

    @functools.cached_property
    def _sources(self) -> list[tuple[Source, yaml.Node | None]]:
        return [(source, compose(source)[0]) for source in self._read_sources()]

    def _place_of_key(self, path: Path) -> Place | None:
        """Return where a key of user-data that is a mapping stands: in the first file that has it."""
        for _, root in self._sources:
            node, place = root, None
            for step in path:
                place, node = _step(node, step)
            if place is not None:
                return place
        return None

    def _place_of_line(self, place: Place, data: bytes, line: int) -> Place | None:
        """Return where a line of user-data stands that is a literal block (``|``), whose lines are lines."""
        texts = (source.text for source, _ in self._sources if source.name == place.source)
        written = next(texts, b"").split(b"\n")
        served = data.split(b"\n")
        if not 0 < line <= len(served) or place.line + line > len(written):
            return None
        # A block that is folded, or begins with comments of YAML, has another line there.
        same = written[place.line + line - 1].strip() == served[line - 1].strip() != b""
        return place._replace(line=place.line + line) if same else None


def _step(node: yaml.Node | None, step: str | int) -> tuple[Place | None, yaml.Node | None]:
    """Return the place of a key and its value, or of a member; None where there is none."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return place_of(key), value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return place_of(node.value[step]), node.value[step]
    return None, None
