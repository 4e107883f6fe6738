"""The schema as functions says what jsonschema says, of every keyword and of any values."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.definition.strategies import anything, definitions
from vmw_cloudinit_metadata.definition import Source, rules, schema
from vmw_cloudinit_metadata.definition.accept import Compiler
from vmw_cloudinit_metadata.definition.read_definition import read_definition
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.strict_yaml import compose


def even(value: object) -> str | None:
    return None if isinstance(value, str) and len(value) % 2 == 0 else "is odd"


SCALARS: list[Any] = [None, True, False, 0, 1, -1, 1.5, 10**20, "", "a", "ab", "abc", "a\n", "é"]
LISTS: list[Any] = [[], ["a"], ["a", "b"], [1, "a"], [[["a"]]]]
MAPPINGS: list[Any] = [
    {},
    {"a": 1},
    {"a": "x"},
    {"a": "x", "b": 1},
    {"b": None},
    {"ab": {"ab": {}}},
    {"a": [1]},
]
VALUES = [*SCALARS, *LISTS, *MAPPINGS]

SCHEMAS: list[Any] = [
    *({}, True, False),
    *({"type": "string"}, {"type": ["array", "null"]}, {"type": "number"}, {"type": "boolean"}),
    *({"type": "integer", "minimum": 0}, {"minimum": 1, "maximum": 2}, {"maximum": 0}),
    *({"const": True}, {"const": 1}, {"const": "a"}, {"enum": [0, "a", None]}, {"enum": [False]}),
    *({"pattern": "^a"}, {"pattern": "b$"}),
    *({"minLength": 2}, {"maxLength": 1}, {"minLength": 1, "maxLength": 2}),
    *(
        {"minItems": 1},
        {"maxItems": 1},
        {"items": {"type": "string"}},
        {"items": {"items": {"items": False}}},
    ),
    *({"required": ["a"]}, {"minProperties": 1}, {"properties": {"a": {"type": "string"}}}),
    *({"additionalProperties": False}, {"properties": {"a": {}}, "additionalProperties": {"type": "null"}}),
    *({"propertyNames": {"maxLength": 1}}, {"allOf": [{"required": ["a"]}, {"required": ["b"]}]}),
    *({"anyOf": [{"type": "string"}, {"required": ["b"]}]}, {"not": {"type": "object"}}),
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
    {"if": {"type": "string"}, "else": {"type": "array"}},
    {"if": {"type": "string"}, "then": {"minLength": 2}, "else": False},
    {"format": "even"},
    {"$defs": {"text": {"type": "string"}}, "items": {"$ref": "#/$defs/text"}, "title": "x"},
    {"properties": {"ab": {"$ref": "#"}}, "additionalProperties": False},
    {"properties": {"a/b~": {"type": "null"}}, "$ref": "#/properties/a~1b~0"},
]


@pytest.mark.parametrize("rule", SCHEMAS, ids=json.dumps)
def test_each_keyword_means_what_the_standard_says(rule: Any) -> None:
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("even")(lambda value: not isinstance(value, str) or even(value) is None)
    theirs = jsonschema.Draft202012Validator(rule, format_checker=checker)
    ours = Compiler(rule, {"even": even}).check(rule)
    assert [ours(value) for value in VALUES] == [theirs.is_valid(value) for value in VALUES]


def test_a_keyword_that_is_not_known_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        Compiler({}, {}).check({"contains": {}})


def test_jsonschema_is_loaded_for_who_has_faults() -> None:
    program = """
import sys
from vmw_cloudinit_metadata.definition import parse_definition
parse_definition(b"metadata: {instance-id: i, hostname: h}", "a.yaml")
sys.exit("jsonschema" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(definitions | st.fixed_dictionaries(dict.fromkeys(schema()["properties"], anything)))
def test_of_a_definition_both_say_the_same(raw: Any) -> None:
    root, faults = compose(Source("a.yaml", yaml.dump(raw, Dumper=yaml.CSafeDumper).encode()))
    if root is not None:
        values = read_definition(Reader(root, faults), root)
        assert rules._accepts()(values) == rules._validator().is_valid(values)
