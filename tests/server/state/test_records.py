import errno
import json
import multiprocessing
import os
import stat
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.state.records import MAX_RECORD, DamagedError, Records, file_name

LIMIT = 3


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "kind", LIMIT)


def names(records: Records) -> list[str]:
    return [entry[0] for entry in records.read_all() if isinstance(entry, tuple)]


def files(records: Records) -> set[str]:
    return {path.name for path in records.path.iterdir()} - {".lock"}


# Reading and writing


def test_a_record_is_read_as_it_was_written(records: Records) -> None:
    record = {"text": "büro/1\n\ud800", "number": 1, "list": [None, True, {"a": 0.5}]}
    records.write("web-01", record)
    assert records.read("web-01") == record


def test_a_record_that_was_never_written_is_none(records: Records) -> None:
    assert records.read("web-01") is None
    records.write("web-02", {})
    assert records.read("web-01") is None


def test_a_record_is_replaced(records: Records) -> None:
    records.write("web-01", {"a": 1})
    records.write("web-01", {"b": 2})
    assert records.read("web-01") == {"b": 2}


def test_a_record_that_is_only_noted_is_read_replaced_and_bounded_in_size_alone(records: Records) -> None:
    for number in range(LIMIT + 1):
        records.note(f"vm-{number}", {"n": number})
    records.note("vm-0", {"n": "another"})
    assert records.read("vm-0") == {"n": "another"}
    assert len(files(records)) == LIMIT + 1
    with pytest.raises(StateError, match=r"would be larger than 256 KiB$"):
        records.note("vm-0", {"text": "x" * MAX_RECORD})
    assert records.read("vm-0") == {"n": "another"}


def test_what_is_noted_does_not_wait_for_the_disk(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    records.note("web-01", {})
    assert synced == []
    records.write("web-01", {})
    assert len(synced) == 2


def test_a_removed_record_is_none_and_may_be_removed_again(records: Records) -> None:
    records.write("web-01", {})
    records.remove("web-01")
    records.remove("web-01")
    assert records.read("web-01") is None


def test_all_records_are_read_with_their_names(records: Records) -> None:
    assert list(records.read_all()) == []
    records.write("b/1", {"n": 1})
    records.write("a" * 1000, {"n": 2})
    assert list(records.read_all()) == [("a" * 1000, {"n": 2}), ("b/1", {"n": 1})]


def test_what_another_process_has_written_is_seen_at_once(records: Records) -> None:
    records.write("web-01", {"n": 1})
    Records(records.path, LIMIT).write("web-01", {"n": 2})
    assert records.read("web-01") == {"n": 2}


def test_the_server_s_user_alone_may_read(records: Records) -> None:
    before = os.umask(0)
    try:
        with records.locked():
            records.write("web-01", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(records.path.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in records.path.iterdir()}
    assert modes == {"web-01.json": 0o600, ".lock": 0o600}


# Names


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("web-01.example_org", "web-01.example_org.json"),
        ("", "%.json"),
        ("%", "%25.json"),
        (".", "%2E.json"),
        ("..", "%2E..json"),
        (".lock", "%2Elock.json"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.json"),
        ("a\0b\nc", "a%00b%0Ac.json"),
        ("büro", "b%C3%BCro.json"),
        ("a~b", "a%7Eb.json"),
        ("x" * 200, "x" * 200 + ".json"),
    ],
)
def test_the_name_of_a_file_is_plain(name: str, file: str) -> None:
    assert file_name(name) == file


def test_a_long_name_ends_in_its_hash() -> None:
    first, second = file_name("ü" * 80 + "1"), file_name("ü" * 80 + "2")
    assert first != second
    assert len(first) < 200
    assert first[:100] == second[:100]
    assert "~" in first


@given(st.text(st.characters()), st.text(st.characters()))
def test_two_names_never_share_a_file(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


@given(st.text(st.characters(), max_size=400))
def test_any_name_is_a_file_of_the_directory(name: str) -> None:
    file = file_name(name)
    assert file.isascii()
    assert "/" not in file
    assert "\0" not in file
    assert not file.startswith(".")
    assert len(f".{file}.new") <= 255


# Faults


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"name": 1}',
        b'{"name": "web-02"}',
        b"[" * 100_000,
        b'{"name": "web-01", "x": "' + b"x" * MAX_RECORD + b'"}',
    ],
)
def test_what_was_not_written_here_is_damaged(records: Records, text: bytes) -> None:
    records.write("web-01", {})
    (records.path / "web-01.json").write_bytes(text)
    with pytest.raises(DamagedError, match=r"/kind/web-01\.json is damaged$"):
        records.read("web-01")
    (fault,) = records.read_all()
    assert isinstance(fault, DamagedError)
    records.write("web-01", {"n": 1})
    assert records.read("web-01") == {"n": 1}


def test_a_damaged_record_does_not_hide_the_others(records: Records) -> None:
    for name in ("a", "b", "c"):
        records.write(name, {})
    (records.path / "b.json").write_text("")
    assert names(records) == ["a", "c"]


def test_what_is_no_record_is_left_alone(records: Records) -> None:
    with records.locked():
        records.write("web-01", {})
    (records.path / "README").write_text("")
    assert names(records) == ["web-01"]


@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "symlink"])
def test_what_is_no_file_is_not_read_and_not_waited_for(records: Records, make: str, tmp_path: Path) -> None:
    records.write("other", {})
    path = records.path / "web-01.json"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"name": "web-01"}')
    if make == "mkdir":
        path.mkdir()
    elif make == "mkfifo":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere)
    with pytest.raises(StateError, match=r"web-01\.json"):
        records.read("web-01")


