"""What a boot pays for a fetch: CPU of the program as its package runs it, interpreter and imports included.

The server's half of the packets is played in this process: of its CPU nothing counts.
"""

import contextlib
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.table import Row
from tests.guest.conversation import Version2Server
from tests.guest.line import Pty

ROOT = Path(__file__).parents[2]
PRIVATE = "/usr/share/vmw-cloudinit-guest"
PYTHON = "/usr/bin/python3"  # which the packages use, too

RUNS = 20
TARGET = 0.06  # seconds of CPU

# A definition as most are: 4 KiB in all.
USERDATA = b"#cloud-config\n" + b"# a line of thirty-two characters\n" * 110
VENDORDATA = b"#cloud-config\n{}\n"


class Fetched(NamedTuple):
    """One fetch: seconds of CPU, and how many questions it took."""

    cpu: float
    questions: int


def measure() -> Iterator[Row]:
    """Fetch a usual definition, then once more, as at a reboot with nothing new."""
    if not os.access(PYTHON, os.X_OK):
        yield Row("guest", f"there is no {PYTHON}")
        return
    with tempfile.TemporaryDirectory(prefix="bench-guest-") as directory:
        wrapper = install(Path(directory))
        first, unchanged = [], []
        for run in range(RUNS):
            seed = Path(directory, f"seed-{run}", "nocloud")
            first.append(fetch(wrapper, seed))
            unchanged.append(fetch(wrapper, seed))
    alone = [cpu_of([PYTHON, "-I", "-c", "pass"]) for _ in range(RUNS)]
    yield _cpu("guest, first fetch of 4 KiB: CPU", [each.cpu for each in first], TARGET)
    yield _cpu("guest, fetch with nothing new: CPU", [each.cpu for each in unchanged], TARGET)
    yield _cpu("of which python with nothing to do", alone)
    yield _round_trips("guest, first fetch: round trips, beside a report", first, 4)
    yield _round_trips("guest, nothing new: round trips, beside a report", unchanged, 1)


def install(directory: Path) -> Path:
    """Install the program as its Debian package does, in other places; return its path."""
    private = directory / "share"
    for package in ("vmw_cloudinit_guest", "vmw_cloudinit_wire"):
        shutil.copytree(
            ROOT / "guest" / package, private / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    subprocess.run([PYTHON, "-I", "-m", "compileall", "-q", private], check=True)
    wrapper = directory / "vmw-cloudinit-guest"
    wrapper.write_text((ROOT / "packaging/guest" / wrapper.name).read_text().replace(PRIVATE, str(private)))
    wrapper.chmod(0o755)
    return wrapper


def fetch(wrapper: Path, seed: Path) -> Fetched:
    """Fetch over a tty into a seed directory."""
    server = Version2Server(USERDATA=USERDATA, VENDORDATA=VENDORDATA)
    with contextlib.closing(Pty()) as line:
        # The host's reads end when nobody has the other end open: neither the guest nor this process.
        host = threading.Thread(target=_serve, args=(line.host, server))
        host.start()
        cpu = cpu_of([str(wrapper), "fetch", "--port", line.path, "--seed-dir", str(seed)])
        os.close(line.guest)
        line.guest = -1
        host.join()
    return Fetched(cpu, len(server.codes))


def cpu_of(command: Sequence[str]) -> float:
    """Run a command; return the seconds of CPU that it and its children have used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _serve(host: int, server: Version2Server) -> None:
    """Answer until nobody has the other end open."""
    heard = b""
    with contextlib.suppress(OSError):
        while data := os.read(host, 4096):
            *requests, heard = re.split(b"\n", heard + data)
            for request in requests:
                answer = server.answer(request)
                while answer:
                    answer = answer[os.write(host, answer[:2048]) :]


def _cpu(what: str, seconds: list[float], target: float | None = None) -> Row:
    median = statistics.median(seconds)
    value = f"{median * 1e3:.0f} ms (best of {len(seconds)}: {min(seconds) * 1e3:.0f})"
    return (
        Row(what, value)
        if target is None
        else Row(what, value, f"<= {target * 1e3:.0f} ms", median <= target)
    )


def _round_trips(what: str, fetched: list[Fetched], target: int) -> Row:
    most = max(each.questions for each in fetched)
    return Row(what, f"{most}", f"<= {target}", most <= target)
