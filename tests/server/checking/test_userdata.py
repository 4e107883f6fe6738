import base64
import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.checking.remarked import lines
from tests.support.definitions import SECRET
from vmw_cloudinit_metadata.checking import userdata
from vmw_cloudinit_metadata.checking.cloudinit import CloudInit
from vmw_cloudinit_metadata.checking.userdata import check_user_data
from vmw_cloudinit_metadata.userdata import Part, multipart

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NO_HEADER = "begins with no header that cloud-init knows, such as #cloud-config or #!, and so does nothing"
UTF_16 = "is UTF-16, which cloud-init does not read; save it as UTF-8"
BASE64 = "is base64, which cloud-init does not decode; say so with content: and encoding: base64"
CR = "its first line ends with CR LF, and no interpreter's name with CR; save it with LF alone"
BOM = "begins with a byte order mark, behind which cloud-init sees no header; save it without"

NO_PARTS = "is a MIME message without parts: its boundary is missing, or another one"
NO_MAPPING = "is no mapping of keys and values, which #cloud-config has to be"

CLOUD_CONFIG = b"#cloud-config\npackages: [nginx]\n"


def remarks(data: bytes, cloud_init: CloudInit | None = None) -> list[str]:
    return lines(check_user_data(data, cloud_init))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"#cloud-config\n",
        b"#cloud-config\n{}",
        b"#cloud-config\n# nothing yet\n",
        CLOUD_CONFIG,
        b"\n  #cloud-config\npackages: [nginx]\n",
        b"#cloud-config\nwrite_files: [{path: /a, content: !!binary aHVudGVyMg==, owner: 7}]\n",
        b"#cloud-config\nruncmd: [[sleep, 5], 'echo a:\\tb']\nbootcmd: [date 12:30, 0.5, 08, 1:2:99]\n",
        b"#!/bin/sh\necho \xff\r\n",
        b"#include\nhttp://192.0.2.1/\n",
        b"## template: jinja\n#cloud-config\n{% if %}\n",
        gzip.compress(CLOUD_CONFIG),
        multipart([Part(CLOUD_CONFIG), Part(b"#!/bin/sh\n"), Part(b"x", "text/x-of-my-own")]),
        multipart([Part(multipart([Part(CLOUD_CONFIG)]))]),
    ],
)
def test_what_cloud_init_takes_as_it_is_meant_is_not_mentioned(data: bytes, cloud_init: CloudInit) -> None:
    assert remarks(data, cloud_init) == []
    assert remarks(data) == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"packages: [nginx]\n", f"warning 0: {NO_HEADER}"),
        (b"# cloud-config\n", f"warning 0: {NO_HEADER}"),
        (b"hunter2hunter2", f"warning 0: {NO_HEADER}"),
        (b"\xff\xfe#\0", f"fault 0: {UTF_16}"),
        ("#cloud-config\n".encode("utf-16"), f"fault 0: {UTF_16}"),
        ("#cloud-config\n".encode("utf-16-le"), f"fault 0: {UTF_16}"),
        ("#cloud-config\n".encode("utf-16-be"), f"fault 0: {UTF_16}"),
        (b"\xef\xbb\xbf#cloud-config\n", f"fault 0: {BOM}"),
        (base64.b64encode(CLOUD_CONFIG), f"fault 0: {BASE64}"),
        (base64.encodebytes(gzip.compress(CLOUD_CONFIG)), f"fault 0: {BASE64}"),
        (b"#!/bin/sh\r\necho\r\n", f"fault 1: {CR}"),
        (gzip.compress(CLOUD_CONFIG)[:-9], "fault 0: begins as gzip does, but is not gzip, or not whole"),
        (gzip.compress(b"#!/bin/sh\r\n"), f"fault 1: {CR}"),
    ],
)
def test_what_it_does_not_take_is_told_with_what_to_do(data: bytes, sentence: str) -> None:
    assert remarks(data) == [sentence]


def test_parts_are_numbered() -> None:
    inner = multipart([Part(b"#!/bin/sh\n"), Part(b"#!/bin/sh\r\n")])
    message = multipart([Part(CLOUD_CONFIG), Part(b"#cloud-config\n[a]\n"), Part(inner)])
    assert remarks(message) == [
        f"fault part 2 2: {NO_MAPPING}",
        f"fault part 4 1: {CR}",
    ]
    packed = multipart([Part(gzip.compress(b"#!/bin/sh\r\n"), "application/gzip")])
    assert remarks(packed) == [f"fault part 1 1: {CR}"]
    plain = b"MIME-Version: 1.0\nContent-Type: text/plain\n\nhunter2"
    assert remarks(plain) == [f"warning part 1 0: {NO_HEADER}"]


def test_a_message_without_its_boundary_holds_nothing() -> None:
    message = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=a\n\n--b\n\n#cloud-config\n--b--\n"
    assert remarks(message) == [f"fault 0: {NO_PARTS}"]


def test_of_a_message_of_many_parts_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    message = multipart([Part(CLOUD_CONFIG), Part(b"#!/bin/sh\r\n"), Part(b"#!/bin/sh\r\n")])
    assert len(remarks(message)) == 2
    monkeypatch.setattr(userdata, "_MAX_PARTS", 2)
    assert remarks(message) == [f"fault part 2 1: {CR}"]


def test_what_is_packed_in_itself_is_not_unpacked_for_ever() -> None:
    data = b"#!/bin/sh\r\n"
    for _ in range(9):
        data = gzip.compress(data)
    assert remarks(data) == []


# Secrets, garbage


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"#cloud-config\n{SECRET}",
        f"#cloud-config\n{SECRET}: 1\n{SECRET}: 2",
        f"#cloud-config\n{SECRET}: {{{SECRET}: 0{SECRET[-1]}}}",
        f"#cloud-config\npackages: {SECRET}\nusers: [{{{SECRET}: {SECRET}}}]",
        f"#cloud-config\na: !{SECRET} x",
        f"#cloud-config\na: *{SECRET}",
        f"#cloud-config\nssh_authorized_keys: [{SECRET}, ssh-rsa {SECRET}]",
        f"#cloud-config\n\t{SECRET}: x",
        f"#!{SECRET}\r\n{SECRET}",
        f"MIME-Version: 1.0\nContent-Type: multipart/{SECRET}; boundary={SECRET}\n\n{SECRET}",
    ],
)
def test_user_data_is_never_quoted(text: str, cloud_init: CloudInit) -> None:
    told = remarks(text.encode(), cloud_init)
    assert told
    assert SECRET not in "".join(told)


HEADERS = [b"", b"#cloud-config\n", b"#!", b"MIME-Version: 1.0\n", b"\x1f\x8b", b"\xff\xfe", b"\xef\xbb\xbf"]


@given(st.sampled_from(HEADERS), st.binary() | st.text().map(str.encode))
@patient
def test_garbage_is_told_in_sentences(header: bytes, rest: bytes) -> None:
    for line in remarks(header + rest):
        assert line.isprintable()


def test_parts_that_nest_without_end_are_not_followed() -> None:
    boundaries = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(5000))
    assert remarks(b"MIME-Version: 1.0\n" + boundaries.encode()) == [
        "fault 0: is no MIME message that can be read, though it says MIME-Version"
    ]
