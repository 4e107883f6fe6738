"""A directory of many definitions: what it costs to serve from it, and how soon a change is seen."""

import asyncio
import base64
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import programs
from tests.bench.definitions import usual, write_usual
from tests.bench.programs import Running
from tests.bench.table import Row
from vmw_cloudinit_metadata.simulator import SimulatedVM

FEW, MANY = 100, 10_000
MOST_SECONDS = 5.0  # until a change is seen

# How long we look at a server that has nothing to do but to look for changes.
IDLE_SECONDS = 10.0

# Between two questions of a VM that waits for a change, and how long an answer is waited for.
AGAIN_SECONDS, ANSWER_SECONDS = 0.1, 1.0


def measure(_built: Path, scratch: Path) -> Iterator[Row]:
    """Compare a directory of many files with one of few, and change files in the larger."""
    costs = {}
    for number in (FEW, MANY):
        definitions = scratch / f"files-{number}"
        write_usual(definitions, number)
        with programs.ours(definitions) as server:
            costs[number] = asyncio.run(_cost(server))
            if number == MANY:
                yield from asyncio.run(_changes(server.port, definitions))
    for number, (first, idle) in costs.items():
        value = f"{first * 1000:.0f} ms of CPU, then {idle * 1000:.1f} ms a second"
        yield Row(f"{number:,} definitions: a VM asks that none of them is for", value)


async def _cost(server: Running) -> tuple[float, float]:
    """Let VMs ask that have a definition and that have none; return the seconds of CPU, then and later."""
    before = server.usage().cpu
    async with asyncio.TaskGroup() as group:
        for name in ("vm-00001", "nobody"):
            group.create_task(_ask_once(server.port, name))
    await asyncio.sleep(IDLE_SECONDS / 2)
    first = server.usage().cpu
    await asyncio.sleep(IDLE_SECONDS)
    return first - before, (server.usage().cpu - first) / IDLE_SECONDS


async def _changes(port: int, definitions: Path) -> list[Row]:
    existing = definitions / "vm-00007.yaml"
    changes = {
        "changed": ("vm-00007", existing, usual(7).replace("region: eu", "region: us")),
        "new": ("fresh", definitions / "fresh.yaml", usual(8)),
        "new, with vms": ("one-of-them", definitions / "them.yaml", f"vms: [one-of-them]\n{usual(9)}"),
    }
    rows = []
    for what, (name, path, definition) in changes.items():
        seconds = await _seen(port, name, path, definition)
        value = f"seen after {seconds:.1f} s"
        good = seconds <= MOST_SECONDS
        rows.append(Row(f"a definition is {what}", value, f"<= {MOST_SECONDS:.0f} s", good))
    return rows


async def _seen(port: int, name: str, path: Path, definition: str) -> float:
    """Change a definition; return the seconds until its VM gets another answer; it asks all the time."""
    before = await _ask_once(port, name)
    path.write_text(definition)
    began = time.monotonic()
    while await _ask_once(port, name) == before:
        await asyncio.sleep(AGAIN_SECONDS)
    return time.monotonic() - began


async def _ask_once(port: int, name: str) -> bytes:
    """Let a VM connect, ask for its metadata, and leave; return them, b"" where nobody answers."""
    vm = SimulatedVM(name, programs.URI, port=port)
    await vm.start()
    line = bytearray()
    try:
        await vm.write(b"!!REQUEST_METADATA#\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            while not line.endswith(b"\n"):
                line += await vm.read()
    except TimeoutError:
        return b""
    finally:
        await vm.close()
    return base64.b64decode(line.partition(b"#")[2])
