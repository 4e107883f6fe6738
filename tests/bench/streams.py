"""Bytes a second through the parsers, in this process: what a peer may send, whatever it means."""

import time
from collections.abc import Callable, Iterator

from tests.bench.table import Row
from vmw_cloudinit_metadata.vspc.server import RECEIVE_BUFFER
from vmw_cloudinit_metadata.vspc.telnet import Decoder, escape
from vmw_cloudinit_wire import LineBuffer

SIZE = 16 * 1024 * 1024
RUNS = 5
MEGA = 1_000_000

PLAIN = b"x" * SIZE
ALL_IAC = b"\xff" * SIZE
LINES = (b"x" * 99 + b"\n") * (SIZE // 100)


def measure() -> Iterator[Row]:
    """Feed what one read brings, again and again."""
    yield _row("telnet, plain data", PLAIN, 500, _decode)
    yield _row("telnet, all IAC", ALL_IAC, 50, _decode)
    yield _row("telnet, towards the VM, plain data", PLAIN, 500, escape)
    yield _row("telnet, towards the VM, all IAC", ALL_IAC, 50, escape)
    yield _row("lines, without an end", PLAIN, 500, _cut)
    yield _row("lines of 100 bytes", LINES, None, _cut)


def _decode(data: bytes) -> None:
    decoder = Decoder()
    decoder.binary = True
    for start in range(0, len(data), RECEIVE_BUFFER):
        for _ in decoder.feed(data[start : start + RECEIVE_BUFFER]):
            pass


def _cut(data: bytes) -> None:
    lines = LineBuffer()
    for start in range(0, len(data), RECEIVE_BUFFER):
        lines.feed(data[start : start + RECEIVE_BUFFER])


def _row(what: str, data: bytes, target: float | None, work: Callable[[bytes], object]) -> Row:
    rate = len(data) / MEGA / min(_seconds(work, data) for _ in range(RUNS))
    value = f"{rate:,.0f} MB/s"
    return Row(what, value) if target is None else Row(what, value, f">= {target:.0f} MB/s", rate >= target)


def _seconds(work: Callable[[bytes], object], data: bytes) -> float:
    began = time.process_time()
    work(data)
    return time.process_time() - began
