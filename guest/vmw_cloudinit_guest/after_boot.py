"""What the second unit does once cloud-init has ended: scrub what has been used, and report to the server.

Nothing waits for it, and nothing in it can fail a boot.
"""

import contextlib
import glob
import os
import re
import time
from typing import Any, Callable, Dict, List

from vmw_cloudinit_guest import binding, handover, paths, report, reports, scrub, seed
from vmw_cloudinit_guest.binding import Scrub
from vmw_cloudinit_guest.client import Ports
from vmw_cloudinit_guest.cloudinit_result import Result
from vmw_cloudinit_guest.errors import ReportError
from vmw_cloudinit_guest.serialport import SerialPorts

Say = Callable[[str], None]

# For all reports together: long enough for a server that restarts.
REPORT_SECONDS = 30.0

_HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"
# Type and key, without the comment behind them; never the beginning of a private key.
_PUBLIC_KEY = re.compile("[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{16,}={0,2}(?= |$)")


def scrub_if_it_may_be(directory: str, result: Result, warn: Say, root: str = "/") -> List[str]:
    """Scrub, if it is not done and the boot went well; return the line that says so, or none.

    Args:
        directory: the seed.
        result: what cloud-init has made of this boot.
        warn: takes the sentence that says why it is not done.
        root: where cloud-init's files are.

    Raises:
        SeedError: something cannot be written or deleted; it is tried again after the next boot.
    """
    state = binding.from_bytes(seed.state(directory))
    if state is not None and state.scrub is Scrub.DONE:
        return []
    obstacle = scrub.obstacle(directory, state, result, root)
    if state is None or obstacle:
        warn(f"user-data is not scrubbed: {obstacle}")
        return []
    scrub.scrub(directory, state, root)
    return [f"user-data of {result.instance_id} scrubbed: blank in the seed, cloud-init's copies deleted"]


def send_report(directory: str, result: Result, trace: Say, root: str = "/") -> str:
    """Tell the server what became of this boot, and what waits of earlier ones; return the line that says so.

    Args:
        directory: the seed; what is not acknowledged is kept beside it.
        result: what cloud-init has made of this boot.
        trace: takes one line for each packet.
        root: where /etc, /proc and /run are.

    Raises:
        ReportError: there is nobody to tell, or nobody has acknowledged it.
        GuestError: the port cannot be used, or what is left cannot be kept.
    """
    settled = handover.read(root)
    if settled is None or settled.version < 2:
        raise ReportError("no report: in this boot no server has answered that takes any")
    payload = reports.make("final", _values(directory, result, root), root)
    deadline = time.monotonic() + REPORT_SECONDS
    with contextlib.closing(SerialPorts([settled.port])) as ports:

        def send(content: bytes) -> bool:
            name = _open(ports, deadline)
            seconds = deadline - time.monotonic()
            return bool(name) and report.send(ports, name, content, seconds, time.monotonic, trace)

        if reports.deliver_all(directory, payload, send):
            return f"the server has the report of this boot, sent over {settled.port}"
    raise ReportError(
        f"nobody on {settled.port} has acknowledged the report within {REPORT_SECONDS:g} s: it goes out "
        "again after the next boot"
    )


def host_keys(root: str = "/") -> List[str]:
    """Return the SSH host keys of this VM, the public halves, type and key each."""
    keys = []
    for path in sorted(glob.glob(paths.under(root, _HOST_KEYS))):
        try:
            with open(path, "rb") as file:
                found = _PUBLIC_KEY.match(file.readline().decode("ascii", "replace").strip())
        except OSError:
            continue
        if found:
            keys.append(found.group())
    return keys


def _values(directory: str, result: Result, root: str) -> Dict[str, Any]:
    state = binding.from_bytes(seed.state(directory))
    return {
        "instance-id": result.instance_id,
        "documents": {file: written.etag for file, written in state.documents.items()} if state else {},
        "hostname": os.uname().nodename,
        "datasource": result.datasource,
        "status": result.status,
        "errors": result.errors,
        "stages": result.stages,
        "host-keys": host_keys(root),
    }


def _open(ports: Ports, deadline: float) -> str:
    """Return the name of the port once it is open; empty if another program has it until the deadline."""
    while time.monotonic() < deadline:
        for name in ports.open():
            return name
        ports.read(deadline - time.monotonic())
    return ""
