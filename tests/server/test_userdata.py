"""User-data as bytes; what cloud-init itself makes of them is asked in tests/end_to_end/test_seeds.py."""

import base64
import contextlib
import email
import gzip
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata import userdata
from vmw_cloudinit_metadata.checks import MAX_USERDATA
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.userdata import ENCODINGS, GZIP, MIME, Part

# Hypothesis makes its table of Unicode at the first draw of text, which takes seconds on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SECRET = "hunter2"
CONFIG = Part(b"#cloud-config\npackages: [nginx]\n")
SCRIPT = Part(b"#!/bin/sh\necho ready\n")


def contents(message: bytes) -> list[tuple[str, str | None, bytes]]:
    """Take a message apart as cloud-init does: decoded first, then its leaves in their order."""
    leaves = []
    for part in email.message_from_string(message.decode()).walk():
        if part.get_content_maintype() != "multipart":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            leaves.append((part.get_content_type(), part.get_filename(), content))
    return leaves


# What cloud-init takes it for


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"#cloud-config\n{}", "text/cloud-config"),
        (b"#cloud-config-archive\n[]", "text/cloud-config-archive"),
        (b"#cloud-config-jsonp\n[]", "text/cloud-config-jsonp"),
        (b"#!/bin/sh\n", "text/x-shellscript"),
        (b"#include\nhttps://example.org/x", "text/x-include-url"),
        (b"#include-once\nhttps://example.org/x", "text/x-include-once-url"),
        (b"#cloud-boothook\n#!/bin/sh\n", "text/cloud-boothook"),
        (b"#part-handler\n", "text/part-handler"),
        (b"## template: jinja\n#cloud-config\n", "text/jinja2"),
        (b"\n \t#Cloud-CONFIG\n", "text/cloud-config"),
        (gzip.compress(b"#cloud-config\n"), GZIP),
        (b"Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x--\n", MIME),
        (b"mime-version: 1.0\n", MIME),
        (b"packages: [nginx]\n", None),
        (b"# cloud-config\n", None),
        (b"x" * 4096 + b"mime-version: 1.0\n", None),
        ("#cloud-config\n".encode("utf-16"), None),
        (b"\xef\xbb\xbf#cloud-config\n", None),
        (base64.b64encode(b"#cloud-config\n"), None),
        (b"", None),
    ],
)
def test_user_data_is_what_its_first_line_says(data: bytes, kind: str | None) -> None:
    assert userdata.content_type(data) == kind


def test_a_script_that_speaks_of_mime_is_a_script_and_still_taken_for_a_message() -> None:
    script = b"#!/bin/sh\necho 'MIME-Version: 1.0'\n"
    assert userdata.content_type(script) == "text/x-shellscript"
    assert userdata.is_taken_for_mime(script)
    assert not userdata.is_taken_for_mime(SCRIPT.content)


# Parts


def test_parts_become_a_message_in_their_order() -> None:
    message = userdata.multipart([CONFIG, Part(SCRIPT.content, filename="ready.sh")])
    assert message == (
        b'Content-Type: multipart/mixed; boundary="part-0157de23375039cc62d0022e105fa64b"\n'
        b"MIME-Version: 1.0\n"
        b"\n"
        b"--part-0157de23375039cc62d0022e105fa64b\n"
        b'Content-Type: text/cloud-config; charset="utf-8"\n'
        b"Content-Transfer-Encoding: 7bit\n"
        b"\n"
        b"#cloud-config\n"
        b"packages: [nginx]\n"
        b"\n"
        b"--part-0157de23375039cc62d0022e105fa64b\n"
        b'Content-Type: text/x-shellscript; charset="utf-8"\n'
        b"Content-Transfer-Encoding: 7bit\n"
        b'Content-Disposition: attachment; filename="ready.sh"\n'
        b"\n"
        b"#!/bin/sh\n"
        b"echo ready\n"
        b"\n"
        b"--part-0157de23375039cc62d0022e105fa64b--\n"
    )


