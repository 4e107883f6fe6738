import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.state import served as module
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.records import MAX_RECORD, DamagedError
from vmw_cloudinit_metadata.state.served import (
    MAX_LINES,
    MAX_TEXT,
    MAX_UNCOUNTED,
    Served,
    ServedDocument,
    ServedRecords,
    digests,
    lines_of,
)
from vmw_cloudinit_metadata.vspc.snapshot import Document

SECRET = b"hunter2"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)

Documents = dict[str, Document | None]


class Site:
    """The records of a state directory, with a clock that goes on an hour with each key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys = 0
        self.records = ServedRecords(StateDirectory(path), self._now, self._key)

    def _now(self) -> datetime:
        return NOON + timedelta(hours=self.keys)

    def _key(self, size: int) -> bytes:
        self.keys += 1
        return bytes([self.keys]) * size

    def file(self, name: str = "web-01") -> Path:
        return self.path / "served" / f"{name}.json"

    def last(self, name: str = "web-01") -> Served:
        last = self.records.last(name)
        assert last is not None
        return last


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def documents(userdata: bytes = b"#cloud-config\n{}\n", **others: bytes | None) -> Documents:
    contents = {"metadata": b'{"hostname": "b\xc3\xbcro"}', "networkdata": None, "vendordata": None, **others}
    contents["userdata"] = userdata
    return {name: None if content is None else Document.of(content) for name, content in contents.items()}


def test_what_was_served_is_known_by_text_and_digests(site: Site) -> None:
    served = documents(userdata=b"#!/bin/sh\nexit\n", networkdata=b"{}")
    site.records.note("web-01", "vm-7", served)
    key = b"\1" * 16
    assert site.last() == Served(
        "vm-7",
        NOON + timedelta(hours=1),
        key,
        {
            "metadata": ServedDocument(_etag(served, "metadata"), 21, text='{"hostname": "büro"}'),
            "networkdata": ServedDocument(_etag(served, "networkdata"), 2, text="{}"),
            "userdata": ServedDocument(
                _etag(served, "userdata"), 15, lines=digests([b"#!/bin/sh\n", b"exit\n"], key)
            ),
        },
    )


def _etag(served: Documents, name: str) -> str:
    document = served[name]
    assert document is not None
    return document.etag


def test_of_a_vm_that_was_never_served_nothing_is_known(site: Site) -> None:
    assert site.records.last("web-01") is None
    site.records.note("web-02", "web-02", documents())
    assert site.records.last("web-01") is None


def test_a_digest_is_keyed_and_of_the_whole_line(site: Site) -> None:
    lines = lines_of(b"one\r\ntwo\n\nthree")
    assert lines == [b"one\r\n", b"two\n", b"\n", b"three"]
    expected = [hashlib.blake2b(line, digest_size=8, key=b"k").digest() for line in lines]
    assert digests(lines, b"k") == tuple(expected)
    assert digests(lines, b"k") != digests(lines, b"l")


def test_no_secret_reaches_the_disk_and_only_the_server_s_user_may_read(site: Site) -> None:
    before = os.umask(0)
    try:
        site.records.note("web-01", "web-01", documents(b"pw: %s\n" % SECRET, vendordata=SECRET))
    finally:
        os.umask(before)
    assert SECRET not in site.file().read_bytes()
    assert site.file().stat().st_mode & 0o777 == 0o600
    assert site.file().parent.stat().st_mode & 0o777 == 0o700


def test_the_same_again_is_not_written_again(site: Site) -> None:
    site.records.note("web-01", "web-01", documents())
    before = site.file().stat()
    site.records.note("web-01", "renamed", documents())
    assert (site.file().stat().st_ino, site.keys) == (before.st_ino, 1)
    assert site.last().vm_name == "web-01"


@pytest.mark.parametrize(
    "changed",
    [
        documents(b"other"),
        documents(metadata=b"{}"),
        documents(networkdata=b"{}"),
        documents(vendordata=b""),
    ],
    ids=["user-data", "meta-data", "network-config", "vendor-data"],
)
def test_what_has_changed_takes_its_place_with_another_key(site: Site, changed: Documents) -> None:
    site.records.note("web-01", "web-01", documents())
    site.records.note("web-01", "web-01", changed)
    assert site.last().since == NOON + timedelta(hours=2)
    etags = {name: document.etag for name, document in site.last().documents.items()}
    assert etags == {name: document.etag for name, document in changed.items() if document}
    assert site.last().key == b"\2" * 16


def test_a_document_that_goes_is_known_to_be_gone(site: Site) -> None:
    site.records.note("web-01", "web-01", documents(vendordata=b"x"))
    site.records.note("web-01", "web-01", documents())
    assert set(site.last().documents) == {"metadata", "userdata"}


def test_of_a_long_document_etag_and_size_are_kept_and_all_of_the_longest_that_is(site: Site) -> None:
    site.records.note("a", "a", documents(b"\n" * MAX_LINES, metadata=b'"' * MAX_TEXT))
    kept = site.last("a").documents
    assert (len(kept["userdata"].lines or ()), len(kept["metadata"].text or "")) == (MAX_LINES, MAX_TEXT)
    site.records.note("b", "b", documents(b"\n" * (MAX_LINES + 1), metadata=b'"' * (MAX_TEXT + 1)))
    kept = site.last("b").documents
    assert (kept["userdata"].lines, kept["metadata"].text) == (None, None)
    assert (kept["userdata"].size, kept["metadata"].size) == (MAX_LINES + 1, MAX_TEXT + 1)


def test_the_largest_record_there_can_be_is_written(site: Site) -> None:
    worst = "ü".encode() * (MAX_TEXT // 2)
    full = b"\n" * MAX_LINES
    site.records.note(
        "n" * 9999, "ü" * 999, documents(full, vendordata=full, metadata=worst, networkdata=worst)
    )
    (file,) = (site.path / "served").glob("*.json")
    assert MAX_RECORD * 0.8 < file.stat().st_size <= MAX_RECORD


def test_a_name_of_a_vm_that_is_somebody_s_joke_is_cut(site: Site) -> None:
    site.records.note("web-01", "x" * 10_000, documents())
    assert site.last().vm_name == "x" * module.MAX_VM_NAME


def test_of_too_many_vms_those_go_that_were_written_longest_ago(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_VMS", 3)
    monkeypatch.setattr(module, "MAX_UNCOUNTED", 2)
    records = ServedRecords(StateDirectory(site.path))
    for number in range(9):
        records.note(f"vm-{number}", "vm", documents())
        os.utime(site.file(f"vm-{number}"), ns=(number, number))
        assert len(list((site.path / "served").glob("*.json"))) <= 3 + 2
    assert records.last("vm-0") is None
    assert records.last("vm-8") is not None


def test_names_that_are_made_up_push_out_no_others(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VMS", 2)
    monkeypatch.setattr(module, "MAX_UNCOUNTED", 1)
    records = ServedRecords(StateDirectory(site.path))
    records.note("web-01", "web-01", documents())
    for number in range(9):
        records.note(f"made-up-{number}", "vm", documents(), claimed=True)
    assert records.last("web-01") is not None
    assert records.last("made-up-8", claimed=True) is not None
    assert records.last("made-up-8") is None
    assert len(list((site.path / "claimed-served").glob("*.json"))) <= 3


def test_what_changes_takes_no_more_room(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VMS", 1)
    records = ServedRecords(StateDirectory(site.path))
    records.note("web-01", "vm", documents())
    for number in range(MAX_UNCOUNTED + 2):
        records.note("web-01", "vm", documents(b"%d" % number))
    assert records.last("web-01") is not None


def damaged_records() -> list[tuple[str, Any]]:
    document = {"etag": "0" * 16, "size": 1, "text": None, "lines": None}
    whole = {"vm": "a", "since": NOON.isoformat(), "key": "00", "documents": {"metadata": document}}
    return [
        ("no-key", {"vm": "a"}),
        ("vm", {**whole, "vm": 1}),
        ("since", {**whole, "since": "yesterday"}),
        ("zone", {**whole, "since": "2026-12-01T12:00:00"}),
        ("hex", {**whole, "key": "xyz"}),
        ("documents", {**whole, "documents": []}),
        ("document", {**whole, "documents": {"metadata": None}}),
        ("etag", {**whole, "documents": {"metadata": {**document, "etag": None}}}),
        ("size", {**whole, "documents": {"metadata": {**document, "size": True}}}),
        ("text", {**whole, "documents": {"metadata": {**document, "text": 1}}}),
        ("base64", {**whole, "documents": {"metadata": {**document, "lines": "?"}}}),
        ("half-a-digest", {**whole, "documents": {"metadata": {**document, "lines": "AAAA"}}}),
    ]


@pytest.mark.parametrize("record", [each[1] for each in damaged_records()], ids=dict(damaged_records()))
def test_a_damaged_record_is_told_and_the_next_one_takes_its_place(site: Site, record: Any) -> None:
    site.records.note("web-01", "web-01", documents())
    site.file().write_text(json.dumps({"name": "web-01", **record}))
    with pytest.raises(DamagedError, match=r"served/web-01.json is damaged$"):
        site.records.last("web-01")
    site.records.note("web-01", "web-01", documents())
    assert site.last().vm_name == "web-01"


def test_what_cannot_be_written_is_told(site: Site) -> None:
    (site.path / "served").write_text("")
    with pytest.raises(StateError, match=r"served: Not a directory$"):
        site.records.note("web-01", "web-01", documents())
