"""Requests and answers of version 2, as pure functions; who may ask and when is in test_run.py."""

import contextlib
import gzip
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.version2 import Answered, read, report, request
from vmw_cloudinit_metadata.errors import ProtocolError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc import version2
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot
from vmw_cloudinit_metadata.vspc.version2 import MAX_PIECE, Answer, Request, Status
from vmw_cloudinit_wire import Packet, decode, encode, options

SECRET = "hunter2"

# A busy machine is no fault of what is tested.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ID, RUN = "5f3a9c01", "7c01aa52"


def web(userdata: bytes | str = "#cloud-config\n{}", **parts: Any) -> Snapshot:
    metadata = {"instance-id": "i-0042", "hostname": "web-01"}
    return Snapshot(InstanceData({"metadata": metadata, "userdata": userdata, **parts}))


def ask(snapshot: Snapshot, document: str, **more: Any) -> Answered:
    """Ask the snapshot, over the line and back."""
    asked = version2.read_request(decode(encode(request(document, request_id=ID, **more))))
    assert asked is not None
    assert asked.fault == ""
    return read(decode(version2.answer(asked, snapshot).line(asked.response_code, asked.id)))


# Requests


def test_a_request_is_read() -> None:
    packet = request(
        "userdata", RUN, ID, accept="br,gzip", have="aa", offset=512, limit=256, etag="bb", new="x"
    )
    assert version2.read_request(packet) == Request(
        "REQUEST_USERDATA", ID, RUN, 512, 256, etag="bb", have="aa", gzip=True
    )


def test_what_is_not_said_is_the_whole_document_plain() -> None:
    assert version2.read_request(request("metadata", RUN, ID)) == Request("REQUEST_METADATA", ID, RUN)
    assert Request("REQUEST_METADATA", ID, RUN).limit == MAX_PIECE
    assert not Request("REQUEST_METADATA", ID, RUN).gzip


def test_a_guest_of_a_later_version_is_answered_in_this_one() -> None:
    packet = options.request("REQUEST_METADATA", [("v", "3"), ("run", RUN), ("id", ID), ("x", "y")])
    assert version2.read_request(packet) == Request("REQUEST_METADATA", ID, RUN)


@pytest.mark.parametrize("payload", [b"", b"anything", b"\xff\x00", b"assume=nothing"])
def test_what_does_not_look_like_options_is_version_1(payload: bytes) -> None:
    assert version2.read_request(Packet("REQUEST_METADATA", payload)) is None


@pytest.mark.parametrize("code", ["RESPONSE_METADATA", "REPORT_STATUS", "X", "REQUEST_" + "X" * 56])
def test_what_has_no_code_to_answer_with_is_version_1(code: str) -> None:
    assert version2.read_request(options.request(code, [("run", RUN), ("id", ID)])) is None


def test_the_longest_code_can_be_answered() -> None:
    asked = version2.read_request(options.request("REQUEST_" + "X" * 55, [("run", RUN), ("id", ID)]))
    assert asked is not None
    assert decode(Answer(Status.UNSUPPORTED).line(asked.response_code, asked.id)).code == asked.response_code


