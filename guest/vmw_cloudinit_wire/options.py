"""Options of version 2: ``key=value`` pairs joined by ``;``, the last of them a sum over what stands before.

A request has them as its payload, so that a server of 0.0.8 passes over them; an answer and a report have
them as the third field. This module knows their form, not what the keys mean.
"""

import binascii
import re
from typing import Dict, Optional, Sequence, Tuple

from vmw_cloudinit_wire.packet import Packet, PacketError, encode

Pairs = Sequence[Tuple[str, str]]

_KEY = re.compile("[a-z][a-z0-9-]*")
# Printable ASCII without what separates pairs and fields, and without "!", which begins a packet.
_VALUE = re.compile('[ "$-:<-~]*')
_SUM = ";sum="
_SUM_SIZE = len(_SUM) + 8


def request(code: str, pairs: Pairs) -> Packet:
    """Return a request of version 2; its sum is that of ``CODE#`` and the pairs.

    Raises:
        PacketError: a key or a value holds characters that would break the line apart.
    """
    text = _join(pairs)
    return Packet(code, (text + _SUM + _request_sum(code, text)).encode())


def answer(code: str, payload: bytes, pairs: Pairs) -> Packet:
    """Return an answer, or a report, of version 2; its sum is that of the line up to ``;sum=``.

    Raises:
        PacketError: a key or a value holds characters that would break the line apart.
    """
    text = _join(pairs)
    return Packet(code, payload, text + _SUM + _answer_sum(code, payload, text))


def begin_answer(code: str, payload: bytes) -> Tuple[bytes, int]:
    """Return the line of an answer up to its options, and the sum so far: many answers may begin the same.

    Raises:
        PacketError: the code holds characters that would break the line apart.
    """
    begun = encode(Packet(code, payload), end=b"#")
    return begun, binascii.crc32(begun)


def end_answer(begun: Tuple[bytes, int], pairs: Pairs, end: bytes = b"\r\n") -> bytes:
    """Return the line of an answer, ``end`` included, that begins so and has these options.

    Raises:
        PacketError: a key or a value holds characters that would break the line apart.
    """
    beginning, total = begun
    text = _join(pairs).encode()
    return b"%b%b;sum=%08x%b" % (beginning, text, binascii.crc32(text, total) & 0xFFFFFFFF, end)


def read_request(packet: Packet) -> Optional[Dict[str, str]]:
    """Return the options of a request; None if its payload is none of version 2, or its sum is wrong."""
    if not packet.payload:
        return None
    try:
        text, total = _cut(packet.payload.decode("ascii"))
    except UnicodeDecodeError:
        return None
    return _split(text) if total and total == _request_sum(packet.code, text) else None


def read_answer(packet: Packet) -> Optional[Dict[str, str]]:
    """Return the options of an answer or a report; None if it has none, or its sum is wrong."""
    text, total = _cut(packet.options)
    return _split(text) if total and total == _answer_sum(packet.code, packet.payload, text) else None


def _request_sum(code: str, text: str) -> str:
    return _crc32(f"{code}#{text}".encode())


def _answer_sum(code: str, payload: bytes, text: str) -> str:
    return _crc32(encode(Packet(code, payload, text), end=b""))


def _crc32(data: bytes) -> str:
    return f"{binascii.crc32(data) & 0xFFFFFFFF:08x}"


def _cut(text: str) -> Tuple[str, str]:
    """Return what stands before the sum, and the sum; two empty strings if there is none at the end."""
    if len(text) <= _SUM_SIZE or not text.startswith(_SUM, len(text) - _SUM_SIZE):
        return "", ""
    return text[:-_SUM_SIZE], text[-8:]


def _join(pairs: Pairs) -> str:
    for key, value in pairs:
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise PacketError(f"the option {key!r} cannot be sent")
    return ";".join(f"{key}={value}" for key, value in pairs)


def _split(text: str) -> Dict[str, str]:
    """Return the pairs; of a key that stands there twice the first one counts."""
    options: Dict[str, str] = {}
    for pair in text.split(";"):
        key, _, value = pair.partition("=")
        options.setdefault(key, value)
    return options
