import json
import os
import re
import shutil
from pathlib import Path
from typing import Dict, List, Optional

import pytest

from tests.guest.deathbed import deaths
from tests.guest.machine import OTHER_UUID, UUID, Machine
from vmw_cloudinit_guest import binding, paths, scrub, seed
from vmw_cloudinit_guest.binding import Scrub, State, Written
from vmw_cloudinit_guest.cloudinit_result import Result
from vmw_cloudinit_guest.documents import Documents, sha256
from vmw_cloudinit_guest.errors import SeedError

CANARY = "hunter2"
DOCUMENTS = Documents(
    b'{"instance-id": "i-0042"}\n', b"version: 1\n", b"#cloud-config\n# hunter2\n", b"#!/bin/sh\n# hunter2\n"
)
WENT_WELL = Result("done", "DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud]", "i-0042", [], {})

# What cloud-init 18.5 to 26.2 keep of user-data and vendor-data; found with a canary in each kind of both.
COPIES = [
    "/var/lib/cloud/instances/i-0042/obj.pkl",
    "/var/lib/cloud/instances/i-0042/user-data.txt",
    "/var/lib/cloud/instances/i-0042/user-data.txt.i",
    "/var/lib/cloud/instances/i-0042/vendor-data.txt",
    "/var/lib/cloud/instances/i-0042/vendor-data.txt.i",
    "/var/lib/cloud/instances/i-0042/vendor-data2.txt",
    "/var/lib/cloud/instances/i-0042/vendor-data2.txt.i",
    "/var/lib/cloud/instances/i-0042/cloud-config.txt",
    "/var/lib/cloud/instances/i-0042/vendor-cloud-config.txt",
    "/var/lib/cloud/instances/i-0042/vendor2-cloud-config.txt",
    "/var/lib/cloud/instances/i-0042/scripts/runcmd",
    "/var/lib/cloud/instances/i-0042/scripts/vendor/part-001",
    "/var/lib/cloud/instances/i-0042/handlers/part-handler-000.py",
    "/var/lib/cloud/instances/i-0042/boothooks/part-003",
    # An instance that this VM was before.
    "/var/lib/cloud/instances/i-0041/user-data.txt",
    "/run/cloud-init/combined-cloud-config.json",
]
# What cloud-init must find at the next boot, or it would do all anew.
KEPT = [
    "/var/lib/cloud/instances/i-0042/sem/config_runcmd",
    "/var/lib/cloud/instances/i-0042/boot-finished",
    "/var/lib/cloud/instances/i-0042/datasource",
    "/var/lib/cloud/data/instance-id",
    "/var/lib/cloud/scripts/per-boot/of-the-template",
    "/run/cloud-init/result.json",
]


