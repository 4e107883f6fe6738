import contextlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.errors import ProtocolError
from vmw_cloudinit_metadata.vspc import vmware_ext as ext

UUID = uuid.UUID("684c916c-5f6c-4c2f-aa50-dfd661a22e0d")

# Every row of the table in VMware's document, in both directions.
TABLE = [
    (b"\x00\x00\x02\x50\x52", ext.KnownSuboptions1(frozenset({0, 2, 80, 82}))),
    (b"\x01\x01\x03", ext.KnownSuboptions2(frozenset({1, 3}))),
    (b"\x02\x57", ext.UnknownSuboptionRcvd1(87)),
    (b"\x03\x63", ext.UnknownSuboptionRcvd2(99)),
    (b"\x28\x00\x00\x00\x07", ext.VMotionBegin(b"\x00\x00\x00\x07")),
    (b"\x29\x00\x00\x00\x07secretly", ext.VMotionGoAhead(b"\x00\x00\x00\x07secretly")),
    (b"\x2b\x00\x00\x00\x07", ext.VMotionNotNow(b"\x00\x00\x00\x07")),
    (b"\x2c\x00\x00\x00\x07secretly", ext.VMotionPeer(b"\x00\x00\x00\x07secretly")),
    (b"\x2d\x00\x00\x00\x07", ext.VMotionPeerOk(b"\x00\x00\x00\x07")),
    (b"\x2e\x00\x00\x00\x07", ext.VMotionComplete(b"\x00\x00\x00\x07")),
    (b"\x30", ext.VMotionAbort()),
    (b"\x46Cmy-metadata?port=1", ext.DoProxy("C", "my-metadata?port=1")),
    (b"\x47", ext.WillProxy()),
    (b"\x49", ext.WontProxy()),
    (b"\x5068 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d", ext.VMVCUUID(UUID)),
    (b"\x51", ext.GetVMVCUUID()),
    ("\x52Büro-01".encode(), ext.VMName("Büro-01")),
    (b"\x53", ext.GetVMName()),
    (b"\x5468 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d", ext.VMBiosUUID(UUID)),
    (b"\x55", ext.GetVMBiosUUID()),
    (b"\x5668 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d", ext.VMLocationUUID(UUID)),
    (b"\x57", ext.GetVMLocationUUID()),
]


def test_the_table_has_every_command() -> None:
    assert {message.command for _, message in TABLE} == set(ext.Command)


@pytest.mark.parametrize(("suboption", "message"), TABLE, ids=lambda row: "")
def test_every_message_is_read_and_written(suboption: bytes, message: ext.Message) -> None:
    assert ext.decode(suboption) == message
    assert ext.encode(message) == suboption


@pytest.mark.parametrize(
    "text",
    [
        b"684C916C-5F6C-4C2F-AA50-DFD661A22E0D",
        b"684c916c5f6c4c2faa50dfd661a22e0d",
        b"{684c916c-5f6c-4c2f-aa50-dfd661a22e0d}",
        b"68 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d\x00",
    ],
)
def test_a_uuid_is_32_digits_however_they_are_grouped(text: bytes) -> None:
    assert ext.decode(b"\x50" + text) == ext.VMVCUUID(UUID)


def test_an_empty_uuid_is_an_answer_without_a_uuid() -> None:
    assert ext.decode(b"\x54") == ext.VMBiosUUID(None)
    assert ext.encode(ext.VMBiosUUID(None)) == b"\x54"


@pytest.mark.parametrize(
    "suboption",
    [
        b"",
        b"\x02",
        b"\x02ab",
        b"\x50no uuid",
        b"\x50" + b"0" * 31,
        b"\x52\xff",
        b"\x46",
        b"\x46Xuri",
        b"\x46C\xfe",
    ],
)
def test_what_has_not_the_form_of_its_command_raises_protocol_error(suboption: bytes) -> None:
    with pytest.raises(ProtocolError):
        ext.decode(suboption)


def test_a_command_of_no_table_is_told_by_its_code() -> None:
    assert ext.decode(b"\xc8whatever") == ext.Unknown(200)


@given(st.binary())
def test_garbage_raises_protocol_error_and_nothing_else(suboption: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        message = ext.decode(suboption)
        if isinstance(message, ext.Message):
            assert ext.decode(ext.encode(message)) == message


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (ext.VMotionAbort(), "VMOTION-ABORT"),
        (ext.VMotionBegin(b"\x00\x07"), "VMOTION-BEGIN 0007"),
        (ext.KnownSuboptions2(frozenset({3, 1})), "KNOWN-SUBOPTIONS-2 1 3"),
        (ext.VMName("evil\nname"), r"VM-NAME 'evil\nname'"),
        (ext.VMVCUUID(UUID), f"VM-VC-UUID {UUID}"),
        (ext.Unknown(99), "unknown command 99"),
    ],
)
def test_the_text_of_a_message_is_one_line_for_the_log(message: ext.Message | ext.Unknown, text: str) -> None:
    assert str(message) == text


def test_neither_vmotion_secrets_nor_the_token_of_a_uri_are_shown() -> None:
    for message in (ext.VMotionGoAhead(b"\x00hunter2"), ext.VMotionPeer(b"\x00hunter2")):
        assert "hunter2" not in str(message) + repr(message)
        assert b"hunter2".hex() not in str(message) + repr(message)
    proxy = ext.DoProxy("C", "my-metadata?token=hunter2")
    assert "my-metadata" in str(proxy)
    assert "hunter2" not in str(proxy) + repr(proxy)
