import uuid
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.instance import InstanceData, InstanceMatch
from vmw_cloudinit_metadata.vspc.access import SENTENCE, refusal, same_secret

VC_UUID = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
BIOS_UUID = uuid.UUID("4212ab34-cd56-4e78-9012-3456789abcde")
OTHER = uuid.UUID("00000000-0000-4000-8000-000000000001")
SECRET = "correct-horse"


@dataclass
class VM:
    """What a VM claims."""

    vm_vc_uuid: uuid.UUID | None = VC_UUID
    vm_bios_uuid: uuid.UUID | None = BIOS_UUID
    vm_token: str = ""


def instance(match: InstanceMatch | None = None, token: str | None = None) -> InstanceData:
    made = InstanceData({"metadata": {"instance-id": "i-0042", "hostname": "web-01"}})
    made.match, made.token = match, token
    return made


def reason(made: InstanceData, vm: VM) -> str:
    """Return what the operator reads; the guest's sentence says none of it."""
    refused = refusal(made, vm)
    assert refused is not None
    assert refused.sentence == SENTENCE
    assert SECRET not in repr(refused)
    return refused.log


def test_a_definition_without_conditions_is_for_whoever_has_the_name() -> None:
    assert refusal(instance(), VM()) is None
    assert refusal(instance(), VM(None, None, SECRET)) is None


@pytest.mark.parametrize(
    "match", [InstanceMatch(VC_UUID), InstanceMatch(None, BIOS_UUID), InstanceMatch(VC_UUID, BIOS_UUID)]
)
def test_the_vm_that_is_pinned_is_served(match: InstanceMatch) -> None:
    assert refusal(instance(match), VM()) is None


def test_a_vm_with_another_uuid_is_refused_and_the_log_names_both() -> None:
    assert reason(instance(InstanceMatch(VC_UUID)), VM(vm_vc_uuid=OTHER)) == (
        f"denied: its vc-uuid is {OTHER}, the definition is for {VC_UUID}"
    )
    assert reason(instance(InstanceMatch(VC_UUID, BIOS_UUID)), VM(vm_bios_uuid=OTHER)) == (
        f"denied: its bios-uuid is {OTHER}, the definition is for {BIOS_UUID}"
    )


def test_a_vm_that_does_not_say_its_uuid_is_refused() -> None:
    assert reason(instance(InstanceMatch(VC_UUID, BIOS_UUID)), VM(None, None)) == (
        f"denied: its vc-uuid is not known, the definition is for {VC_UUID};"
        f" its bios-uuid is not known, the definition is for {BIOS_UUID}"
    )


def test_one_uuid_does_not_stand_for_the_other() -> None:
    assert refusal(instance(InstanceMatch(vc_uuid=VC_UUID)), VM(BIOS_UUID, VC_UUID)) is not None


def test_a_vm_whose_service_uri_carries_the_token_is_served() -> None:
    assert refusal(instance(token=SECRET), VM(vm_token=SECRET)) is None


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("", "denied: its service URI carries no token, the definition demands one"),
        ("correct-horsf", "denied: its service URI carries another token than the definition's"),
        ("correct-horse ", "denied: its service URI carries another token than the definition's"),
        ("größe-\udc80", "denied: its service URI carries another token than the definition's"),
    ],
)
def test_another_token_or_none_is_refused_and_never_shown(token: str, sentence: str) -> None:
    assert reason(instance(token=SECRET), VM(vm_token=token)) == sentence


def test_pins_and_token_must_both_fit() -> None:
    both = instance(InstanceMatch(VC_UUID), SECRET)
    assert refusal(both, VM(vm_token=SECRET)) is None
    assert "vc-uuid" in reason(both, VM(OTHER, vm_token=SECRET))
    assert "token" in reason(both, VM())


def test_what_the_driver_denies_nobody_gets() -> None:
    made = instance()
    made.denied = "its definition has no pins"
    assert reason(made, VM(vm_token=SECRET)) == "denied: its definition has no pins"


@given(st.text(), st.text())
def test_secrets_are_the_same_when_their_texts_are(one: str, other: str) -> None:
    assert same_secret(one, one)
    assert same_secret(one, other) == (one == other)
