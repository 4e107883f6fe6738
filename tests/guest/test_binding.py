import json
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest.machine import OTHER_UUID, UUID, Machine
from vmw_cloudinit_guest.binding import (
    Scrub,
    Standing,
    State,
    Written,
    from_bytes,
    judge,
    product_uuid,
    to_bytes,
)

OURS = UUID.replace("-", "")
ANOTHERS = OTHER_UUID.replace("-", "")
# The same machine, by a kernel or a virtual hardware that takes the first three fields the other way round.
SWAPPED = "23014d56-6745-ab89-cdef-0123456789ab".replace("-", "")


def state(uuid: Optional[str]) -> State:
    return State(uuid, "i-0042", "ttyS1", 1234567890)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("text", [UUID, UUID.upper(), OURS])
def test_the_machine_is_known_by_its_uuid_in_any_spelling(machine: Machine, text: str) -> None:
    machine.has_uuid(text)
    assert product_uuid(machine.root) == OURS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Not Settable",
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        UUID[:-1],
        UUID + "0",
        "\u0660" * 32,
    ],
)
def test_what_stands_for_no_uuid_is_none(machine: Machine, text: str) -> None:
    machine.has_uuid(text)
    assert product_uuid(machine.root) is None


def test_without_dmi_and_without_the_right_to_read_it_the_machine_is_not_known(machine: Machine) -> None:
    assert product_uuid(machine.root) is None
    machine.path("/sys/class/dmi/id/product_uuid").mkdir(parents=True)  # which root cannot read either
    assert product_uuid(machine.root) is None


@pytest.mark.parametrize(
    ("has_seed", "bound_to", "machine", "standing"),
    [
        (True, OURS, OURS, Standing.OWN),
        (True, SWAPPED, OURS, Standing.OWN),
        (True, OURS, SWAPPED, Standing.OWN),
        (True, ANOTHERS, OURS, Standing.ANOTHERS),
        (True, OURS, ANOTHERS, Standing.ANOTHERS),
        # A deletion that was broken off, after meta-data and before the state.
        (False, ANOTHERS, OURS, Standing.ANOTHERS),
        (False, OURS, OURS, Standing.NO_SEED),
        # Unreadable is no mismatch.
        (True, OURS, None, Standing.OWN),
        (True, None, None, Standing.OWN),
        # Bound while the machine was not known: nothing says whose it is.
        (True, None, OURS, Standing.UNBOUND),
    ],
)
def test_a_seed_is_judged_by_its_state(
    has_seed: bool, bound_to: Optional[str], machine: Optional[str], standing: Standing
) -> None:
    assert judge(has_seed, state(bound_to), machine) is standing


@pytest.mark.parametrize("machine", [OURS, None])
def test_a_seed_without_a_state_is_bound_to_no_machine(machine: Optional[str]) -> None:
    assert judge(True, None, machine) is Standing.UNBOUND
    assert judge(False, None, machine) is Standing.NO_SEED


@pytest.mark.parametrize("uuid", [OURS, None])
def test_a_state_survives_its_file(uuid: Optional[str]) -> None:
    assert from_bytes(to_bytes(state(uuid))) == state(uuid)


WRITTEN = Written("0123456789abcdef", "0123456789abcdef" * 4)


def test_what_was_written_is_in_it() -> None:
    whole = state(OURS)._replace(documents={"user-data": WRITTEN, "meta-data": WRITTEN})
    assert from_bytes(to_bytes(whole)) == whole


@pytest.mark.parametrize("step", Scrub)
def test_how_far_it_is_scrubbed_survives_its_file(step: Scrub) -> None:
    known = from_bytes(to_bytes(state(OURS)._replace(scrub=step)))
    assert known
    assert known.scrub is step


def test_the_mac_addresses_that_were_filled_in_survive_its_file() -> None:
    whole = state(OURS)._replace(macs={"eth0": "00:50:56:00:00:0a", "eth1": None})
    assert from_bytes(to_bytes(whole)) == whole


@pytest.mark.parametrize("value", [None, 1, [], {}, "00:50:56:00:00:0A", "00:50:56:00:00:0a\n"])
def test_a_mac_address_that_is_not_understood_is_looked_for_again_and_the_rest_counts(value: Any) -> None:
    values = json.loads(to_bytes(state(OURS)).decode())
    values["macs"] = {"eth0": value, "eth1": "00:50:56:00:00:0b"}
    known = from_bytes(json.dumps(values).encode())
    assert known
    assert known.macs == {"eth0": None, "eth1": "00:50:56:00:00:0b"}
    values["macs"] = value
    assert from_bytes(json.dumps(values).encode()) == state(OURS)


@pytest.mark.parametrize("value", ["", "later", None, 1, ["done"], {}])
def test_a_step_of_scrubbing_that_is_not_understood_is_none_and_the_rest_counts(value: Any) -> None:
    values = json.loads(to_bytes(state(OURS)._replace(scrub=Scrub.DONE)).decode())
    values["scrub"] = value
    assert from_bytes(json.dumps(values).encode()) == state(OURS)
    del values["scrub"]
    assert from_bytes(json.dumps(values).encode()) == state(OURS)


def test_a_state_of_an_older_guest_says_nothing_of_documents_and_counts() -> None:
    values = json.loads(to_bytes(state(OURS)).decode())
    del values["documents"]
    del values["macs"]
    assert from_bytes(json.dumps(values).encode()) == state(OURS)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "etag",
        {},
        {"etag": WRITTEN.etag},
        {"etag": WRITTEN.etag[1:], "sha256": WRITTEN.sha256},
        {"etag": WRITTEN.etag, "sha256": WRITTEN.sha256.upper()},
        {"etag": 1, "sha256": None},
    ],
)
def test_a_document_that_is_not_understood_costs_the_others_nothing(value: Any) -> None:
    values = json.loads(to_bytes(state(OURS)._replace(documents={"user-data": WRITTEN})).decode())
    values["documents"]["meta-data"] = value
    known = from_bytes(json.dumps(values).encode())
    assert known
    assert known.documents == {"user-data": WRITTEN}
    values["documents"] = value
    assert from_bytes(json.dumps(values).encode()) == state(OURS)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100000,
        to_bytes(state("564d")),
        to_bytes(state(OURS)).replace(b'"i-0042"', b"42"),
        to_bytes(state(OURS)).replace(b"1234567890", b'"now"'),
        to_bytes(state(OURS))[:-3],
    ],
)
def test_a_state_that_cannot_be_used_is_none(content: Optional[bytes]) -> None:
    assert from_bytes(content) is None


@given(st.binary())
def test_garbage_is_no_state_and_no_error(content: bytes) -> None:
    assert from_bytes(content) is None
