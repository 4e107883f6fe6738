"""The man page of definitions explains each key that the schema has, and no other.

The source of the page is read, so that scdoc is not needed. The keys of a definition stand in the section
KEYS, those inside one of them in the section named after it.
"""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmw_cloudinit_metadata.definition import Definition, Source, VMFacts, schema

PAGE = Path(__file__).parents[2] / "packaging/man/vmw-cloudinit-metadata.5.scd"

# Both have the same forms, and one section.
SECTION_OF = {"vendordata": "userdata"}

Keys = dict[str, set[str]]  # a section -> the keys that are explained in it


def _documented(text: str) -> Keys:
    """Return the keys of each section that are explained there: a line of them, then an indented text."""
    keys: Keys = {}
    _heading, *sections = re.split(r"^# (.+)\n", text, flags=re.MULTILINE)
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        defined = re.findall(r"^\t*(\*[a-z].*\*)\n\t+\S", body, re.MULTILINE)
        found = {key for line in defined for key in re.findall(r"\*([a-z0-9.-]+)\*", line)}
        if found:
            keys[title] = found
    return keys


def _in_the_schema() -> Keys:
    whole = schema()
    keys: Keys = {"KEYS": set(whole["properties"])}
    for name, rule in whole["properties"].items():
        inside = {key for key in _keys(rule, whole) if not _is_other_spelling(key)}
        if inside:
            keys.setdefault(SECTION_OF.get(name, name).upper(), set()).update(inside)
    return keys


def _keys(rule: Any, whole: dict[str, Any]) -> Iterator[str]:
    """Yield the keys of all mappings that a rule has rules for, wherever in it they are."""
    if isinstance(rule, list):
        for each in rule:
            yield from _keys(each, whole)
    elif isinstance(rule, dict):
        if "$ref" in rule:
            yield from _keys(_referred(rule["$ref"], whole), whole)
        for keyword, value in rule.items():
            if keyword == "properties":
                yield from value
                yield from _keys(list(value.values()), whole)
            elif keyword not in ("examples", "enum", "const"):
                yield from _keys(value, whole)


def _referred(reference: str, whole: dict[str, Any]) -> Any:
    found: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


def _is_other_spelling(key: str) -> bool:
    return "_" in key  # the page says once that underscores do as well


@pytest.mark.parametrize("section", _in_the_schema())
def test_a_section_explains_the_keys_that_the_schema_has(section: str) -> None:
    assert _documented(PAGE.read_text()).get(section) == _in_the_schema()[section]


def test_keys_are_explained_only_where_the_schema_has_some() -> None:
    assert _documented(PAGE.read_text()).keys() == _in_the_schema().keys()


def test_the_schema_was_looked_through() -> None:
    keys = _in_the_schema()
    assert keys["KEYS"] >= {"metadata", "network", "userdata", "vendordata", "match", "token", "serve"}
    assert {"instance-id", "local-hostname"} <= keys["METADATA"]
    assert {"address", "to", "version"} <= keys["NETWORK"]
    assert {"file", "filename"} <= keys["USERDATA"]


def test_a_key_without_a_text_does_not_count() -> None:
    page = "page(5)\n\n# KEYS\n\n*a*, *b-1*\n\tA text.\n\n\t*c*\n\t\tA text.\n\n*d*\n\n*e*\n\n*F*\n\tx\n"
    assert _documented(page) == {"KEYS": {"a", "b-1", "c"}}


def test_the_examples_of_the_page_are_definitions() -> None:
    examples = re.findall(r"^```\n(.*?)^```\n", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 5
    for text in examples:
        Definition(Source("example.yaml", text.encode())).instance(
            VMFacts("web-01", uuid.UUID(int=1))
        ).validate()
