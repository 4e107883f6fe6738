"""What fetch makes of an instance whose user-data and vendor-data have been scrubbed."""

import os
from pathlib import Path

import pytest

from tests.guest.fetching import DOCUMENTS, Fetch
from tests.guest.machine import UUID, Machine
from vmw_cloudinit_guest import binding, client, scrub, seed
from vmw_cloudinit_guest.binding import Scrub
from vmw_cloudinit_guest.cloudinit_result import INSTANCE_ID
from vmw_cloudinit_guest.documents import etag
from vmw_cloudinit_guest.errors import NoAnswerError

FULL = DOCUMENTS._replace(vendor_data=b"#cloud-config\n# vendor\n")
EDITED = FULL._replace(user_data=b"#cloud-config\nedited: true\n")
OTHER = FULL._replace(meta_data=b'{"instance-id": "i-0043"}\n')


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    machine = Machine(tmp_path)
    machine.has_uuid(UUID)
    run = Fetch(machine)
    monkeypatch.setattr(client, "fetch", run.ask)
    return run


def scrubbed(run: Fetch, version: int = 2) -> None:
    """Go through a boot that went well, and its scrubbing."""
    run.in_version_2 = version == 2
    run.answer = lambda: FULL
    run()
    run.machine.write(INSTANCE_ID, "i-0042\n")
    state = run.state()
    assert state
    scrub.scrub(str(run.directory), state, run.machine.root)


def content(run: Fetch, name: str) -> bytes:
    return (run.directory / name).read_bytes()


def step(run: Fetch) -> Scrub:
    state = run.state()
    assert state
    return state.scrub


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_scrubbed_is_not_written_again_for_the_same_instance(run: Fetch, version: int) -> None:
    scrubbed(run, version)
    before = {path: path.stat().st_mtime_ns for path in run.directory.iterdir()}
    assert "unchanged" in run()
    assert {path: path.stat().st_mtime_ns for path in run.directory.iterdir()} == before
    run.answer = lambda: EDITED
    assert "unchanged" in run()
    assert content(run, "user-data") == content(run, "vendor-data") == b""
    assert step(run) is Scrub.DONE


def test_what_was_scrubbed_counts_as_had_so_that_a_reboot_is_one_round_trip(run: Fetch) -> None:
    scrubbed(run)
    run()
    assert {name: held.etag for name, held in run.held.items()} == {
        name: etag(document) for name, document in FULL.files().items() if document is not None
    }
    run.answer = lambda: EDITED
    run()
    run()
    assert run.held["user-data"].etag == etag(EDITED.user_data)


def test_another_instance_has_all_of_its_own(run: Fetch) -> None:
    scrubbed(run)
    run.answer = lambda: OTHER
    run()
    assert content(run, "user-data") == OTHER.user_data
    assert content(run, "vendor-data") == OTHER.vendor_data
    assert step(run) is Scrub.NO


def test_once_cloud_init_has_been_cleaned_the_same_instance_has_all_again(run: Fetch) -> None:
    scrubbed(run)
    run.machine.path(INSTANCE_ID).unlink()
    run()
    assert "user-data" not in run.held
    assert "vendor-data" not in run.held
    assert content(run, "user-data") == FULL.user_data
    assert step(run) is Scrub.NO


def test_scrubbing_that_was_broken_off_is_finished_for_the_seed(run: Fetch) -> None:
    scrubbed(run)
    state = run.state()
    assert state
    begun = binding.to_bytes(state._replace(scrub=Scrub.BEGUN))
    seed.write(str(run.directory), FULL, begun)
    run()
    assert content(run, "user-data") == content(run, "vendor-data") == b""
    assert step(run) is Scrub.BEGUN


def test_without_an_answer_what_was_scrubbed_stays_so(run: Fetch) -> None:
    scrubbed(run)
    before = sorted(os.listdir(str(run.directory)))
    run.fails(NoAnswerError("no answer"))
    assert sorted(os.listdir(str(run.directory))) == before
    assert content(run, "user-data") == b""
