"""Whether values fit a JSON schema, and nothing about why not: for the many definitions without fault.

jsonschema takes half of the time that a definition takes to read, most of it for errors there are none of.
So the schema is compiled, once, into functions; for what does not fit, jsonschema says why (rules.py).
The keywords are those of definition.schema.json, with the meaning of draft 2020-12; any other is a KeyError.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]
Schema = Mapping[str, Any]
Format = Callable[[object], str | None]  # returns what is wrong with a text

# What says something to people, to editors, or to rules.py.
ANNOTATIONS = frozenset(
    ("$schema", "$id", "$defs", "title", "description", "examples", "default", "errorMessage", "writeOnly")
)

_TYPES: dict[str, Check] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
}


class Compiler:
    """Makes checks of the parts of a schema: ``check`` of the whole is the one that is wanted."""

    def __init__(self, root: Schema, formats: Mapping[str, Format]) -> None:
        self._root = root
        self._formats = formats
        self._referred: dict[str, Check] = {}

    def check(self, schema: Schema | bool) -> Check:
        """Return a function that tells whether a value fits a schema."""
        if isinstance(schema, bool):
            return lambda _: schema
        # Once each: of keywords that belong together either makes the check of both.
        makers = dict.fromkeys(_KEYWORDS[keyword] for keyword in schema if keyword not in ANNOTATIONS)
        checks = [make(self, schema) for make in makers]
        return checks[0] if len(checks) == 1 else _every(checks)

    def checks(self, schemas: Mapping[str, Any]) -> dict[str, Check]:
        """Return the check of each schema of a mapping."""
        return {key: self.check(schema) for key, schema in schemas.items()}

    def ref(self, schema: Schema) -> Check:
        """Return the check of what a ``$ref`` refers to, ``#/…``; it may refer to what it stands in."""
        reference = schema["$ref"]
        if reference not in self._referred:
            self._referred[reference] = lambda value: self._referred[reference](value)
            target: Any = self._root
            for step in reference.split("/")[1:]:
                target = target[step.replace("~1", "/").replace("~0", "~")]
            self._referred[reference] = self.check(target)
        return self._referred[reference]

    def format(self, schema: Schema) -> Check:
        """Return the check of a format, which is about text."""
        fault = self._formats[schema["format"]]
        return lambda value: not isinstance(value, str) or fault(value) is None


def _every(checks: list[Check]) -> Check:
    def fits(value: Any) -> bool:
        for check in checks:  # noqa: SIM110 - all() takes twice as long
            if not check(value):
                return False
        return True

    return fits


def _type(_compiler: Compiler, schema: Schema) -> Check:
    types = schema["type"]
    if isinstance(types, str):
        return _TYPES[types]
    checks = [_TYPES[each] for each in types]
    return lambda value: any(check(value) for check in checks)


def _equal(_compiler: Compiler, schema: Schema) -> Check:
    """Make the check of ``const`` or ``enum``, of texts, numbers and truth values: 1 is not true."""
    allowed = schema["enum"] if "enum" in schema else [schema["const"]]
    pairs = [(isinstance(each, bool), each) for each in allowed]
    return lambda value: (isinstance(value, bool), value) in pairs


def _pattern(_compiler: Compiler, schema: Schema) -> Check:
    search = re.compile(schema["pattern"]).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _sizes(
    kind: type[str] | type[list[Any]] | type[dict[str, Any]], smallest: str, largest: str
) -> Callable[[Compiler, Schema], Check]:
    def make(_compiler: Compiler, schema: Schema) -> Check:
        least, most = schema.get(smallest, 0), schema.get(largest, float("inf"))
        return lambda value: not isinstance(value, kind) or least <= len(value) <= most

    return make


def _range(_compiler: Compiler, schema: Schema) -> Check:
    least, most = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
    return lambda value: type(value) not in (int, float) or least <= value <= most


def _required(_compiler: Compiler, schema: Schema) -> Check:
    keys = schema["required"]
    return lambda value: not isinstance(value, dict) or all(key in value for key in keys)


def _properties(compiler: Compiler, schema: Schema) -> Check:
    """Make the check of ``properties`` and ``additionalProperties`` together."""
    known = compiler.checks(schema.get("properties", {}))
    other = compiler.check(schema.get("additionalProperties", True))

    def fits(value: Any) -> bool:
        if isinstance(value, dict):
            for key, member in value.items():
                if not known.get(key, other)(member):
                    return False
        return True

    return fits


def _property_names(compiler: Compiler, schema: Schema) -> Check:
    check = compiler.check(schema["propertyNames"])
    return lambda value: not isinstance(value, dict) or all(map(check, value))


def _items(compiler: Compiler, schema: Schema) -> Check:
    check = compiler.check(schema["items"])
    return lambda value: not isinstance(value, list) or all(map(check, value))


def _all_of(compiler: Compiler, schema: Schema) -> Check:
    return _every([compiler.check(each) for each in schema["allOf"]])


def _any_of(compiler: Compiler, schema: Schema) -> Check:
    checks = [compiler.check(each) for each in schema["anyOf"]]
    return lambda value: any(check(value) for check in checks)


def _not(compiler: Compiler, schema: Schema) -> Check:
    check = compiler.check(schema["not"])
    return lambda value: not check(value)


def _if(compiler: Compiler, schema: Schema) -> Check:
    """Make the check of ``if``, ``then`` and ``else`` together."""
    condition = compiler.check(schema["if"])
    then, otherwise = compiler.check(schema.get("then", True)), compiler.check(schema.get("else", True))
    return lambda value: then(value) if condition(value) else otherwise(value)


_LENGTH = _sizes(str, "minLength", "maxLength")
_ITEMS = _sizes(list, "minItems", "maxItems")
_MEMBERS = _sizes(dict, "minProperties", "maxProperties")

_KEYWORDS: dict[str, Callable[[Compiler, Schema], Check]] = {
    "$ref": Compiler.ref,
    "format": Compiler.format,
    "type": _type,
    "const": _equal,
    "enum": _equal,
    "pattern": _pattern,
    "minLength": _LENGTH,
    "maxLength": _LENGTH,
    "minItems": _ITEMS,
    "maxItems": _ITEMS,
    "minProperties": _MEMBERS,
    "minimum": _range,
    "maximum": _range,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _properties,
    "propertyNames": _property_names,
    "items": _items,
    "allOf": _all_of,
    "anyOf": _any_of,
    "not": _not,
    "if": _if,
    "then": _if,
    "else": _if,
}
