"""A simulated VM with a pty as its serial port, and the guest that runs in it as a process of its own."""

import asyncio
import os
import stat
import sys
import termios
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmw_cloudinit_metadata.simulator import SimulatedVM
from vmw_cloudinit_metadata.simulator.port import PtyPort
from vmw_cloudinit_metadata.simulator.vm import MAX_UNREAD
from vmw_cloudinit_wire import LineBuffer, Packet, decode

Tree = dict[str, tuple[int, int, bytes]]


class WatchedVM(SimulatedVM):
    """A VM whose serial line is recorded, and stands still where a test wants it to."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.to_guest = bytearray()
        self.from_guest = bytearray()
        self._limit: int | None = None
        self._changed = asyncio.Event()
        self.spoil: Callable[[bytes], bytes] = lambda data: data  # what the line does to either direction

    async def read(self, limit: int = MAX_UNREAD) -> bytes:
        """Return what comes for the guest, as far as the line is not held."""
        await self._until(lambda: self._limit is None or len(self.to_guest) < self._limit)
        if self._limit is not None:
            limit = min(limit, self._limit - len(self.to_guest))
        data = await super().read(limit)
        self.to_guest += data
        self._changed.set()
        if not data:
            return data  # the end
        return self.spoil(data) or await self.read(limit)

    async def write(self, data: bytes) -> None:
        """Send what the guest has written."""
        await super().write(self.spoil(data))
        self.from_guest += data
        self._changed.set()

    def hold_after(self, size: int) -> None:
        """Let so many more bytes through to the guest, and no more until ``release``."""
        self._limit = len(self.to_guest) + size
        self._changed.set()

    def release(self) -> None:
        """Let everything through again."""
        self._limit = None
        self._changed.set()

    async def until_held(self) -> None:
        """Wait until the line stands still."""
        await self._until(lambda: self._limit is not None and len(self.to_guest) >= self._limit)

    async def until_sent(self, text: bytes) -> None:
        """Wait until the guest, or its tty, has sent the text to the host."""
        await self._until(lambda: text in self.from_guest)

    async def until_brought(self, text: bytes) -> None:
        """Wait until the text has come for the guest."""
        await self._until(lambda: text in self.to_guest)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


@dataclass(frozen=True)
class Fetched:
    """What became of ``vmw-cloudinit-guest fetch``: how it ended, what it said, what the seed holds now."""

    exit_code: int
    said: str
    complaint: str
    seed: dict[str, bytes]


class Machine:
    """A VM that is switched on: its serial port, its line to the server, and its disk."""

    def __init__(self, vm: WatchedVM, disk: Path) -> None:
        self.line = vm
        self.disk = disk
        self.seed = disk / "seed" / "nocloud"
        self.port = PtyPort()
        self._bridge: asyncio.Task[None] | None = None

    async def power_on(self) -> None:
        """Connect it; its tty is cooked and echoes, as ttys do at boot."""
        self.port.__enter__()
        try:
            await self.line.start()
        except BaseException:
            self.port.__exit__()
            raise
        self._bridge = asyncio.create_task(self.port.bridge(self.line))

    async def power_off(self) -> None:
        """Disconnect it; raise what has gone wrong with its line."""
        if self._bridge is None:
            return
        self._bridge.cancel()
        outcome = await asyncio.gather(self._bridge, return_exceptions=True)
        self._bridge = None
        await self.line.close()
        self.port.__exit__()
        if outcome and not isinstance(outcome[0], asyncio.CancelledError):
            raise AssertionError(f"the line of {self.line.name} is down") from outcome[0]

    async def fetch(self, timeout: float = 20) -> Fetched:
        """Run the guest, from a tty that is cooked and echoes to one that is so again."""
        before = self.tty_settings()
        if not before[3] & termios.ICANON or not before[3] & termios.ECHO:
            raise AssertionError("the tty is not cooked, or does not echo")
        fetched = await (await self.begin_fetch(timeout))
        if self.tty_settings() != before:
            raise AssertionError("the guest has not left the tty as it found it")
        return fetched

    async def begin_fetch(self, timeout: float = 20, seed: Path | None = None) -> "Awaitable[Fetched]":
        """Start the guest, and return what to await for its end."""
        return asyncio.ensure_future(self._finish(*await self.start_guest(timeout, seed)))

    async def start_guest(
        self, timeout: float = 20, seed: Path | None = None, *more: str
    ) -> "tuple[asyncio.subprocess.Process, Path]":
        """Start the guest as a process; return it and the seed it writes."""
        seed = seed or self.seed
        arguments = ("--port", self.port.path, "--seed-dir", str(seed), "--timeout", str(timeout), *more)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "vmw_cloudinit_guest", "fetch", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return process, seed

    async def _finish(self, process: asyncio.subprocess.Process, seed: Path) -> Fetched:
        try:
            said, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        files = {path.name: path.read_bytes() for path in seed.iterdir()} if seed.exists() else {}
        return Fetched(process.returncode or 0, said.decode(), without_warnings(complaint.decode()), files)

    def console(self, data: bytes) -> None:
        """Write to the tty beside the guest, as the kernel and other programs do."""
        tty = os.open(self.port.path, os.O_WRONLY | os.O_NOCTTY)
        try:
            os.write(tty, data)
        finally:
            os.close(tty)

    def tty_settings(self) -> list[Any]:
        """Return the settings of the tty, as termios has them."""
        tty = os.open(self.port.path, os.O_RDONLY | os.O_NOCTTY)
        try:
            return termios.tcgetattr(tty)
        finally:
            os.close(tty)


def tree(top: Path) -> Tree:
    """Return all there is from a directory on: path -> mode, time of the last change, content."""
    found: Tree = {}
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def without_warnings(complaint: str) -> str:
    """Return what the guest complains of; its warnings are about the machine that the tests run on."""
    lines = complaint.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("vmw-cloudinit-guest: warning: "))


def packets(line: bytearray) -> list[Packet]:
    """Return the packets of a recorded line that holds nothing else; an unfinished one is left out.

    Raises:
        PacketError: there is something else, or a packet was cut.
    """
    return [decode(each) for each in LineBuffer().feed(bytes(line))]
