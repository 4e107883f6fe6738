"""cloud-init's own JSON schemas, where it is installed: what they find wrong, without a value.

cloud-init is not imported, and its command ``schema`` is not run: that judges plain cloud-config only, quotes
values, and leaves files behind when root runs it. Its schemas lie in its package, and so does its release.
Guests may have another release: what a schema finds is a warning.
"""

import glob
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

from vmw_cloudinit_metadata.checking.schema_words import Words, sentences
from vmw_cloudinit_metadata.checks import Path as KeyPath

# Where distributions keep the modules of their own Python, of which this one need not be.
_SYSTEM_DIRECTORIES = "/usr/lib/python3*/*-packages"

_CLOUD_CONFIG = "schema-cloud-config-v1.json"
_NETWORK_CONFIG = "schema-network-config-v{}.json"  # of 24.2 and later

# Of so many different values it is kept what was found.
_MAX_KEPT = 10_000

# Ubuntu writes its own version into the second; elsewhere that is a place-holder.
_RELEASE = re.compile(r'^__VERSION__ = "([^"@]+)"', re.MULTILINE)
_PACKAGED = re.compile(r'^_PACKAGED_VERSION = "([^"@]+)"', re.MULTILINE)


class Objection(NamedTuple):
    """What a schema finds wrong, as the end of a sentence.

    The path may hold keys that the author of the document has made up; ``shown`` is for people.
    """

    path: KeyPath
    shown: str
    text: str


class CloudInit:
    """An installed cloud-init: its release, and its schemas."""

    def __init__(self, release: str, cloud_config: "Schema", network_config: dict[int, "Schema"]) -> None:
        self.release = release
        self._cloud_config = cloud_config
        self._network_config = network_config

    @property
    def name(self) -> str:
        """What is quoted when its schemas are."""
        return f"schema of cloud-init {self.release}"

    def check_cloud_config(self, document: Any) -> list[Objection]:
        """Return what is wrong with a cloud-config, as YAML 1.1 loads it."""
        return self._cloud_config.objections(document)

    def shown(self, path: KeyPath) -> str:
        """Return the path to a value of a cloud-config, with those of its keys that are cloud-init's own."""
        return self._cloud_config.words.shown(path)

    def check_network_config(self, document: dict[str, Any]) -> list[Objection]:
        """Return what is wrong with a network-config; nothing where this release has no schema of it."""
        schema = self._network_config.get(document.get("version", 0))
        return schema.objections(document) if schema else []


def find_cloud_init(directories: Sequence[str] | None = None) -> CloudInit | None:
    """Return the cloud-init that is installed in one of these directories, by default where a system has it.

    None where there is none, or one without schemas (before 22.1), or with some that cannot be read.
    """
    if directories is None:
        directories = [*sys.path, *sorted(glob.glob(_SYSTEM_DIRECTORIES))]
    for directory in directories:
        package = Path(directory) / "cloudinit"
        try:
            release = _release((package / "version.py").read_text(encoding="utf-8"))
            cloud_config = Schema.read(package / "config/schemas" / _CLOUD_CONFIG)
        except (OSError, ValueError, LookupError):
            continue
        network_config = {}
        for version in (1, 2):
            try:
                path = package / "config/schemas" / _NETWORK_CONFIG.format(version)
                network_config[version] = Schema.read(path)
            except (OSError, ValueError, LookupError):
                continue
        return CloudInit(release, cloud_config, network_config)
    return None


def _release(text: str) -> str:
    found = _PACKAGED.search(text) or _RELEASE.search(text)
    if found is None:
        raise ValueError("no release")
    return found[1]


class Schema:
    """One of the schemas.

    Most of cloud-config's says what may stand under a key of the document, where most definitions of a site
    have the same. So each key is checked by itself, and what was found is kept by key and value.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        whole = _resolve(schema)
        self.words = Words(whole)
        draft: Any = jsonschema.validators.validator_for(whole, jsonschema.Draft4Validator)
        modules = whole.get("allOf", [])
        plain = [module for module in modules if module.keys() == {"type", "properties"}]
        self._rest = draft({**whole, "allOf": [module for module in modules if module not in plain] or [{}]})
        self._by_key: dict[str, list[Any]] = {}
        for module in plain:
            for key, rule in module["properties"].items():
                self._by_key.setdefault(key, []).append(draft(rule))
        self._kept: dict[bytes, list[Objection]] = {}

    @classmethod
    def read(cls, path: Path) -> "Schema":
        """Return the schema in a file.

        Raises:
            OSError: it cannot be read.
            ValueError, LookupError: it is no schema.
        """
        loaded = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(loaded, dict):
            raise ValueError("not a schema")
        return cls(loaded)

    def objections(self, document: Any) -> list[Objection]:
        """Return what is wrong with a document, each once."""
        found = self._found(self._rest, document, ())
        if isinstance(document, dict):
            for key, value in document.items():
                if key in self._by_key:
                    found += self._of_key(key, value)
        return list(dict.fromkeys(found))

    def _of_key(self, key: str, value: Any) -> list[Objection]:
        digest = hashlib.blake2b(repr((key, value)).encode("utf-8", "replace"), digest_size=16).digest()
        if digest not in self._kept:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            rules = self._by_key[key]
            self._kept[digest] = [each for rule in rules for each in self._found(rule, value, (key,))]
        return self._kept[digest]

    def _found(self, validator: Any, value: Any, at: KeyPath) -> list[Objection]:
        found = [
            ((*at, *path), text) for error in validator.iter_errors(value) for path, text in sentences(error)
        ]
        return [Objection(path, self.words.shown(path), text) for path, text in found]


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what its references name in their place.

    To look them up takes jsonschema half of its time.

    Raises:
        LookupError: a reference leads nowhere, or out of the file.
        ValueError: references make a circle.
    """
    resolved: dict[str, Any] = {}
    under_way: set[str] = set()

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(each) for each in value]
        if not isinstance(value, dict):
            return value
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return {key: resolve(each) for key, each in value.items()}
        if reference in under_way:
            raise ValueError("a circle")
        if reference not in resolved:
            under_way.add(reference)
            resolved[reference] = resolve(_find(schema, reference))
            under_way.remove(reference)
        return resolved[reference]

    # The definitions are resolved where they are used. In these drafts nothing counts beside a reference.
    whole = resolve({key: value for key, value in schema.items() if key != "$defs"})
    if not isinstance(whole, dict):
        raise ValueError("not a schema")
    return whole


def _find(schema: Any, reference: str) -> Any:
    file, _, pointer = reference.partition("#/")
    if file:
        raise LookupError(reference)
    for step in pointer.split("/"):
        schema = schema[step.replace("~1", "/").replace("~0", "~")]
    return schema
