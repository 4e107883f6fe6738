"""A guest's half of version 2, one packet at a time: requests to send, and answers taken apart."""

import gzip
import itertools
from typing import Any, NamedTuple

from vmw_cloudinit_wire import Packet, decode, encode, options

RUN = "7c01aa52"

_ids = itertools.count(1)


def new_id() -> str:
    """Return an id that no request had before."""
    return f"{next(_ids):08x}"


def request(document: str, run: str = RUN, request_id: str = "", **more: Any) -> Packet:
    """Return a request for a document: ``request("userdata", offset=256, accept="gzip")``."""
    pairs = [("v", "2"), ("run", run), ("id", request_id or new_id())]
    pairs += [(key, str(value)) for key, value in more.items()]
    return options.request(f"REQUEST_{document.upper()}", pairs)


def report(payload: bytes, request_id: str = "") -> Packet:
    """Return a report."""
    return options.answer("REPORT_STATUS", payload, [("v", "2"), ("id", request_id or new_id())])


def id_of(packet: Packet) -> str:
    """Return the id that a request or a report carries."""
    given = options.read_request(packet) or options.read_answer(packet)
    assert given is not None
    return given["id"]


class Answered(NamedTuple):
    """An answer whose sum is right: its code, its payload as it was before gzip, and its options."""

    code: str
    payload: bytes
    options: dict[str, str]

    @property
    def status(self) -> str:
        return self.options["status"]


def read(packet: Packet) -> Answered:
    """Check an answer's sum and inflate its payload."""
    given = options.read_answer(packet)
    assert given is not None, f"{packet} is no answer of version 2"
    assert given.pop("v") == "2"
    payload = gzip.decompress(packet.payload) if given.get("enc") == "gzip" else packet.payload
    return Answered(packet.code, payload, given)


def read_line(line: bytes) -> Answered:
    """Read an answer from its line."""
    return read(decode(line))


def line(packet: Packet) -> bytes:
    """Return a request as a guest sends it."""
    return encode(packet, end=b"\n")
