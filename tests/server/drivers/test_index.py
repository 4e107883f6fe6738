import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.server.drivers.indexed import BIOS, OTHER, VC, Directory, definition
from tests.server.drivers.store import refused
from vmw_cloudinit_metadata.drivers import index as index_module
from vmw_cloudinit_metadata.drivers import listing as listing_module
from vmw_cloudinit_metadata.drivers import reading
from vmw_cloudinit_metadata.drivers.listing import Changes, Listing


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read, in order."""
    names: list[str] = []

    def note(directory: str, path: str) -> tuple[reading.Signature, bytes]:
        names.append(Path(path).name)
        return reading.read_whole(directory, path)

    monkeypatch.setattr(index_module, "read_whole", note)
    return names


def test_a_definition_is_found_by_each_uuid_it_is_pinned_to(directory: Directory) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC, bios_uuid=BIOS))
    directory.write("web-02.yml", definition(bios_uuid=OTHER))
    directory.write("web-03.yaml", definition())
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    assert directory.find("bios-uuid", BIOS) == "web-01.yaml"
    assert directory.find("bios-uuid", OTHER) == "web-02.yml"


def test_one_kind_of_uuid_does_not_stand_for_the_other(directory: Directory) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    assert directory.find("bios-uuid", VC) is None
    assert directory.find("vc-uuid", OTHER) is None


def test_what_is_no_definition_of_a_vm_is_not_looked_at(directory: Directory, read: list[str]) -> None:
    for name in ("_defaults.yaml", ".ansible_tmpx2web-01.yaml", "web-01.yaml~", "web-01.json", "README"):
        directory.write(name, definition(vc_uuid=VC))
    (directory.path / "folder.d").mkdir()
    assert directory.find("vc-uuid", VC) is None
    assert read == []


def test_a_change_is_seen_when_the_directory_is_looked_at_again(directory: Directory) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    directory.write("web-01.yaml", definition(vc_uuid=OTHER))
    directory.write("web-02.yaml", definition(vc_uuid=VC))
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "web-02.yaml"
    assert directory.find("vc-uuid", OTHER) == "web-01.yaml"
    (directory.path / "web-02.yaml").unlink()
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) is None


def test_only_what_has_changed_is_read_again(directory: Directory, read: list[str]) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    directory.write("web-02.yaml", definition(vc_uuid=OTHER))
    directory.find("vc-uuid", VC)
    assert sorted(read) == ["web-01.yaml", "web-02.yaml"]
    directory.write("web-02.yaml", definition())
    directory.index.refresh()
    directory.index.refresh()
    assert read[2:] == ["web-02.yaml"]


def test_a_file_that_has_just_changed_is_read_until_it_has_settled(
    directory: Directory, read: list[str]
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    directory.age = 0
    directory.find("vc-uuid", VC)
    read.clear()
    directory.index.refresh()
    directory.age = reading.SETTLED_NS * 2
    directory.index.refresh()
    directory.index.refresh()
    assert read == ["web-01.yaml"] * 2


def test_definitions_in_sub_directories_are_found_wherever_they_are_moved(directory: Directory) -> None:
    (directory.path / "a").mkdir()
    path = directory.write("a/web-01.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) == "a/web-01.yaml"
    (directory.path / "b").mkdir()
    path.rename(directory.path / "b/web-01.yaml")
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "b/web-01.yaml"


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a")])
def test_a_definition_that_is_moved_while_all_are_looked_at_is_found_once(
    directory: Directory,
    old: str,
    new: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("a", "b"):
        (directory.path / name).mkdir()
    path = directory.write(f"{old}/web-01.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) == f"{old}/web-01.yaml"
    directory.write("b/web-02.yaml", definition())  # so that it is listed again
    really_scan = os.scandir
    listed: list[Path] = []

    def scan(path_listed: str) -> Any:
        if path_listed.endswith("/b") and not listed:
            listed.append(path.rename(directory.path / new / "web-01.yaml"))
        return really_scan(path_listed)

    monkeypatch.setattr(os, "scandir", scan)
    directory.index.refresh()
    assert listed
    assert directory.find("vc-uuid", VC) == f"{new}/web-01.yaml"
    assert caplog.messages == []


def test_while_definitions_come_and_go_they_are_looked_at_a_few_times(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Changes] = []
    renew = Listing.renew

    def renew_then_write(listing: Listing, directories: Sequence[str]) -> Changes:
        listed.append(renew(listing, directories))
        directory.write(f"web-{len(listed)}.yaml", definition())
        return listed[-1]

    monkeypatch.setattr(Listing, "renew", renew_then_write)
    directory.write("web-00.yaml", definition())
    directory.index.refresh()
    assert len(listed) == index_module.MAX_LOOKS


def test_more_patterns_than_names_are_held_against_are_said_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_module, "MAX_PATTERNS", 4)
    for number in range(3):
        directory.write(f"{number}.yaml", f"vms: [web-{number}*, 'db-{number}?']\n")
    assert len([number for number in range(3) if directory.index.naming(f"web-{number}")[1]]) == 2
    directory.index.refresh()
    assert caplog.messages == [f"{directory.path}: more than 4 patterns in all vms; not all count"]


def test_a_definition_is_found_by_the_vms_it_names_and_the_best_fit_wins(directory: Directory) -> None:
    one = str(directory.write("one.yaml", "vms: [web-01, web-02]\n"))
    two = str(directory.write("two.yaml", "vms: {web-02: {rack: a1}, 'web-*': }\n"))
    assert directory.index.naming("web-01") == (2, [one])
    rank, paths = directory.index.naming("web-02")
    assert (rank, sorted(paths)) == (2, [one, two])
    assert directory.index.naming("web-03") == (1, [two])
    assert directory.index.naming("db-01") == (0, [])


def test_of_two_definitions_that_claim_one_uuid_neither_is_found_and_an_error_names_both(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC, bios_uuid=BIOS))
    directory.write("web-02.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) is None
    assert directory.find("bios-uuid", BIOS) == "web-01.yaml"
    directory.index.refresh()
    one, other = directory.path / "web-01.yaml", directory.path / "web-02.yaml"
    sentence = f"{one} and {other} claim the same vc-uuid, {VC}: none of them is found by it"
    assert caplog.messages == [sentence]
    directory.write("web-02.yaml", definition(vc_uuid=OTHER))
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    directory.write("web-02.yaml", definition(vc_uuid=VC))
    directory.index.refresh()
    assert caplog.messages == [sentence, sentence]


def test_of_a_crowd_that_claims_one_uuid_some_are_named(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        directory.write(f"web-{number:02}.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) is None
    assert caplog.messages[0].count(" and ") == index_module.MAX_NAMED - 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("match: {vc-uuid: x}", "is not found by UUID: match.vc-uuid: is not a UUID"),
        ("match: {uuid: x}", "is not found by UUID: match: no such key: uuid (known: vc-uuid, bios-uuid)"),
        ("match: x", "is not found by UUID: match: is a str, not a mapping"),
        ("match: {vc-uuid: hunter2", "is not found by UUID: line 2: not YAML: "),
    ],
)
def test_a_definition_whose_pins_cannot_be_read_is_said_once_and_not_quoted(
    directory: Directory, caplog: pytest.LogCaptureFixture, text: str, sentence: str
) -> None:
    path = directory.write("web-01.yaml", text)
    directory.write("web-02.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) == "web-02.yaml"
    directory.index.refresh()
    (line,) = caplog.messages
    assert line.startswith(f"{path}: {sentence}")
    assert "hunter2" not in line


def test_a_file_that_cannot_be_read_is_said_once(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    (directory.path / "folder.yaml").mkdir()
    (directory.path / "out.yaml").symlink_to("/etc/passwd")
    (directory.path / "nowhere.yaml").symlink_to("missing")
    assert directory.find("vc-uuid", VC) is None
    directory.index.refresh()
    assert caplog.messages == [
        f"{directory.path}/folder.yaml: is not found by UUID or vms: is not a file",
        f"{directory.path}/out.yaml: is not found by UUID or vms: is a link that leads out of the directory",
    ]


def test_a_file_that_could_not_be_read_is_tried_again_although_it_has_not_changed(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = directory.write("web-01.yaml", definition(vc_uuid=VC))
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "read_whole", refused)
        assert directory.find("vc-uuid", VC) is None
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    assert caplog.messages == [f"{path}: cannot be read: Permission denied"]


def test_of_many_faults_some_are_logged_and_the_others_counted(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_module, "MAX_LOGGED", 3)
    for number in range(10):
        directory.write(f"web-{number}.yaml", "match: x")
    assert directory.find("vc-uuid", VC) is None
    assert caplog.messages[3:] == [f"{directory.path}: and 7 more such faults"]


def test_a_definition_with_other_faults_is_found(directory: Directory) -> None:
    directory.write("web-01.yaml", f"metadata: {{}}\nmatch: {{vc-uuid: {VC}}}\n")
    assert directory.find("vc-uuid", VC) == "web-01.yaml"


def test_while_the_directory_is_away_what_was_known_stays_and_is_not_read_again(
    directory: Directory, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    away = directory.path.rename(directory.path.with_name("away"))
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    away.rename(directory.path)
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    assert read == ["web-01.yaml"]
    assert caplog.messages == []


def test_more_definitions_than_it_holds_are_said_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (index_module, listing_module):
        monkeypatch.setattr(module, "MAX_FILES", 3)
    for number in range(5):
        directory.write(f"web-{number}.yaml", definition(vc_uuid=uuid.UUID(int=number)))
    found = [directory.find("vc-uuid", uuid.UUID(int=number)) for number in range(5)]
    assert len([name for name in found if name]) == 3
    directory.index.refresh()
    assert caplog.messages == [f"{directory.path}: more than 3 definitions; not all are found by UUID or vms"]
