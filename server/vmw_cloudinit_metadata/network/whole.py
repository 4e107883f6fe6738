"""A whole network-config of version 1 or 2, as cloud-init's own documentation describes them.

It is passed on as it is where every release and renderer of cloud-init takes it, and changed to what means
the same where they do not: version1.py and version2.py know how. Keys that nobody here knows are left alone.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

from vmw_cloudinit_metadata import checks
from vmw_cloudinit_metadata.checks import Path, Problem
from vmw_cloudinit_metadata.network import version1, version2

# cloud-init's own nest half as deep at most; what nests deeper is garbage.
MAX_DEPTH = 16

# Netplan files and guestinfo metadata have the first, some examples of cloud-init the second.
WRAPPERS = ("network", "config")


class NetworkConfig:
    """A whole network-config, which may stand below a key ``network`` or ``config``.

    Attributes:
        raw: as it was given.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = dict(raw)

    def __repr__(self) -> str:
        return f"<NetworkConfig version {self.content.get('version')!r}>"

    @property
    def wrapper(self) -> str | None:
        """The key that the config stands below; None where it stands by itself."""
        if "version" in self.raw:
            return None
        return next((key for key in WRAPPERS if isinstance(self.raw.get(key), Mapping)), None)

    @property
    def content(self) -> Mapping[str, Any]:
        """The config without a wrapper."""
        content: Mapping[str, Any] = self.raw[self.wrapper] if self.wrapper else self.raw
        return content

    @property
    def is_disabled(self) -> bool:
        """Whether it is ``config: disabled``, by which cloud-init leaves the guest's network alone."""
        return self.content.get("config") == "disabled"

    def copy(self) -> "NetworkConfig":
        """Return a config that shares nothing with this one."""
        return NetworkConfig(copy.deepcopy(self.raw))

    def problems(self, at: Path) -> Iterator[Problem]:
        """Yield what cannot be made what every guest takes, and where it stands."""
        if self.wrapper:
            for key in self.raw:
                if key != self.wrapper:
                    yield (*at, str(key)), f"stands beside {self.wrapper}, which holds the whole of it"
            at = (*at, self.wrapper)
        if foreign := list(_foreign_values(self.content, at)):
            yield from foreign
            return  # what follows relies on plain values
        version = self.content.get("version")
        if self.is_disabled:
            for key in self.content:
                if key not in ("version", "config"):
                    yield (*at, key), "stands beside config: disabled"
        elif version is None:
            yield at, "version is missing; it is 1 or 2"
        elif type(version) is not int or version not in (1, 2):
            yield (*at, "version"), "is neither 1 nor 2"
        else:
            yield from (version1 if version == 1 else version2).problems(self.content, at)

    def warnings(self, at: Path) -> Iterator[Problem]:
        """Yield what of a faultless config some guests leave out."""
        if self.content.get("version") == 2 and not self.is_disabled:
            yield from version2.warnings(self.content, (*at, self.wrapper) if self.wrapper else at)

    def document(self, placeholders: bool) -> dict[str, Any]:
        """Return the config as it is served; it shares nothing with this one.

        ``placeholders``: cards that nothing tells from others have ``@N`` for their MAC address.
        """
        if self.is_disabled:
            return {"config": "disabled"}
        normalise = version1.normalise if self.content["version"] == 1 else version2.normalise
        return normalise(copy.deepcopy(dict(self.content)), placeholders)


def is_whole(raw: Mapping[str, Any]) -> bool:
    """Say whether a mapping is meant to be a whole network-config: one card has none of these keys."""
    return any(key in raw for key in ("version", *WRAPPERS))


def _foreign_values(value: object, at: Path) -> Iterator[Problem]:
    """Yield where there is what JSON has not."""
    if len(at) > MAX_DEPTH:
        yield at, f"is nested more than {MAX_DEPTH} levels deep"
    elif isinstance(value, Mapping):
        for key, member in value.items():
            if not isinstance(key, str):
                yield at, "has a key that is not text"
            else:
                yield from _foreign_values(member, (*at, key))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _foreign_values(member, (*at, number))
    elif isinstance(value, str):
        if fault := checks.text_fault(value or "-"):
            yield at, fault
    elif not (value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        yield at, "is none of text, number, list and mapping"
