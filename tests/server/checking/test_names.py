import uuid

import pytest

from tests.support.definitions import LEAST
from vmw_cloudinit_metadata.checking.names import (
    Pattern,
    file_name_warning,
    name_claim,
    name_claims,
    patterns_of,
    sample_vms,
)
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.definition import Definition, Source


def definition(vms: str = "") -> Definition:
    return Definition(Source("a.yaml", ((f"vms: {vms}\n" if vms else "") + LEAST).encode()))


def places(made: Definition) -> Places:
    return Places(made.places(), list)


def test_without_vms_a_definition_is_for_the_vm_that_its_file_is_called_after() -> None:
    (vm,) = sample_vms(definition(), "/srv/a%2fb.yaml")
    assert vm.name == "a%2fb"
    assert isinstance(vm.vc_uuid, uuid.UUID)
    (other,) = sample_vms(definition(), "/srv/b.yaml")
    assert len({vm.vc_uuid, vm.bios_uuid, other.vc_uuid, other.bios_uuid}) == 4
    assert sample_vms(definition(), "/srv/\udcff.yaml")[0].name == "\udcff"


@pytest.mark.parametrize(
    ("vms", "names"),
    [
        ("[web-01, web-02]", ["web-01", "web-02"]),
        ("{web-01: {ip: 192.0.2.1}}", ["web-01"]),
        ("['web-*', db-01]", ["db-01", "web-1", "web-2"]),
        ("['web-?']", ["web-1", "web-2"]),
        ("['[ab]-1']", ["a-1", "b-1"]),
        ("['[a]']", ["a"]),
    ],
)
def test_with_vms_it_is_for_those_that_it_names_and_for_two_that_fit_each_pattern(
    vms: str, names: list[str]
) -> None:
    samples = sample_vms(definition(vms), "/srv/a.yaml")
    assert sorted({vm.name for vm in samples}) == names
    assert len({vm.vc_uuid for vm in samples}) == len({vm.name for vm in samples})


def test_names_are_claimed_as_vsphere_writes_them() -> None:
    claim = name_claim("/srv/a%2Fb.yaml")
    assert (claim.kind, claim.value, claim.vm, claim.place) == ("file", "a%2fb", "a%2Fb", "/srv/a%2Fb.yaml")
    made = definition("['a/b', 'web-*']")
    assert made.vms is not None
    (claim,) = name_claims(made.vms, sample_vms(made, "/srv/a.yaml"), places(made))
    assert (claim.kind, claim.value, claim.vm, claim.place, claim.key) == (
        "vms",
        "a%2fb",
        "a/b",
        "a.yaml:1",
        "vms",
    )


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("['web-*']", "['db-*']", None),
        ("['web-*']", "['web-0?', 'x']", "web-01"),
        ("['web-*']", "['*-1']", "web-1"),
    ],
)
def test_a_name_that_fits_patterns_of_two_definitions_is_found(
    one: str, other: str, shared: str | None
) -> None:
    (pattern,) = patterns(one)
    (rival,) = patterns(other)
    assert pattern.shared_name(rival) == rival.shared_name(pattern) == shared


def patterns(vms: str) -> list[Pattern]:
    made = definition(vms)
    assert made.vms is not None
    return patterns_of(made.vms, sample_vms(made, "/srv/a.yaml"), places(made))


def test_names_alone_make_no_pattern() -> None:
    assert patterns("[web-1]") == []


@pytest.mark.parametrize("name", ["web-01", "büro 1", "a%2fb", "a%25b", "x" * 80, "%2f" * 80])
def test_a_name_that_a_vm_can_have_is_not_mentioned(name: str) -> None:
    assert file_name_warning(f"/srv/{name}.yaml") is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a%2Fb", "is called what no VM is: vSphere writes a%2fb; rename it to that"),
        ("a\\b", "is called what no VM is: vSphere writes a%5cb; rename it to that"),
        ("50%", "is called what no VM is: vSphere writes 50%25; rename it to that"),
        ("\udcff", "is called what no VM can be: its name is not UTF-8; rename it"),
        ("x" * 81, "is called what no VM can be: their names have at most 80 characters; rename it"),
    ],
)
def test_a_name_that_no_vm_has_is_told_with_the_right_one(name: str, sentence: str) -> None:
    assert file_name_warning(f"/srv/{name}.yaml") == sentence
