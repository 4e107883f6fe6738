import json
import os
import time
from pathlib import Path
from typing import Optional, Type

import pytest

from tests.guest.fetching import DOCUMENTS, Fetch
from tests.guest.machine import OTHER_UUID, UUID, Machine
from vmw_cloudinit_guest import binding, client, paths, seed
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.documents import Held, etag, sha256
from vmw_cloudinit_guest.errors import (
    DeniedError,
    GuestError,
    NoAnswerError,
    SeedError,
    SeedStaysError,
    UnknownVMError,
    UnusableAnswerError,
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    machine = Machine(tmp_path)
    machine.has_uuid(UUID)
    run = Fetch(machine)
    monkeypatch.setattr(client, "fetch", run.ask)
    return run


def test_a_first_boot_waits_long_and_binds_the_seed_to_the_machine(run: Fetch) -> None:
    assert run().startswith("seed for i-0042 written from ttyS1 in ")
    assert run.timeout == Settings().first_boot_timeout
    state = run.state()
    assert state
    assert state[:3] == (UUID.replace("-", ""), "i-0042", "ttyS1")
    assert run.warnings == []


def test_a_later_boot_of_the_same_machine_waits_short(run: Fetch) -> None:
    run()
    assert run().startswith("seed for i-0042 unchanged: ttyS1 gave the same")
    assert run.timeout == Settings().later_boot_timeout
    assert run.warnings == []


def test_a_reboot_with_nothing_new_touches_no_file_and_any_news_is_dated(
    run: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def dated() -> Optional[int]:
        run()
        state = run.state()
        return state and state.fetched

    assert dated() == 1000
    path = Path(seed.state_path(str(run.directory)))
    before = (path.stat().st_ino, path.stat().st_mtime_ns)
    now[0] = 2000.0
    assert dated() == 1000
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    run.answer = lambda: DOCUMENTS._replace(user_data=b"#cloud-config\nnew: true\n")
    assert dated() == 2000
    now[0] = 3000.0
    run.machine.has_uuid(UUID[:-1] + "c")
    assert dated() == 3000


def test_a_timeout_that_is_given_counts_on_any_boot(run: Fetch) -> None:
    for _ in range(2):
        run(timeout=7.0)
        assert run.timeout == 7.0


def test_without_an_answer_the_old_seed_stays_and_the_line_says_so(run: Fetch) -> None:
    run()
    files, state = run.files(), run.state()
    error = run.fails(NoAnswerError("no answer"))
    assert (type(error), str(error)) == (SeedStaysError, "no answer; the seed of i-0042 stays")
    assert type(run.fails(UnusableAnswerError("garbage"))) is UnusableAnswerError
    assert (run.files(), run.state()) == (files, state)


def test_without_an_answer_and_without_a_seed_the_line_says_what_cloud_init_does(run: Fetch) -> None:
    error = run.fails(UnusableAnswerError("garbage"))
    assert str(error) == "garbage; without a seed, cloud-init goes on without a datasource"
    assert not run.directory.exists()


def test_a_clone_s_inherited_seed_is_deleted_before_anybody_is_asked(run: Fetch) -> None:
    run.inherits(OTHER_UUID)
    run()
    assert run.found_when_asking == []
    assert run.timeout == Settings().first_boot_timeout
    assert run.warnings == [
        "the seed of i-parent was another machine's, which this one is a clone of: deleted"
    ]
    assert run.files() == ["meta-data", "user-data"]


def test_a_clone_without_a_server_has_no_seed(run: Fetch) -> None:
    run.inherits(OTHER_UUID)
    error = run.fails(NoAnswerError("no answer"))
    assert type(error) is NoAnswerError
    assert "without a seed" in str(error)
    assert (run.files(), run.state()) == ([], None)


def test_a_clone_s_deletion_that_was_broken_off_is_done_again_without_a_word(run: Fetch) -> None:
    run.inherits(OTHER_UUID)
    (run.directory / "meta-data").unlink()
    run()
    assert (run.found_when_asking, run.warnings) == ([], [])


def test_an_inherited_seed_that_cannot_be_deleted_is_said_and_nobody_is_asked(
    run: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.inherits(OTHER_UUID)

    def fail(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(SeedError, match="cannot delete the seed"):
        run()
    assert run.timeout is None


def test_a_seed_without_a_state_stays_and_waits_long_until_there_is_an_answer(run: Fetch) -> None:
    run.inherits(UUID)
    Path(seed.state_path(str(run.directory))).unlink()
    assert type(run.fails(NoAnswerError("no answer"))) is NoAnswerError
    assert run.files() == ["meta-data", "network-config", "user-data"]
    assert run.timeout == Settings().first_boot_timeout
    assert len(run.warnings) == 1
    assert "is bound to no machine" in run.warnings[0]
    run.answer = lambda: DOCUMENTS
    run()
    assert run.state()
    run()
    assert run.timeout == Settings().later_boot_timeout
    assert run.warnings == []


@pytest.mark.parametrize("bound_to", [None, UUID, OTHER_UUID])
def test_where_the_machine_is_not_known_a_bound_seed_is_never_deleted(
    run: Fetch, bound_to: Optional[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SEED_DIRECTORY", str(run.directory))
    run.machine.is_enabled()
    run.machine.path("/sys/class/dmi/id/product_uuid").unlink()
    run.inherits(bound_to)
    run.fails(NoAnswerError("no answer"))
    assert run.files() == ["meta-data", "network-config", "user-data"]
    assert run.timeout == Settings().later_boot_timeout
    assert len(run.warnings) == 1
    assert "product_uuid cannot be read" in run.warnings[0]


def test_where_the_machine_is_not_known_a_seed_for_trying_out_needs_no_warning(run: Fetch) -> None:
    run.machine.path("/sys/class/dmi/id/product_uuid").unlink()
    for _ in range(2):
        run()
        assert run.warnings == []


def test_where_the_machine_is_not_known_a_first_fetch_says_nothing_of_it(run: Fetch) -> None:
    run.machine.path("/sys/class/dmi/id/product_uuid").unlink()
    run()
    assert run.warnings == []
    state = run.state()
    assert state
    assert state.product_uuid is None


def test_a_seed_by_hand_whose_instance_cannot_be_told_is_spoken_of_all_the_same(run: Fetch) -> None:
    run.inherits(UUID)
    (run.directory / "meta-data").write_text("instance-id: by-hand\n")
    assert str(run.fails(NoAnswerError("x"))) == "x; the seed of an instance that cannot be told stays"


def test_what_defeats_cloud_init_s_seed_is_told_even_when_nobody_answers(
    run: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SEED_DIRECTORY", str(run.directory))
    run.fails(NoAnswerError("no answer"))
    assert [warning.partition(":")[0] for warning in run.warnings] == ["it is not enabled"]


def test_a_seed_elsewhere_is_none_of_cloud_init_s_business(run: Fetch) -> None:
    run.machine.write("/proc/cmdline", "ds=ec2\n")
    run()
    assert run.warnings == []


def test_the_state_holds_no_secret(run: Fetch) -> None:
    run()
    state = json.loads(seed.state(str(run.directory)) or b"")
    assert sorted(state) == ["documents", "fetched", "instance_id", "macs", "port", "product_uuid", "scrub"]
    assert sorted(state["documents"]) == ["meta-data", "user-data"]


def test_what_this_machine_holds_need_not_come_again(run: Fetch) -> None:
    run()
    assert run.held == {}
    run()
    files = DOCUMENTS.files().items()
    assert run.held == {file: Held(etag(content), content) for file, content in files if content is not None}


def test_a_file_that_is_not_what_was_written_comes_again(run: Fetch) -> None:
    run()
    (run.directory / "user-data").write_bytes(b"#cloud-config\nby: hand\n")
    run()
    assert sorted(run.held) == ["meta-data"]
    assert (run.directory / "user-data").read_bytes() == DOCUMENTS.user_data
    (run.directory / "user-data").unlink()
    run()
    assert sorted(run.held) == ["meta-data"]


def test_a_secret_that_was_blanked_need_not_come_again_if_the_state_says_so(run: Fetch) -> None:
    run()
    state = run.state()
    assert state
    (run.directory / "user-data").write_bytes(b"")
    blanked = state.documents["user-data"]._replace(sha256=sha256(b""))
    documents = {**state.documents, "user-data": blanked}
    Path(seed.state_path(str(run.directory))).write_bytes(
        binding.to_bytes(state._replace(documents=documents))
    )
    run()
    assert run.held["user-data"] == Held(etag(DOCUMENTS.user_data), b"")


def test_a_parent_s_documents_come_again(run: Fetch) -> None:
    run()
    run.machine.has_uuid(OTHER_UUID)
    run()
    assert run.held == {}


def test_after_version_1_nothing_is_held(run: Fetch) -> None:
    run.in_version_2 = False
    run()
    run()
    assert run.held == {}


@pytest.mark.parametrize("error", [UnknownVMError, DeniedError])
def test_a_refusal_stays_one_and_the_old_seed_stays_too(run: Fetch, error: Type[GuestError]) -> None:
    run()
    files, state = run.files(), run.state()
    refused = run.fails(error("no"))
    assert (type(refused), str(refused)) == (error, "no; the seed of i-0042 stays")
    assert (run.files(), run.state()) == (files, state)


def test_vendor_data_is_written_and_removed_when_it_is_no_longer_served(run: Fetch) -> None:
    run.answer = lambda: DOCUMENTS._replace(vendor_data=b"#cloud-config\n")
    run()
    assert run.files() == ["meta-data", "user-data", "vendor-data"]
    assert "vendor-data" in json.loads(seed.state(str(run.directory)) or b"")["documents"]
    run.answer = lambda: DOCUMENTS
    run()
    assert run.files() == ["meta-data", "user-data"]


@pytest.mark.parametrize("selinux", [True, False])
def test_labels_are_restored_where_there_is_selinux_and_its_failure_is_none_of_ours(
    run: Fetch, selinux: bool
) -> None:
    record = run.machine.path("/record")
    run.machine.write("/sbin/restorecon", f'#!/bin/sh\necho "$@" >> {record}\nexit 1\n')
    run.machine.path("/sbin/restorecon").chmod(0o755)
    if selinux:
        run.machine.path("/sys/fs/selinux").mkdir(parents=True)
    run()
    run()  # unchanged: nothing to label
    expected = f"-R {run.directory} {run.directory}.state\n"
    assert (record.read_text() if record.exists() else "") == (expected if selinux else "")


def test_without_restorecon_there_are_no_labels(run: Fetch) -> None:
    run.machine.path("/sys/fs/selinux").mkdir(parents=True)
    run()