def test_the_same_parts_make_the_same_message_and_others_another_boundary() -> None:
    def boundary(*parts: Part) -> str:
        found = email.message_from_bytes(userdata.multipart(parts)).get_boundary()
        assert found is not None
        return found

    assert boundary(CONFIG, SCRIPT) == boundary(CONFIG, SCRIPT)
    others = [
        (CONFIG,),
        (SCRIPT, CONFIG),
        (CONFIG, Part(SCRIPT.content, filename="a")),
        (CONFIG, SCRIPT, SCRIPT),
    ]
    assert len({boundary(*parts) for parts in [(CONFIG, SCRIPT), *others]}) == 5


def test_a_type_that_is_given_wins_over_the_header() -> None:
    part = Part(SCRIPT.content, type="text/x-shellscript-per-boot")
    assert contents(userdata.multipart([part])) == [("text/x-shellscript-per-boot", None, SCRIPT.content)]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n", b" ", b"\r"])
def test_a_part_keeps_what_it_ends_with(end: bytes) -> None:
    parts = [Part(b"#!/bin/sh\necho" + end), CONFIG]
    assert [content for _, _, content in contents(userdata.multipart(parts))] == [
        part.content for part in parts
    ]


@pytest.mark.parametrize(
    "content",
    [
        "#cloud-config\nfinal_message: größe ✓\n".encode(),
        b"#!/bin/sh\n\x00\xff\xfe",
        b"#!/bin/sh\r\necho dos\r\n",
        b"#!/bin/sh\n" + b"x" * 999,
    ],
)
def test_what_does_not_survive_as_text_goes_as_base64(content: bytes) -> None:
    message = userdata.multipart([Part(content)])
    assert b"Content-Transfer-Encoding: base64" in message
    assert [part for _, _, part in contents(message)] == [content]


def test_a_long_line_is_one_that_mail_does_not_take() -> None:
    assert b"base64" not in userdata.multipart([Part(b"#!" + b"x" * 996 + b"\n")])


def test_a_message_within_a_message_is_left_as_it_is() -> None:
    inner = userdata.multipart([CONFIG, SCRIPT])
    message = userdata.multipart([SCRIPT, Part(inner)])
    assert inner in message
    assert [kind for kind, _, _ in contents(message)] == [
        "text/x-shellscript",
        "text/cloud-config",
        "text/x-shellscript",
    ]


def test_a_compressed_part_stays_compressed() -> None:
    packed = gzip.compress(b"#!/bin/sh\n", mtime=0)
    assert contents(userdata.multipart([Part(packed)])) == [(GZIP, None, packed)]


@patient
@given(st.lists(st.binary().map(lambda tail: b"#!" + tail), min_size=1))
@example([b"#!\n--part-\n", b"#!\n"])
def test_parts_come_out_as_they_went_in(scripts: list[bytes]) -> None:
    message = userdata.multipart(Part(script) for script in scripts)
    assert userdata.content_type(message) == MIME
    assert [content for _, _, content in contents(message)] == scripts


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (CONFIG, None),
        (SCRIPT, None),
        (Part(b"hunter2", type="text/x-of-a-handler"), None),
        (Part(userdata.multipart([CONFIG])), None),
        (
            Part(b"packages: [hunter2]"),
            "begins with no header that cloud-init knows (#!, #cloud-boothook, #cloud-config,"
            " #cloud-config-archive, #cloud-config-jsonp, #include, #include-once, #part-handler,"
            " ## template: jinja); give it a type",
        ),
        (
            Part("MIME-Version: 1.0\n\ngrün".encode()),
            "is a MIME message with other than ASCII characters, which cloud-init gets wrong",
        ),
    ],
)
def test_what_is_wrong_with_a_part(part: Part, fault: str | None) -> None:
    assert userdata.part_fault(part) == fault


def test_a_part_shows_no_content() -> None:
    assert repr(Part(SECRET.encode(), filename="a")) == "Part(type=None, filename='a')"


@pytest.mark.parametrize(
    "value", ["text/x-shellscript", "text/cloud-config", "application/octet-stream", "text/x-a.b+c"]
)
def test_a_type_may_be_any_of_one_part(value: str) -> None:
    assert userdata.type_fault(value) is None


