"""The key ``vms``: names, patterns, their fields; and what is wrong with them."""

import json
import textwrap
from collections.abc import Mapping

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.definitions import LEAST, faults
from vmw_cloudinit_metadata.definition import Definition, Source, VMFacts, VMs, parse_vms, schema
from vmw_cloudinit_metadata.definition.strict_yaml import MAX_KEY
from vmw_cloudinit_metadata.definition.vms import MAX_PATTERNS
from vmw_cloudinit_metadata.errors import DefinitionError

NONE = "is not a list of names and patterns, or a mapping of each to its fields, with at least one"
NO_TEXT = "is not text; quote an empty one"
NO_NAME = "is not the name of a VM, nor a pattern such as web-*"


def vms(text: str) -> VMs:
    found = parse_vms(textwrap.dedent(text).encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        *[("web-01", 2), ("web-02", 1), ("web-", 1), ("db-1", 1), ("mail-7", 1), ("ay", 1)],
        *[("WEB-01", 0), ("Web-02", 0), ("db-12", 0), ("mail-x", 0), ("xy", 0), ("a", 0), ("", 0)],
    ],
)
def test_a_name_fits_better_than_a_pattern_and_case_counts(name: str, rank: int) -> None:
    assert vms("vms: [web-01, web-*, 'db-?', 'mail-[0-9]', '[!x]y']\n").rank(name) == rank


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("web-01", {"rack": "a1", "size": "large", "row": "7"}),
        ("web-02", {"rack": "a2", "size": "small", "row": "7"}),
        ("web-03", {"row": "7", "size": "small"}),
        ("db-01", {"row": "7"}),
        ("cache", {}),
    ],
)
def test_a_name_has_its_own_fields_over_those_of_its_patterns(name: str, fields: Mapping[str, str]) -> None:
    made = vms(
        """\
        vms:
          web-01: {rack: a1, size: large}
          web-02: {rack: a2}
          '*-*': {row: 7}
          'web-*': {size: small}
        """
    )
    assert made.fields(name) == fields
    assert made.columns() == {"rack", "size", "row"}


def test_names_and_patterns_can_be_listed() -> None:
    made = vms("vms: {web-02: {x: y}, 'web-*': , web-01: , '[a]': }\n")
    assert (list(made.names), list(made.patterns)) == (["web-02", "web-01"], ["web-*", "[a]"])


def test_the_values_of_a_table_are_the_text_that_stands_in_the_file() -> None:
    made = vms("vms: {a: {x: 0123, y: 12:30, z: no, w: '', v: 2030-01-01}}\n")
    assert made.fields("a") == {"x": "0123", "y": "12:30", "z": "no", "w": "", "v": "2030-01-01"}


def test_each_name_and_pattern_has_a_sample_which_is_the_same_each_time() -> None:
    text = "vms: [web-01, web-*, '?[ab]-*', '[!0-9]x', 'web-1']\n"
    samples = vms(text).samples()
    assert [sample.name for sample in samples] == ["web-01", "web-1", "1a-1", "ax"]
    assert samples == vms(text).samples()
    assert len({sample.vc_uuid for sample in samples} | {sample.bios_uuid for sample in samples}) == 8
    assert all(isinstance(sample, VMFacts) and vms(text).rank(sample.name) for sample in samples)