@pytest.mark.parametrize(
    "packet",
    [
        Packet("REQUEST_USERDATA", b"v=2"),
        Packet("REQUEST_USERDATA", b"v=2;run=7c01aa52;id=5f3a9c01;sum=00000000"),
        Packet("REQUEST_USERDATA", b"=2;run=7c01aa52;id=5f3a9c01;sum=00000000"),
        request("metadata")._replace(code="REQUEST_USERDATA"),
        options.request("REQUEST_USERDATA", [("run", RUN)]),
        options.request("REQUEST_USERDATA", [("run", RUN), ("id", "5F3A9C01")]),
        options.request("REQUEST_USERDATA", [("run", RUN), ("id", "5f3a9c0")]),
    ],
)
def test_a_request_that_nobody_can_answer_is_broken(packet: Packet) -> None:
    with pytest.raises(ProtocolError, match="REQUEST_USERDATA"):
        version2.read_request(packet)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"run": "x"}, "run"),
        ({"run": ""}, "run"),
        ({"run": "7C01AA52"}, "run"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1.5"}, "offset"),
        ({"offset": "0x10"}, "offset"),
        ({"offset": ""}, "offset"),
        ({"offset": "9" * 11}, "offset"),
        ({"limit": "0"}, "limit"),
        ({"limit": "00"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": " 1"}, "limit"),
    ],
)
def test_a_value_that_is_wrong_is_a_fault_of_a_request_with_an_id(changed: dict[str, Any], key: str) -> None:
    asked = version2.read_request(request("userdata", request_id=ID, **changed))
    assert asked is not None
    assert asked.id == ID
    assert f"{key}=" in asked.fault


def test_more_than_a_piece_is_not_given_at_once() -> None:
    asked = version2.read_request(request("userdata", limit=MAX_PIECE + 1))
    assert asked is not None
    assert asked.limit == MAX_PIECE


def test_a_report_has_an_id_or_is_broken() -> None:
    assert version2.read_report_id(report(b"{}", ID)) == ID
    assert version2.read_report_id(report(b"{}", "x")) is None
    assert version2.read_report_id(report(b"{}", ID)._replace(payload=b"[]")) is None
    assert version2.read_report_id(Packet("REPORT_STATUS", b"{}")) is None
    assert version2.read_report_id(request("metadata")) is None


# Answers


def test_metadata_says_what_else_there_is() -> None:
    snapshot = web("x", vendordata="y")
    document = snapshot.by_name["metadata"]
    assert document is not None
    assert ask(snapshot, "metadata") == Answered(
        "RESPONSE_METADATA",
        snapshot.documents.meta_data,
        {
            "id": ID,
            "status": "ok",
            "offset": "0",
            "total": str(len(snapshot.documents.meta_data)),
            "etag": document.etag,
            "docs": f"networkdata:-,userdata:{Document.of(b'x').etag},vendordata:{Document.of(b'y').etag}",
        },
    )


def test_a_document_that_the_guest_has_is_not_sent_again() -> None:
    snapshot = web("x")
    etag = Document.of(b"x").etag
    assert ask(snapshot, "userdata", have=etag) == Answered(
        "RESPONSE_USERDATA", b"", {"id": ID, "status": "unchanged", "etag": etag}
    )
    metadata = Document.of(snapshot.documents.meta_data).etag
    assert ask(snapshot, "metadata", have=metadata) == Answered(
        "RESPONSE_METADATA",
        b"",
        {"id": ID, "status": "unchanged", "etag": metadata, "docs": snapshot.etags},
    )


def test_a_document_that_the_guest_has_in_another_version_is_sent() -> None:
    assert ask(web("x"), "userdata", have=Document.of(b"y").etag).payload == b"x"


def test_a_piece_is_what_was_asked_for() -> None:
    answer = ask(web("0123456789"), "userdata", offset=3, limit=4, etag=Document.of(b"0123456789").etag)
    assert answer.payload == b"3456"
    assert (answer.options["offset"], answer.options["total"]) == ("3", "10")


def test_the_last_piece_is_shorter_and_behind_it_is_nothing() -> None:
    snapshot = web("0123456789")
    assert ask(snapshot, "userdata", offset=8, limit=4).payload == b"89"
    behind = ask(snapshot, "userdata", offset=10)
    assert (behind.status, behind.payload) == ("ok", b"")


def test_an_empty_document_is_one() -> None:
    answer = ask(web(b""), "userdata", accept="gzip")
    assert (answer.status, answer.payload, answer.options["total"]) == ("ok", b"", "0")


def test_an_offset_beyond_the_end_is_invalid() -> None:
    answer = ask(web("0123456789"), "userdata", offset=11)
    assert (answer.status, answer.payload) == ("invalid", b"offset= is beyond the end of userdata")


def test_a_piece_of_another_version_is_told_that_it_has_changed() -> None:
    answer = ask(web("new"), "userdata", offset=1, etag=Document.of(b"old").etag)
    assert (answer.status, answer.payload) == (
        "changed",
        b"the definition of this VM has changed meanwhile",
    )


@pytest.mark.parametrize("document", ["networkdata", "vendordata"])
def test_a_document_that_there_is_not(document: str) -> None:
    answer = ask(web(), document)
    assert (answer.status, answer.payload) == ("not-found", f"this VM has no {document}".encode())
    assert ask(web(), document, have="0" * 16).status == "not-found"
    assert ask(web(), document, etag="0" * 16).status == "changed"


def test_a_piece_is_compressed_where_the_guest_inflates_and_it_gets_smaller() -> None:
    text = b"abcdefgh" * 100
    snapshot = web(text)
    answer = ask(snapshot, "userdata", offset=8, limit=400, accept="gzip")
    assert (answer.options["enc"], answer.payload) == ("gzip", text[8:408])
    assert "enc" not in ask(snapshot, "userdata").options
    assert "enc" not in ask(snapshot, "userdata", limit=16, accept="gzip").options
    assert "enc" not in ask(web(os.urandom(5000)), "userdata", accept="gzip").options


def test_the_same_piece_is_the_same_bytes_again() -> None:
    asked = Request("REQUEST_USERDATA", ID, RUN, gzip=True)
    snapshot = web(b"abcdefgh" * 100)
    first = version2.answer(asked, snapshot)
    assert first == version2.answer(asked, snapshot)
    assert gzip.decompress(first.payload) == b"abcdefgh" * 100


def test_a_repr_shows_no_payload() -> None:
    assert repr(version2.answer(Request("REQUEST_USERDATA", ID, RUN), web(SECRET))) == "<Answer ok 7 bytes>"


@patient
@given(
    st.binary(max_size=40_000),
    st.lists(st.integers(1, 3 * MAX_PIECE), min_size=1, max_size=8),
    st.booleans(),
)
def test_pieces_of_any_limits_are_the_document(content: bytes, limits: list[int], compressed: bool) -> None:
    snapshot = web(content)
    etag = Document.of(content).etag
    got = b""
    for limit in limits + [MAX_PIECE] * 4:
        more = {"accept": "gzip"} if compressed else {}
        answer = ask(snapshot, "userdata", offset=len(got), limit=limit, etag=etag, **more)
        assert (answer.options["etag"], answer.options["total"]) == (etag, str(len(content)))
        assert len(answer.payload) == min(limit, MAX_PIECE, len(content) - len(got))
        got += answer.payload
    assert got == content


# Short, and of all that options may hold and may not.
values = st.text(' 019-af;=#!\n\0"', max_size=12) | st.integers(-3, 10**12).map(str)
keys = st.sampled_from(["v", "run", "id", "offset", "limit", "etag", "have", "accept", "x", ""])


@patient
@given(
    st.sampled_from(["REQUEST_METADATA", "REQUEST_USERDATA", "REQUEST_NETWORKDATA"]),
    st.lists(st.tuples(keys, values)),
    st.booleans(),
)
def test_options_of_any_kind_are_answered_or_broken(
    code: str, pairs: list[tuple[str, str]], has_id: bool
) -> None:
    text = ";".join(f"{key}={value}" for key, value in ([("id", ID), ("run", RUN)] * has_id + pairs))
    packet = Packet(code, f"{text};sum={options._request_sum(code, text)}".encode())
    try:
        asked = version2.read_request(packet)
    except ProtocolError:
        assert not has_id
        return
    assert asked is not None
    if asked.fault:
        return
    answer = version2.answer(asked, web(b"0123456789")).line(asked.response_code, asked.id)
    assert read(decode(answer)).options["id"] == asked.id


@patient
@given(st.binary(max_size=60))
def test_a_payload_of_any_bytes_is_version_1_or_broken(payload: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert version2.read_request(Packet("REQUEST_USERDATA", payload)) is None
