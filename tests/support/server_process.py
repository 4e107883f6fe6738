"""``vmw-cloudinit-metadata run`` as a process of its own, as an operator starts it."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]

URI = "my-metadata"


class ServerProcess:
    """A server on a port that the system chooses; its log is kept, and can be waited for."""

    def __init__(self, driver: str, options: Mapping[str, Any], *arguments: str) -> None:
        self.port = 0
        self.log: list[str] = []
        self._driver, self._options, self._arguments = driver, options, arguments
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._logged = asyncio.Event()

    async def start(self) -> None:
        """Start it; after the first time, on the same port again."""
        self.log.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "vmw_cloudinit_metadata", "-v", "run", "--uri", URI),
            *("--driver", self._driver, "--driver-opts", json.dumps(self._options)),
            *("--listen", f"127.0.0.1:{self.port}"),
            *self._arguments,
            # Drivers of the tests are found as drivers of the field are.
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stderr=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read_log(self._process.stderr))
        line = await self.logged("listening on ")
        self.port = int(re.findall(r":(\d+)", line)[-1])

    async def stop(self) -> int:
        """End it as systemd does; return its exit code."""
        if self._process is None:
            return 0
        return await self._end(self._process, self._process.terminate)

    async def crash(self) -> None:
        """End it without giving it a chance to say good-bye."""
        if self._process is not None:
            await self._end(self._process, self._process.kill)

    async def reload(self) -> None:
        """Let it forget what it has cached."""
        if self._process is None:
            raise AssertionError("the server does not run")
        before = self._reloads()
        self._process.send_signal(signal.SIGHUP)
        while self._reloads() == before:
            self._logged.clear()
            await self._logged.wait()

    async def logged(self, pattern: str) -> str:
        """Wait until a line of the log matches the pattern, and return it; it may have come already."""
        while True:
            for line in self.log:
                if re.search(pattern, line):
                    return line
            if self._reader is None or self._reader.done():
                raise AssertionError("the server has ended:\n" + "\n".join(self.log))
            self._logged.clear()
            await self._logged.wait()

    def _reloads(self) -> int:
        return sum(line.endswith(" reloaded") for line in self.log)

    async def _read_log(self, stream: asyncio.StreamReader | None) -> None:
        if stream is None:
            return
        async for line in stream:
            self.log.append(line.decode().rstrip("\n"))
            self._logged.set()
        self._logged.set()

    async def _end(self, process: asyncio.subprocess.Process, tell: Callable[[], None]) -> int:
        self._process = None
        if process.returncode is None:
            tell()
        code = await process.wait()
        if self._reader is not None:
            await self._reader
        return code