@pytest.mark.parametrize(
    ("lines", "sentences"),
    [
        ("vms:\n", [f"2: vms: {NONE}"]),
        ("vms: []\n", [f"2: vms: {NONE}"]),
        ("vms: {}\n", [f"2: vms: {NONE}"]),
        ("vms: web-01\n", [f"2: vms: {NONE}"]),
        ("vms:\n- web-*\n- [x]\n- ~\n", [f"4: vms[1]: {NO_NAME}", f"5: vms[2]: {NO_NAME}"]),
        ("vms: ['']\n", [f"2: vms[0]: {NO_NAME}"]),
        ("vms: [a, b, a]\n", ["2: vms[2]: is the same as the 1. of the list"]),
        ("vms: {a: {}, a: {}}\n", ["2: vms.a: is given twice (first on line 2)"]),
        (f"vms: [{'x' * (MAX_KEY + 1)}]\n", [f"2: vms[0]: is longer than {MAX_KEY} characters"]),
        ("vms: ['[z-a]']\n", ["2: vms[0]: is a pattern that no name fits"]),
        ("vms: {web-*: x}\n", ["2: vms.web-*: is not a mapping of fields to text"]),
        ("vms:\n  w*:\n   ip: [x]\n   r: ~\n", [f"4: vms.w*.ip: {NO_TEXT}", f"5: vms.w*.r: {NO_TEXT}"]),
        ("vms: {a: {a-b: x}}\n", ["2: vms.a.a-b: is not the name of a field (letters, digits and _)"]),
        ("vms: {a: {name: x}}\n", ["2: vms.a.name: is what the VM says itself; give the field another name"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(lines: str, sentences: list[str]) -> None:
    assert faults(LEAST + lines) == [f"web-01.yaml:{sentence}" for sentence in sentences]


def test_names_may_be_many_and_patterns_few() -> None:
    names = ", ".join(f"web-{number}" for number in range(10 * MAX_PATTERNS))
    patterns = ", ".join(f"web{number}-*" for number in range(MAX_PATTERNS))
    assert vms(f"vms: [{names}, {patterns}]\n").rank("web99-1") == 1
    assert faults(f"{LEAST}vms: [{names}, {patterns}, x*]\n") == [
        "web-01.yaml:2: vms: has more than 100 patterns"
    ]


def test_a_definition_says_where_its_names_stand() -> None:
    made = Definition(Source("a.yaml", (LEAST + "vms:\n  web-01: {ip: 192.0.2.1}\n").encode()))
    assert made.vms is not None
    assert made.places()["vms",] == ("a.yaml", 2)
    assert made.places()["vms", "web-01"] == ("a.yaml", 3)
    assert made.places()["metadata", "hostname"] == ("a.yaml", 1)


names = st.text("ab0*?[]!-^\\&|~.\n", min_size=1, max_size=12) | st.text(min_size=1, max_size=5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(names, min_size=1, max_size=4), names)
def test_whatever_is_read_without_fault_fits_its_own_samples(raw: list[str], name: str) -> None:
    try:
        made = vms(json.dumps({"vms": raw}))
    except DefinitionError:
        return
    assert made.rank(name) in (0, 1, 2)
    assert all(made.rank(sample.name) for sample in made.samples())
    assert set(made.samples()) <= set(vms(json.dumps({"vms": {key: {} for key in raw}})).samples())


@pytest.mark.parametrize(
    ("written", "good"),
    [
        *[
            ("[web-01, 'web-*']", True),
            ("{web-01: {ip: x}, 'db-*': }", True),
            ("{a: {A_1: '', b: '1'}}", True),
        ],
        *[
            ("[]", False),
            ("{}", False),
            ("web-01", False),
            ("[['x']]", False),
            ("['']", False),
            ("{'': {}}", False),
        ],
        *[("{a: x}", False), ("{a: {b: [x]}}", False), ("{a: {b: ~}}", False), ("{a: {b-c: x}}", False)],
        *[("{a: {name: x}}", False), ("{a: {vc_uuid: x}}", False), ('{a: {"b\\n": x}}', False)],
        (f"[{'x' * (MAX_KEY + 1)}]", False),
    ],
)
def test_an_editor_says_of_it_what_the_server_says(written: str, good: bool) -> None:
    text = f"{LEAST}vms: {written}\n"
    assert jsonschema.Draft202012Validator(schema()).is_valid(yaml.safe_load(text)) == good
    if good:
        vms(text)
    else:
        assert faults(text)
