import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest.conversation import etag
from vmw_cloudinit_guest.course import RefusedError
from vmw_cloudinit_guest.documents import DocumentError
from vmw_cloudinit_guest.pieces import MAX_DOCUMENT, MAX_MISFITS, Assembly, PieceSize, inflate

CONTENT = b"0123456789"
ETAG = etag(CONTENT)


def test_a_size_doubles_up_to_16_384_and_halves_down_to_256() -> None:
    size = PieceSize()
    assert size.limit == 4096
    sizes = []
    for change in [size.grow] * 3 + [size.shrink] * 8 + [size.grow]:
        change()
        sizes.append(size.limit)
    assert sizes == [8192, 16384, 16384, 8192, 4096, 2048, 1024, 512, 256, 256, 256, 512]


def test_pieces_make_a_document() -> None:
    assembly = Assembly()
    assert assembly.add(b"0123", 0, 10, ETAG) is None
    assert (len(assembly), assembly.etag) == (4, ETAG)
    assert assembly.add(b"456789", 4, 10, ETAG) == CONTENT


def test_an_empty_document_is_whole_at_once() -> None:
    assert Assembly(etag(b"")).add(b"", 0, 0, etag(b"")) == b""


@pytest.mark.parametrize(
    ("piece", "offset", "total", "tag"),
    [
        (b"0", 0, 10, ETAG),
        (b"5", 5, 10, ETAG),
        (b"4", 4, 11, ETAG),
        (b"4", 4, 10, etag(b"another")),
        (b"4567890", 4, 10, ETAG),
        (b"", 4, 10, ETAG),
    ],
)
def test_a_piece_that_does_not_fit_changes_nothing(piece: bytes, offset: int, total: int, tag: str) -> None:
    assembly = Assembly()
    assembly.add(b"0123", 0, 10, ETAG)
    with pytest.raises(DocumentError, match="does not fit"):
        assembly.add(piece, offset, total, tag)
    assert assembly.add(b"456789", 4, 10, ETAG) == CONTENT


def test_a_whole_of_another_etag_begins_anew_a_few_times() -> None:
    assembly = Assembly(ETAG)
    for _ in range(MAX_MISFITS - 1):
        assembly.add(b"0123", 0, 10, ETAG)
        with pytest.raises(DocumentError, match="etag"):
            assembly.add(b"45678?", 4, 10, ETAG)
        assert len(assembly) == 0
    with pytest.raises(RefusedError):
        assembly.add(b"0123456?89", 0, 10, ETAG)


def test_a_document_that_is_too_large_is_refused_with_its_first_piece() -> None:
    assert Assembly().add(b"0", 0, MAX_DOCUMENT, ETAG) is None
    with pytest.raises(RefusedError):
        Assembly().add(b"0", 0, MAX_DOCUMENT + 1, ETAG)


@given(st.binary(max_size=2000))
def test_what_is_compressed_is_inflated_if_it_is_no_more_than_the_limit(plain: bytes) -> None:
    assert inflate(gzip.compress(plain), len(plain)) == plain
    if plain:
        with pytest.raises(DocumentError):
            inflate(gzip.compress(plain), len(plain) - 1)


def test_a_bomb_is_inflated_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    inflated = []

    class Recorded:
        def __init__(self, bits: int) -> None:
            self.inflater = inflater(bits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            inflated.append(self.inflater.decompress(data, limit))
            return inflated[-1]

    inflater = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Recorded)
    with pytest.raises(DocumentError, match="more than 4096"):
        inflate(gzip.compress(b"\0" * 50_000_000), 4096)
    assert [len(each) for each in inflated] == [4097]


@pytest.mark.parametrize(
    "payload", [b"", b"plain", gzip.compress(b"x")[:-1], gzip.compress(b"x") + b"y", zlib.compress(b"x")]
)
def test_what_is_not_one_whole_gzip_stream_is_refused(payload: bytes) -> None:
    with pytest.raises(DocumentError, match="gzip"):
        inflate(payload, 1000)


@given(st.binary())
def test_garbage_is_refused_and_nothing_else_is_raised(payload: bytes) -> None:
    with pytest.raises(DocumentError):
        inflate(b"\x1f\x8b" + payload, 1000)
