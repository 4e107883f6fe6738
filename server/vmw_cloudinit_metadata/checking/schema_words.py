"""The errors of jsonschema as ends of sentences that quote the schema, and of a document nothing.

jsonschema's own messages quote the value, which in user-data is a secret, and so may be a key that the author
of the user-data has made up.
"""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema

from vmw_cloudinit_metadata.checks import Path

# A longer list of what a value may be is no help to read.
_MAX_CHOICES = 12

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}


class Words:
    """The keys that a schema knows by name."""

    def __init__(self, schema: Any) -> None:
        self._names: set[str] = set()
        self._collect(schema)

    def shown(self, path: Path) -> str:
        """Return a path as people write it, ``…`` for each key that is not the schema's."""
        text = ""
        for step in path:
            if isinstance(step, int):
                text += f"[{step}]"
            else:
                text += ("." if text else "") + (step if step in self._names else "…")
        return text

    def _collect(self, schema: Any) -> None:
        if isinstance(schema, dict):
            properties = schema.get("properties")
            if isinstance(properties, dict):
                self._names |= properties.keys()
            schema = list(schema.values())
        if isinstance(schema, list):
            for each in schema:
                self._collect(each)


def sentences(error: jsonschema.ValidationError) -> Iterator[tuple[Path, str]]:
    """Yield the path of each thing that an error is about, and the end of a sentence."""
    path: Path = tuple(error.absolute_path)
    rule: Any = error.validator_value
    value: Any = error.instance
    if error.validator in ("anyOf", "oneOf"):
        yield from _of_alternatives(error, path)
    elif error.validator == "additionalProperties":
        schema: Any = error.schema
        known = list(schema.get("properties", {}))
        patterns = schema.get("patternProperties", {})
        for key in value:
            if key not in known and not any(re.search(pattern, key) for pattern in patterns):
                yield (*path, key), f"is not a known key{_suggestion(key, known)}"
    elif error.validator == "required":
        for key in rule if isinstance(rule, list) else []:
            if key not in value:
                yield path, f"lacks the key {key}"
    else:
        yield path, _sentence(str(error.validator), rule)


def _of_alternatives(error: jsonschema.ValidationError, path: Path) -> Iterator[tuple[Path, str]]:
    """Say what is wrong with a value of several forms: by the one that is meant, if that is clear."""
    forms: dict[Any, list[jsonschema.ValidationError]] = {}
    for each in error.context:
        forms.setdefault(each.relative_schema_path[0], []).append(each)
    if not forms:
        yield path, "has several forms at once, of which one is meant"
        return
    meant = list(forms.values())
    # It is the form of the value's type; of a mapping that of its key ``type``, or of the keys that it has.
    for rule, where in (("type", path), ("enum", (*path, "type")), ("required", path)):
        left = [errors for errors in meant if not _has(errors, rule, where)]
        if not left and rule != "required":
            yield where, _sentence(rule, _wanted(meant, rule, where))
            return
        meant = left or meant
    if len(meant) > 1:
        yield path, "has none of the forms that it may have"
        return
    for each in meant[0]:
        yield from sentences(each)


def _wanted(forms: list[list[jsonschema.ValidationError]], rule: str, path: Path) -> list[Any]:
    """Return what a rule wants at ``path``, of all forms together."""
    rules: list[Any] = [
        each.validator_value
        for errors in forms
        for each in errors
        if each.validator == rule and tuple(each.absolute_path) == path
    ]
    return [choice for each in rules for choice in (each if isinstance(each, list) else [each])]


def _has(errors: list[jsonschema.ValidationError], rule: str, path: Path) -> bool:
    return any(each.validator == rule and tuple(each.absolute_path) == path for each in errors)


def _sentence(rule: str, wanted: Any) -> str:
    if rule == "type":
        names = dict.fromkeys([wanted] if isinstance(wanted, str) else wanted)
        return "is not " + _either([_TYPES.get(name, name) for name in names])
    if rule == "enum" and len(wanted) <= _MAX_CHOICES:
        return "is not " + _either([_written(each) for each in wanted])
    if rule == "pattern":
        return f"does not fit the pattern {wanted}"
    if rule in ("minimum", "maximum"):
        return f"is {'less' if rule == 'minimum' else 'more'} than {wanted}"
    if rule in ("minItems", "minProperties", "minLength"):
        return "is empty" if wanted == 1 else f"is shorter than {wanted}"
    if rule in ("maxItems", "maxProperties", "maxLength"):
        return f"is longer than {wanted}"
    if rule == "uniqueItems":
        return "holds something twice"
    return f"breaks the rule {rule}"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _suggestion(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
