"""The programs that are measured and those that measure: built, started, and asked what they have used."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.python36 import CACHE, environment, find_python36

HERE = Path(__file__).parent
URI = "my-metadata"
DRIVER = "vmw_cloudinit_metadata.drivers.file:FileDriver"

# As tests/end_to_end/test_old_server.py has them.
OLD_PACKAGES = [
    *("pycparser==2.21", "idna==3.4", "cffi==1.15.1", "six==1.16.0", "asn1crypto==1.5.1"),
    "vmw-cloudinit-metadata==0.0.8",
]
OLD_PORT = 13370

START_SECONDS = 30.0


class Usage(NamedTuple):
    """What a process has used so far: seconds of CPU, and bytes of memory that are its own now."""

    cpu: float
    resident: int


class Running:
    """A server that runs, and the port it listens on."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port = port
        self._process = process

    def usage(self) -> Usage:
        """Return what it has used."""
        proc = Path("/proc", str(self._process.pid))
        ticks = proc.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
        resident = re.search(r"^VmRSS:\s+(\d+) kB", proc.joinpath("status").read_text(), re.MULTILINE)
        return Usage(
            sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), int(resident[1]) * 1024 if resident else 0
        )

    def reset_peak(self) -> None:
        """Begin to measure the largest memory anew."""
        Path("/proc", str(self._process.pid), "clear_refs").write_text("5")

    def peak(self) -> int:
        """Return the largest memory that was its own, in bytes."""
        status = Path("/proc", str(self._process.pid), "status").read_text()
        highest = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(highest[1]) * 1024 if highest else 0


def build() -> Path:
    """Compile the load generator and the least server; return the directory they are in."""
    into = CACHE / "bench"
    into.mkdir(parents=True, exist_ok=True)
    for name in ("load", "least"):
        compile_ = [
            "cc",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(into / name),
            str(HERE / f"{name}.c"),
        ]
        subprocess.run(compile_, check=True)
    return into


@contextlib.contextmanager
def ours(directory: Path, *arguments: str, state: Path | None = None) -> Iterator[Running]:
    """Start our server with the options it has by itself; its log goes to a file beside the definitions."""
    log = directory.with_suffix(".log")
    command = [
        *(sys.executable, "-m", "vmw_cloudinit_metadata", "run", "--uri", URI),
        *(() if "--tls-listen" in arguments else ("--listen", "127.0.0.1:0")),
        *("--driver", DRIVER, "--driver-opts", json.dumps({"directory": str(directory)})),
        *(("--state-directory", str(state)) if state else ()),
        *arguments,
    ]
    with log.open("wb") as stream, _running(command, stderr=stream) as process:
        yield Running(process, int(_logged(process, log, r"listening .*:(\d+)")))


@contextlib.contextmanager
def least(programs: Path, answers: Path) -> Iterator[Running]:
    """Start the server that does the least, with the answers of one of ours."""
    with _running([str(programs / "least"), "0", str(answers)], stdout=subprocess.PIPE) as process:
        yield Running(process, _port(process))


@contextlib.contextmanager
def fixed(answers: Path) -> Iterator[Running]:
    """Start the one that does as little in Python."""
    command = [sys.executable, "-m", "tests.bench.fixed", "0", str(answers)]
    with _running(command, stdout=subprocess.PIPE) as process:
        yield Running(process, _port(process))


@contextlib.contextmanager
def old(directory: Path) -> Iterator[Running]:
    """Start 0.0.8 on the Python it was made for, and on its port; ``LookupError`` says why it cannot be."""
    python36 = find_python36()
    if python36 is None:
        raise LookupError("there is no Python 3.6")
    try:
        python = environment(python36, OLD_PACKAGES)
    except subprocess.CalledProcessError:
        raise LookupError("it cannot be installed") from None
    main = "from vmw_cloudinit_metadata.cli.main import main; main()"
    options = json.dumps({"directory": str(directory)})
    log = directory.with_suffix(".old.log")
    command = [str(python), "-c", main, "run", "--uri", URI, "--driver", DRIVER, "--driver-opts", options]
    with log.open("wb") as stream, _running(command, stderr=stream) as process:
        with contextlib.suppress(AssertionError):
            _logged(process, log, "(Serving) on")
        if process.poll() is not None:
            raise LookupError(f"its port, {OLD_PORT}, is taken, or it cannot start: {log}")
        yield Running(process, OLD_PORT)


class Load:
    """The load generator: VMs by the thousand, against one server."""

    def __init__(self, programs: Path, port: int) -> None:
        self._command = [str(programs / "load"), str(port)]

    def boots(self, seconds: float, vms: int, at_once: int = 64, any_answer: bool = False) -> dict[str, Any]:
        """Let VMs boot, one after the other, so many at once; return what it has measured."""
        arguments = ["boots", str(at_once), str(seconds), str(vms), *(["any"] if any_answer else [])]
        done = subprocess.run([*self._command, *arguments], check=True, stdout=subprocess.PIPE)
        return dict(json.loads(done.stdout))

    @contextlib.contextmanager
    def fleet(self, vms: int) -> Iterator["Fleet"]:
        """Let VMs connect and stay."""
        command = [*self._command, "fleet", str(vms)]
        with _running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            yield Fleet(process)


class Fleet:
    """VMs that are connected; ``held`` is how long that has taken."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.held: float = self._answer()["seconds"]

    def ask(self) -> dict[str, Any]:
        """Let all ask at once."""
        return self._tell("ask")

    def move(self, rate: float, seconds: float) -> dict[str, Any]:
        """Let so many a second move to another host."""
        return self._tell(f"vmotion {rate} {seconds}")

    def _tell(self, command: str) -> dict[str, Any]:
        if self._process.stdin is None:
            raise LookupError("it has no standard input")
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise LookupError("it has no standard output")
        return dict(json.loads(self._process.stdout.readline() or "{}"))


@contextlib.contextmanager
def _running(command: Sequence[str], **streams: Any) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, **streams) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()


def _port(process: "subprocess.Popen[bytes]") -> int:
    if process.stdout is None:
        raise LookupError("it has no standard output")
    return int(process.stdout.readline())


def _logged(process: "subprocess.Popen[bytes]", log: Path, pattern: str) -> str:
    """Wait until something stands in a log, and return it."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"it has not started: {log.read_text()}")


def nothing_is_missing() -> str:
    """Return what has to be installed first; "" if nothing."""
    return "" if shutil.which("cc") else "a C compiler, for the load generator (Debian: gcc, libc6-dev)"
