"""The pins and the names of a definition read alone, for an index."""

import uuid

import pytest

from tests.support.definitions import LEAST, parse
from vmw_cloudinit_metadata.definition import parse_match, parse_vms
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceMatch


@pytest.mark.parametrize(
    "text",
    [
        LEAST + "match: {vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde}\n",
        LEAST + "match:\n  # this one\n\n  vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde\nuserdata: x\n",
        LEAST + "match:\r\n  vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde\r\nuserdata: x\r\n",
        "match : {vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde}\n" + LEAST,
        "{metadata: {instance-id: i, hostname: h}, match: {vc-uuid: 5012ab34cd564e7890123456789abcde}}",
        "metadata: {instance-id: &u 5012ab34cd564e7890123456789abcde, hostname: h}\nmatch: {vc-uuid: *u}\n",
        "<<: {match: {vc-uuid: 5012ab34cd564e7890123456789abcde}}\n" + LEAST,
    ],
)
def test_the_pins_alone_are_read_as_they_are_with_the_rest(text: str) -> None:
    match = parse_match(text.encode())
    assert match == InstanceMatch(uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde"))
    assert parse(text).match == match


@pytest.mark.parametrize(
    "text", [LEAST, LEAST + "userdata: |\n  match: {vc-uuid: x}\n", "- match", "match", ""]
)
def test_what_has_no_pins_has_none_to_read(text: str) -> None:
    assert parse_match(text.encode()) is None


def test_pins_from_a_table_are_not_those_of_the_file() -> None:
    text = LEAST + "vms: {web-01: {id: x}}\nmatch: {vc-uuid: '{{ vm.id }}'}\n"
    assert parse_match(text.encode()) is None


@pytest.mark.parametrize("text", ["match: [", "match: {vc-uuid: x}", "match: {uuid: x}", "match: x"])
def test_pins_that_cannot_be_read_are_an_error(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse_match(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "vms: [web-01]\n" + LEAST,
        LEAST + "vms:\n- web-01\n# and\n- x*\nuserdata: x\n",
        LEAST + "vms:\n  web-01:\n    ip: 192.0.2.1\n\nuserdata: x\n",
        "{vms: [web-01], metadata: {instance-id: i, hostname: h}}",
        "metadata: &m {instance-id: i, hostname: &h web-01}\nvms: [*h]\n",
        LEAST + "vms: [web-01\n  ]\nbroken: key\n",
    ],
)
def test_the_names_alone_are_read_as_they_are_with_the_rest(text: str) -> None:
    found = parse_vms(text.encode())
    assert found is not None
    assert found.rank("web-01") == 2


@pytest.mark.parametrize("text", [LEAST, LEAST + "userdata: |\n  vms: [web-01]\n", "- vms", "vms", ""])
def test_what_names_no_vms_has_none_to_read(text: str) -> None:
    assert parse_vms(text.encode()) is None


@pytest.mark.parametrize("text", ["vms: [", "vms: []", "vms:", "a: b: vms"])
def test_names_that_cannot_be_read_are_an_error(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse_vms(text.encode())