@pytest.mark.parametrize(
    "value",
    [
        *("", "text", "text/", "/x", "Text/plain", "text/a b", "text/x\n", 'text/x; charset="y"'),
        *("multipart/mixed", "message/rfc822", "text/" + "x" * 65),
    ],
)
def test_what_is_not_the_type_of_a_part(value: str) -> None:
    assert userdata.type_fault(value) == "is not the type of one part, such as text/x-shellscript"


@pytest.mark.parametrize("value", ["a", "10-setup.sh", "x" * 100])
def test_a_filename_is_one_that_cloud_init_leaves_as_it_is(value: str) -> None:
    assert userdata.filename_fault(value) is None


@pytest.mark.parametrize("value", ["", ".", "..", ".sh", "a/b", "a b", 'a"b', "a\n", "ä", "x" * 101])
def test_what_is_not_a_plain_file_name(value: str) -> None:
    fault = "is not a plain file name (at most 100 letters, digits and . _ -)"
    assert userdata.filename_fault(value) == fault


# Encodings


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def packed_as_text(data: bytes) -> bytes:
    return base64.b64encode(packed(data))


WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.encodebytes,
    "b64": base64.b64encode,
    "gzip": packed,
    "gz": packed,
    "gzip+base64": packed_as_text,
    "gz+base64": packed_as_text,
    "gzip+b64": packed_as_text,
    "gz+b64": packed_as_text,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", bytes(range(256)) * 100])
def test_what_was_encoded_is_decoded(encoding: str, data: bytes) -> None:
    assert userdata.decode(WRITERS[encoding](data), encoding) == data


def test_base64_may_be_broken_into_lines_as_editors_indent_them() -> None:
    assert userdata.decode(b"  IyEv\r\n\tYmlu L3No\n", "b64") == b"#!/bin/sh"


def test_gzip_may_be_written_in_several_goes() -> None:
    assert userdata.decode(packed(b"#!/bin/sh\n") + packed(b"echo\n"), "gz") == b"#!/bin/sh\necho\n"


@pytest.mark.parametrize("data", [b"#!/bin/sh", b"IyE", b"IyE=x", "IyEü".encode(), b"I-E_", b"===="])
@pytest.mark.parametrize("encoding", ["base64", "gz+b64"])
def test_what_is_not_base64_is_refused(data: bytes, encoding: str) -> None:
    with pytest.raises(DefinitionError, match=r"^is not base64$"):
        userdata.decode(data, encoding)


@pytest.mark.parametrize(
    "data", [SECRET.encode(), packed(b"x" * 99)[:-1], packed(b"x" * 99)[:5], b"\x1f\x8b"]
)
def test_what_is_not_gzip_or_cut_is_refused(data: bytes) -> None:
    for encoding, given_as in (("gzip", data), ("gzip+base64", base64.b64encode(data))):
        with pytest.raises(DefinitionError, match=r"^is not gzip, or not whole$"):
            userdata.decode(given_as, encoding)


def test_a_damaged_gzip_is_refused() -> None:
    whole = bytearray(packed(b"#!/bin/sh\n" * 100))
    whole[-8] ^= 1
    with pytest.raises(DefinitionError, match="is not gzip"):
        userdata.decode(bytes(whole), "gz")


def test_what_unpacks_to_more_than_a_line_carries_is_refused() -> None:
    assert len(userdata.decode(packed(bytes(MAX_USERDATA)), "gz")) == MAX_USERDATA
    with pytest.raises(DefinitionError, match=r"^is more than 3,000,000 bytes when it is unpacked$"):
        userdata.decode(packed(bytes(MAX_USERDATA + 1)), "gz")


@patient
@given(st.binary(), st.sampled_from(ENCODINGS))
def test_any_bytes_are_decoded_or_refused(data: bytes, encoding: str) -> None:
    with contextlib.suppress(DefinitionError):
        assert len(userdata.decode(data, encoding)) <= MAX_USERDATA


# The line


@pytest.mark.parametrize(
    ("size", "seconds"),
    [(0, 0.0), (1, 4 / 11520), (3, 4 / 11520), (4, 8 / 11520), (64 * 1024, 7.585), (MAX_USERDATA, 347.22)],
)
def test_how_long_a_document_takes_on_the_line(size: int, seconds: float) -> None:
    assert userdata.line_seconds(size) == pytest.approx(seconds, abs=0.01 if seconds > 1 else 1e-9)