def test_a_link_is_replaced_and_not_followed(records: Records, tmp_path: Path) -> None:
    records.write("other", {})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    for file in ("web-01.json", ".web-01.json.new"):
        (records.path / file).symlink_to(elsewhere)
    records.write("web-01", {"n": 1})
    assert elsewhere.read_text() == "not ours"
    assert records.read("web-01") == {"n": 1}


def test_a_directory_that_is_a_link_is_not_followed(records: Records, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    records.path.symlink_to(tmp_path / "elsewhere")
    for use in (lambda: records.read("a"), lambda: records.write("a", {}), lambda: list(records.read_all())):
        with pytest.raises(StateError, match="kind: Not a directory"):
            use()
    with pytest.raises(StateError, match="kind: Not a directory"), records.locked():
        pass


def test_a_lock_that_is_a_link_is_not_followed(records: Records, tmp_path: Path) -> None:
    records.write("a", {})
    (records.path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"cannot write .*/kind: "), records.locked():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_state_directory_that_has_gone_is_an_error_to_who_writes(tmp_path: Path) -> None:
    records = Records(tmp_path / "gone" / "kind", LIMIT)
    assert records.read("a") is None
    assert list(records.read_all()) == []
    with pytest.raises(StateError, match=r"cannot write .*/gone/kind: No such file or directory"):
        records.write("a", {})


def test_on_a_full_disk_the_old_record_stays_and_nothing_is_left(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.write("web-01", {"n": 1})

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        with pytest.raises(StateError, match=r"cannot write .*/kind: No space left on device"):
            records.write("web-01", {"n": 2})
    assert records.read("web-01") == {"n": 1}
    assert files(records) == {"web-01.json"}


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_write_returns(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def note(step: str, real: object) -> object:
        def call(*arguments: object, **options: object) -> object:
            kind = "file" if step == "fsync" and stat.S_ISREG(os.fstat(arguments[0]).st_mode) else "directory"  # type: ignore[arg-type]
            steps.append(f"{step} {kind}" if step == "fsync" else step)
            return real(*arguments, **options)  # type: ignore[operator]

        return call

    for step in ("fsync", "rename"):
        monkeypatch.setattr(os, step, note(step, getattr(os, step)))
    records.write("web-01", {})
    assert steps == ["fsync file", "rename", "fsync directory"]


def test_what_a_crash_has_left_is_written_over(records: Records) -> None:
    records.write("web-01", {"n": 1})
    (records.path / ".web-01.json.new").write_text('{"na')
    assert names(records) == ["web-01"]
    records.write("web-01", {"n": 2})
    assert files(records) == {"web-01.json"}


# Bounds


def test_a_record_of_more_than_its_size_is_not_written(records: Records) -> None:
    records.write("web-01", {"n": 1})
    with pytest.raises(StateError, match=r"web-01\.json would be larger than 256 KiB"):
        records.write("web-01", {"n": "x" * MAX_RECORD})
    assert records.read("web-01") == {"n": 1}


def test_there_are_no_more_records_than_the_limit(records: Records) -> None:
    for name in ("a", "b", "c"):
        records.write(name, {})
    with pytest.raises(StateError, match="kind has 3 files, which is the limit"):
        records.write("d", {})
    records.write("a", {"n": 1})
    assert names(records) == ["a", "b", "c"]


def test_room_is_made_by_removing_what_was_written_longest_ago(records: Records) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        records.write(name, {})
        os.utime(records.path / f"{name}.json", (1_000_000 - age, 1_000_000 - age))
    records.make_room("old")
    assert names(records) == ["new", "old", "oldest"]
    records.make_room("another")
    assert names(records) == ["new", "old"]
    records.write("another", {})
    Records(records.path, 2).make_room("one more")
    assert names(records) == ["another"]


# The lock


def test_who_changes_a_record_keeps_other_threads_waiting(records: Records) -> None:
    entered, order = threading.Event(), []

    def other() -> None:
        entered.set()
        with records.locked():
            order.append("other")

    thread = threading.Thread(target=other)
    with records.locked():
        thread.start()
        entered.wait(10)
        thread.join(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]


def count_up(path: Path, times: int, go: Event) -> None:
    records = Records(path, LIMIT)
    go.wait(30)
    for _ in range(times):
        with records.locked():
            record = records.read("counter") or {"n": 0}
            records.write("counter", {"n": record["n"] + 1})


def test_processes_that_count_lose_no_count(records: Records) -> None:
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    processes = [context.Process(target=count_up, args=(records.path, 20, go)) for _ in range(3)]
    for process in processes:
        process.start()
    go.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert records.read("counter") == {"n": 60}


def test_the_lock_is_free_again_after_an_error(records: Records) -> None:
    with pytest.raises(RuntimeError), records.locked():
        raise RuntimeError
    with records.locked():
        records.write("a", {})


# Ownership


@pytest.mark.system
def test_what_root_makes_belongs_to_the_directory_s_owner(records: Records, tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with records.locked():
        records.write("web-01", {})
    made = [records.path, *records.path.iterdir()]
    assert {(path.name, path.stat().st_uid, path.stat().st_gid) for path in made} == {
        (name, 65534, 65534) for name in ("kind", ".lock", "web-01.json")
    }


def test_the_file_says_what_it_is_about(records: Records) -> None:
    records.write("büro", {"n": 1})
    (file,) = records.path.iterdir()
    assert json.loads(file.read_text()) == {"name": "büro", "n": 1}
