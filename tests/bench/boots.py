"""VM boots a second, of several servers side by side: in turns, so that what else is going on hits all."""

import asyncio
import contextlib
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench import programs
from tests.bench.definitions import write_usual
from tests.bench.programs import Load, Running
from tests.bench.table import Row
from vmw_cloudinit_metadata.simulator import SimulatedVM

VMS = 1000
ROUNDS = 5
SECONDS = 2.0
# 0.0.8 reads and checks a definition for each document: some 100 boots a second.
OLD_SECONDS = 4.0

OF_LEAST, OF_OLD = 0.4, 50.0

REQUESTS = (b"!!REQUEST_METADATA#\n", b"!!REQUEST_NETWORKDATA#\n", b"!!REQUEST_USERDATA#\n")


class Boots(NamedTuple):
    """What one server has done in one round."""

    rate: float  # boots a second
    cpu: float  # seconds of CPU that the server has used for one
    load_cpu: float  # and the load generator
    p99: float  # seconds


def measure(built: Path, scratch: Path) -> Iterator[Row]:
    """Measure our server, the least there can be, the same in Python, and 0.0.8."""
    definitions = scratch / "usual"
    write_usual(definitions, VMS)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(programs.ours(definitions))
        yield _first_questions(built, ours)
        answers = scratch / "answers"
        answers.write_bytes(record_answers(ours.port))
        servers = {
            "this server": ours,
            "the least, in C": stack.enter_context(programs.least(built, answers)),
            "the least, in Python on uvloop": stack.enter_context(programs.fixed(answers)),
        }
        missing = ""
        try:
            servers["0.0.8"] = stack.enter_context(programs.old(definitions))
        except LookupError as reason:
            missing = str(reason)
        measured = {name: _in_turns(built, name, server) for name, server in servers.items()}
        rounds: dict[str, list[Boots]] = {name: [] for name in measured}
        for _ in range(ROUNDS):
            for name, turn in measured.items():
                rounds[name].append(next(turn))
    yield from _rows({name: _median(each) for name, each in rounds.items()}, missing)


def record_answers(port: int) -> bytes:
    """Return the lines by which our server answers a guest of version 1."""
    return asyncio.run(_answers(port))


def _first_questions(built: Path, server: Running) -> Row:
    """All VMs ask for the first time: each definition is read, checked and rendered."""
    with Load(built, server.port).fleet(VMS) as fleet:
        before = server.usage().cpu
        fleet.ask()
        cost = (server.usage().cpu - before) / VMS
    return Row("first boot of a VM, its definition not read yet", f"{cost * 1000:.2f} ms of CPU")


def _in_turns(built: Path, name: str, server: Running) -> Iterator[Boots]:
    load, fixed = Load(built, server.port), name.startswith("the least")
    seconds = OLD_SECONDS if name == "0.0.8" else SECONDS
    load.boots(1.0, VMS, any_answer=fixed)  # to warm up
    while True:
        before = server.usage().cpu
        done = load.boots(seconds, VMS, any_answer=fixed)
        cpu = (server.usage().cpu - before) / done["boots"]
        rate, load_cpu = done["boots"] / done["seconds"], done["cpu"] / done["boots"]
        yield Boots(rate, cpu, load_cpu, done["boot"]["p99"])


def _median(rounds: list[Boots]) -> Boots:
    return Boots(*(statistics.median(column) for column in zip(*rounds, strict=True)))


def _rows(measured: dict[str, Boots], missing: str) -> Iterator[Row]:
    least, mine = measured["the least, in C"], measured["this server"]
    for name, boots in measured.items():
        value = (
            f"{boots.rate:,.0f} boots/s, {boots.cpu * 1e6:.0f} µs of CPU each, p99 {boots.p99 * 1000:.0f} ms"
        )
        yield Row(f"VMs boot: {name}", value)
    yield Row(
        "this server, of the least in C",
        f"{mine.rate / least.rate:.2f} (of its CPU: {least.cpu / mine.cpu:.2f})",
        f">= {OF_LEAST}",
        mine.rate >= OF_LEAST * least.rate,
    )
    if old := measured.get("0.0.8"):
        times = mine.rate / old.rate
        yield Row("this server, of 0.0.8", f"{times:.0f} times", f">= {OF_OLD:.0f}", times >= OF_OLD)
    else:
        yield Row("0.0.8", f"not measured: {missing}")
    yield Row("the load generator itself", f"{least.load_cpu * 1e6:.0f} µs of CPU a boot")


async def _answers(port: int) -> bytes:
    vm = SimulatedVM("vm-00000", programs.URI, port=port)
    await vm.start()
    lines = bytearray()
    for request in REQUESTS:
        await vm.write(request)
        many = lines.count(b"\n")
        while lines.count(b"\n") == many:
            lines += await vm.read()
    await vm.close()
    return bytes(lines)
