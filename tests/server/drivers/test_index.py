import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.drivers.store import refused
from vmw_cloudinit_metadata.drivers import index as index_module
from vmw_cloudinit_metadata.drivers import reading
from vmw_cloudinit_metadata.drivers.index import Index, _File
from vmw_cloudinit_metadata.drivers.tree import Tree

VC = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
BIOS = uuid.UUID("4212ab34-cd56-4e78-9012-3456789abcde")
OTHER = uuid.UUID("00000000-0000-4000-8000-000000000001")

PATIENCE = 20.0

SIGNATURE = reading.Signature(1, 2, 3, 4, 5)


def definition(**pins: uuid.UUID) -> str:
    match = "".join(f"\n  {key.replace('_', '-')}: {value}" for key, value in pins.items())
    return "metadata: {instance-id: i-0042, hostname: web-01}\n" + (f"match:{match}\n" if pins else "")


class Directory:
    """A directory of definitions and its index, which a test refreshes; its clock is beyond all files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.age = reading.SETTLED_NS * 2
        logger = logging.getLogger("index")
        tree = Tree(str(path), logger, self.clock_ns)
        self.index = Index(tree, logger, self.clock_ns)

    def clock_ns(self) -> int:
        return time.time_ns() + self.age

    def write(self, name: str, text: str) -> Path:
        # By renaming, so that also a change within one tick of the file system's clock is one.
        (self.path / "new").write_text(text)
        return (self.path / "new").rename(self.path / name)

    def find(self, key: str, value: uuid.UUID) -> str | None:
        """Return the name of the file that is found."""
        found = self.index.pinned(key, value)
        return None if found is None else str(Path(found).relative_to(self.path))


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    monkeypatch.setattr(index_module, "REFRESH_SECONDS", 3600.0)
    made = Directory(tmp_path)
    yield made
    made.index.close()


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
    for name in ("_defaults.yaml", "web-01.yaml~", "web-01.json", "README"):
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
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        directory.index._files = {f"web-{looks}.yaml": _File(SIGNATURE, True)}

    monkeypatch.setattr(directory.index, "_look", look)
    directory.index.refresh()
    assert looks == index_module.MAX_LOOKS


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
        f"{directory.path}/folder.yaml: is not found by UUID: is not a file",
        f"{directory.path}/out.yaml: is not found by UUID: is a link that leads out of the directory",
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


def test_a_directory_that_is_gone_has_no_definitions_until_it_is_back(directory: Directory) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    away = directory.path.rename(directory.path.with_name("away"))
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) is None
    away.rename(directory.path)
    directory.index.refresh()
    assert directory.find("vc-uuid", VC) == "web-01.yaml"


def test_more_definitions_than_it_holds_are_said_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_module, "MAX_FILES", 3)
    for number in range(5):
        directory.write(f"web-{number}.yaml", definition(vc_uuid=uuid.UUID(int=number)))
    found = [directory.find("vc-uuid", uuid.UUID(int=number)) for number in range(5)]
    assert len([name for name in found if name]) == 3
    directory.index.refresh()
    assert caplog.messages == [f"{directory.path}: more than 3 definitions; some are not found by UUID"]


# The thread


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "definitions"]


def test_the_thread_starts_with_the_first_question_and_ends_with_the_index(directory: Directory) -> None:
    assert threads() == []
    directory.find("vc-uuid", VC)
    directory.find("vc-uuid", VC)
    (thread,) = threads()
    assert thread.daemon
    directory.index.close()
    assert threads() == []


def test_an_index_that_was_never_asked_and_is_closed_finds_nothing_and_starts_nothing(
    directory: Directory,
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    directory.index.close()
    assert directory.find("vc-uuid", VC) is None
    assert threads() == []


def test_the_thread_looks_again_by_itself_and_at_once_when_it_is_told(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Semaphore(0)
    refresh = directory.index.refresh

    def note() -> None:
        refresh()
        looked.release()

    monkeypatch.setattr(directory.index, "refresh", note)
    directory.find("vc-uuid", VC)
    assert looked.acquire(timeout=PATIENCE)
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    monkeypatch.setattr(index_module, "REFRESH_SECONDS", 0.01)
    directory.index.hurry()
    for _ in range(3):
        assert looked.acquire(timeout=PATIENCE)
    assert directory.find("vc-uuid", VC) == "web-01.yaml"


def test_a_system_without_a_thread_to_spare_is_asked_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            directory.find("vc-uuid", VC)
    assert directory.find("vc-uuid", VC) == "web-01.yaml"


def test_questions_wait_for_the_first_look_and_for_no_other(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write("web-01.yaml", definition(vc_uuid=VC))
    go_on, looking = threading.Event(), threading.Semaphore(0)
    refresh = directory.index.refresh

    def slow() -> None:
        looking.release()
        go_on.wait(PATIENCE)
        refresh()

    monkeypatch.setattr(directory.index, "refresh", slow)
    found: list[str | None] = []
    asking = threading.Thread(target=lambda: found.append(directory.find("vc-uuid", VC)))
    asking.start()
    assert looking.acquire(timeout=PATIENCE)
    assert found == []
    go_on.set()
    asking.join(PATIENCE)
    assert found == ["web-01.yaml"]
    go_on.clear()
    directory.index.hurry()
    assert looking.acquire(timeout=PATIENCE)
    assert directory.find("vc-uuid", VC) == "web-01.yaml"
    go_on.set()


def test_the_thread_outlives_what_nobody_foresaw(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("hunter2")

    with monkeypatch.context() as patch:
        patch.setattr(directory.index, "refresh", broken)
        assert directory.find("vc-uuid", VC) is None
    assert "definitions cannot be looked up by UUID: ValueError" in caplog.text
    assert "hunter2" not in caplog.text
    (thread,) = threads()
    assert thread.is_alive()