class Booted(Machine):
    """A VM after a boot in which cloud-init has used the seed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.has_uuid(UUID)
        self.seed = str(self.path(paths.SEED_DIRECTORY))
        self.write_seed()
        self.write_copies(COPIES)
        for path in KEPT:
            self.write(path, "kept")
        self.is_provisioned()

    def write_copies(self, copies: List[str]) -> None:
        for path in copies:
            self.write(path, CANARY)

    def write_seed(self) -> None:
        files = DOCUMENTS.files()
        written = {
            name: Written(name.encode().hex()[:16], sha256(content or b"")) for name, content in files.items()
        }
        state = State(UUID.replace("-", ""), "i-0042", "ttyS1", 0, written)
        seed.write(self.seed, DOCUMENTS, binding.to_bytes(state))

    def state(self) -> State:
        state = binding.from_bytes(seed.state(self.seed))
        assert state
        return state

    def scrub(self) -> None:
        scrub.scrub(self.seed, self.state(), self.root)

    def obstacle(self, result: Result = WENT_WELL) -> Optional[str]:
        return scrub.obstacle(self.seed, binding.from_bytes(seed.state(self.seed)), result, self.root)

    def files(self) -> Dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path(self.seed).iterdir()}

    def with_canary(self) -> List[str]:
        found = []
        for directory, _, names in os.walk(self.root):
            files = [Path(directory) / name for name in names]
            found += [str(file) for file in files if file.is_file() and CANARY in file.read_text()]
        return found

    def is_scrubbed(self) -> bool:
        kept = all(self.path(path).read_text() == "kept" for path in KEPT)
        return kept and not self.with_canary() and self.state().scrub is Scrub.DONE


@pytest.fixture
def machine(tmp_path: Path) -> Booted:
    return Booted(tmp_path)


def test_no_file_holds_the_secrets_any_more_and_all_others_stay(machine: Booted) -> None:
    assert machine.with_canary()
    machine.scrub()
    assert machine.with_canary() == []
    assert machine.is_scrubbed()
    assert machine.files() == {
        "meta-data": DOCUMENTS.meta_data,
        "network-config": DOCUMENTS.network_config,
        "user-data": b"",
        "vendor-data": b"",
    }


def test_what_there_was_none_of_is_not_made(machine: Booted) -> None:
    state = machine.state()
    without = Documents(DOCUMENTS.meta_data, None, b"")
    seed.write(machine.seed, without, binding.to_bytes(state))
    machine.scrub()
    assert sorted(machine.files()) == ["meta-data", "user-data"]


def test_the_state_says_that_the_blank_files_are_those_of_the_etags(machine: Booted) -> None:
    before = machine.state().documents
    machine.scrub()
    after = machine.state().documents
    assert {name: each.etag for name, each in after.items()} == {
        name: each.etag for name, each in before.items()
    }
    assert {name: each.sha256 for name, each in after.items()} == {
        name: sha256(content) for name, content in machine.files().items()
    }


def test_once_done_there_is_nothing_to_find(machine: Booted) -> None:
    assert len(scrub.copies(machine.root)) == len(COPIES) - 1  # scripts/ is one
    machine.scrub()
    assert scrub.copies(machine.root) == []


def test_obj_pkl_is_the_first_to_go(machine: Booted) -> None:
    assert os.path.basename(scrub.copies(machine.root)[0]) == "obj.pkl"


def test_a_link_among_the_copies_is_deleted_and_not_followed(machine: Booted) -> None:
    machine.write("/elsewhere/file", "kept")
    scripts = machine.path("/var/lib/cloud/instances/i-0041/scripts")
    scripts.symlink_to(machine.path("/elsewhere"))
    machine.scrub()
    assert not os.path.lexists(str(scripts))
    assert machine.path("/elsewhere/file").read_text() == "kept"


# When


def test_after_a_boot_that_went_well_nothing_is_in_the_way(machine: Booted) -> None:
    assert machine.obstacle() is None
    assert machine.obstacle(WENT_WELL._replace(status="degraded")) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "error"}, "cloud-init's status is 'error'"),
        ({"status": "running"}, "cloud-init's status is 'running'"),
        ({"status": "not run"}, "cloud-init's status is 'not run'"),
        ({"datasource": "DataSourceNone"}, "cloud-init has taken its data from DataSourceNone"),
        ({"datasource": ""}, "cloud-init has taken its data from nowhere"),
        (
            {"instance_id": "i-1"},
            "cloud-init has taken this VM to be i-1, not the seed's instance",
        ),
        ({"instance_id": ""}, "cloud-init has taken this VM to be nobody, not the seed's instance"),
    ],
)
def test_after_any_other_boot_it_says_why_not(machine: Booted, change: Dict[str, str], reason: str) -> None:
    assert machine.obstacle(WENT_WELL._replace(**change)) == reason  # type: ignore[arg-type]


def test_a_seed_that_is_not_this_machine_s_or_not_ours_is_left_alone(machine: Booted) -> None:
    machine.has_uuid(OTHER_UUID)
    assert machine.obstacle() == "the seed is another machine's"
    machine.has_uuid(UUID)
    Path(seed.state_path(machine.seed)).unlink()
    assert machine.obstacle() == "the seed is bound to no machine"
    seed.delete(machine.seed)
    assert machine.obstacle() == "there is no seed"


# What goes wrong


def test_killed_at_any_step_the_instance_stays_whole_and_scrubbing_begins_again(
    machine: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    machine.scrub()
    some = [path for path in COPIES if re.search("obj.pkl|i-0042/user-data.txt$|runcmd", path)]
    steps = 0
    machine.write_seed()
    machine.write_copies(some)
    for _ in deaths(machine.scrub, (seed, scrub, shutil)):
        steps += 1
        state = machine.state()
        assert (state.instance_id, state.product_uuid) == ("i-0042", UUID.replace("-", ""))
        files = machine.files()
        assert json.loads(files["meta-data"].decode()) == {"instance-id": "i-0042"}
        assert files["network-config"] == DOCUMENTS.network_config
        assert files["user-data"] in (b"", DOCUMENTS.user_data)
        assert files["vendor-data"] in (b"", DOCUMENTS.vendor_data)
        if len(scrub.copies(machine.root)) < len(some):
            # cloud-init is about to read the seed anew.
            assert (files["user-data"], files["vendor-data"]) == (b"", b"")
        if state.scrub is Scrub.DONE:
            assert machine.is_scrubbed()
        else:
            # What the next boot's fetch may write is decided by this.
            assert state.scrub is Scrub.BEGUN or machine.with_canary()
        machine.scrub()
        assert machine.is_scrubbed()
        machine.write_seed()
        machine.write_copies(some)
    assert steps > 50


def test_a_copy_that_cannot_be_deleted_is_a_sentence_and_it_is_not_done(
    machine: Booted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    monkeypatch.setattr(scrub, "_delete", fail)
    with pytest.raises(SeedError, match=r"cannot delete .*/obj.pkl, a copy of user-data: Operation not"):
        machine.scrub()
    assert machine.state().scrub is Scrub.BEGUN
