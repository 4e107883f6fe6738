import pytest

from vmw_cloudinit_metadata.checking.claims import Claim, Claims, claims_of
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.definition import Place
from vmw_cloudinit_metadata.instance import InstanceData

PLACES = Places({(): Place("a.yaml", 1), ("network",): Place("_defaults.yaml", 7)}, list)


def claim(vm: str, line: int = 3, source: str = "", kind: str = "address", value: str = "192.0.2.1") -> Claim:
    return Claim(kind, value, vm, source or f"{vm}.yaml", line, "network.address")


def test_who_claims_first_has_no_fault_and_all_others_have() -> None:
    claims = Claims()
    assert claims.add(claim("a")) is None
    assert claims.add(claim("b", value="192.0.2.2")) is None
    assert claims.add(claim("b", kind="mac")) is None
    for vm in ("b", "c"):
        assert str(claims.add(claim(vm))) == (
            f"{vm}.yaml:3: network.address: 192.0.2.1 is given to {vm} and to a (a.yaml:3);"
            " each needs an address of its own"
        )
    assert claims.of("address", "192.0.2.1") == claim("a")
    assert claims.of("address", "192.0.2.9") is None


def test_what_one_place_gives_to_many_vms_is_told_once() -> None:
    claims = Claims()
    found = [claims.add(claim(vm, source="_defaults.yaml")) for vm in "abcd"]
    assert [str(fault) for fault in found if fault] == [
        "_defaults.yaml:3: network.address: 192.0.2.1 is given to a and b alike;"
        " each needs an address of its own, by a field as {{ vm.name }}"
    ]
    assert claims.add(claim("e", source="e.yaml")) is not None


def test_a_vm_may_have_the_same_twice() -> None:
    claims = Claims()
    assert claims.add(claim("a")) is None
    assert claims.add(claim("a", line=4)) is None


@pytest.mark.parametrize("kind", ["file", "vms"])
def test_a_vm_has_one_definition(kind: str) -> None:
    claims = Claims()
    assert claims.add(Claim(kind, "a", "a", "a.yaml", 0, "")) is None
    assert str(claims.add(Claim(kind, "a", "a", "b/a.yaml", 2, ""))) == (
        "b/a.yaml:2: a has another definition, a.yaml; neither is served: remove one"
    )


def test_an_instance_claims_what_nobody_else_can_have() -> None:
    instance = InstanceData(
        {
            "metadata": {"instance-id": "i-0042", "hostname": "a"},
            "network": {"mac": "00:50:56:AB:CD:EF", "address": "192.0.2.10", "netmask": "255.255.255.0"},
            "match": {"vc-uuid": "5012ab34-cd56-4e78-9012-3456789abcde"},
        }
    )
    assert list(claims_of("a\n", instance, PLACES)) == [
        Claim("instance-id", "i-0042", "'a\\n'", "a.yaml", 1, "metadata.instance-id"),
        Claim("vc-uuid", "5012ab34-cd56-4e78-9012-3456789abcde", "'a\\n'", "a.yaml", 1, "match.vc-uuid"),
        Claim("address", "192.0.2.10", "'a\\n'", "_defaults.yaml", 7, "network.address"),
        Claim("mac", "00:50:56:ab:cd:ef", "'a\\n'", "_defaults.yaml", 7, "network.mac"),
    ]
    assert list(claims_of("a", InstanceData({"metadata": {"hostname": "a"}}), PLACES)) == []
    assert list(claims_of("a", InstanceData(), PLACES)) == []
