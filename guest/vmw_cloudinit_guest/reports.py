"""Reports: what the guest tells the server of a boot, and what becomes of those that nobody acknowledged.

A report is JSON with the kernel's boot id and one of two stages: ``seed``, the documents are written, and
``final``, cloud-init has ended. What was not acknowledged is kept beside the seed, a line each and at most
one of each stage, and goes out again after the next boot. How a report travels is ``report.py``'s business.
"""

import json
from typing import Any, Callable, Dict, Iterable, List

from vmw_cloudinit_guest import __version__, paths, seed
from vmw_cloudinit_guest.errors import ReportError

# The protocol's limit (wire, Reports), in bytes.
MAX_REPORT = 4096

STAGES = ("seed", "final")

# Ten errors say that a boot went wrong as well as a hundred do.
MAX_ERRORS = 10
# What a report that is too large does without, one after the other until it fits: what is in the VM's own
# logs first, what nobody else can tell last. What remains says which boot it was.
DISPENSABLE = ("stages", "datasource", "documents", "errors", "host-keys", "hostname", "status")

_BOOT_ID = "/proc/sys/kernel/random/boot_id"

Send = Callable[[bytes], bool]


def make(stage: str, values: Dict[str, Any], root: str = "/") -> bytes:
    """Return the report of a stage of this boot, of at most MAX_REPORT bytes.

    ``values`` are those of the wire's keys that the stage has beside boot-id and version; empty ones are left
    out.

    Raises:
        ReportError: the boot cannot be told from others.
    """
    try:
        with open(paths.under(root, _BOOT_ID), "rb") as file:
            boot_id = file.read().decode("ascii", "replace").strip()
    except OSError as error:
        raise ReportError(f"no report: {error.filename} cannot be read: {error.strerror}") from None
    report = {"stage": stage, "boot-id": boot_id, "version": __version__}
    report.update({key: value for key, value in values.items() if value not in ("", [], {}, None)})
    return _fitted(report)


def deliver(directory: str, report: bytes, send: Send) -> bool:
    """Send this boot's report; keep it beside the seed if it is not acknowledged. Return whether it was.

    Raises:
        SeedError: it cannot be kept.
    """
    return _deliver(directory, [report], pending(directory), send)


def deliver_all(directory: str, report: bytes, send: Send) -> bool:
    """Send what earlier boots have kept, then this boot's report; return whether all were acknowledged.

    One that the server refuses keeps none of the others back. A signal loses none.

    Raises:
        SeedError: what is left cannot be kept.
    """
    return _deliver(directory, [*pending(directory), report], [], send)


def pending(directory: str) -> List[bytes]:
    """Return the reports that wait, the oldest first; a file that makes no sense holds none.

    Raises:
        SeedError: it cannot be read.
    """
    return _latest_of_each_stage((seed.reports(directory) or b"").splitlines())


def stage_of(report: bytes) -> str:
    """Return the stage that a report is of; empty for what is no report."""
    try:
        stage = json.loads(report.decode())["stage"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return stage if stage in STAGES else ""


def _deliver(directory: str, queue: List[bytes], others: List[bytes], send: Send) -> bool:
    left = list(queue)
    try:
        for report in queue:
            if send(report):
                left.remove(report)
    finally:
        keep = _latest_of_each_stage([*others, *left])
        seed.keep_reports(directory, b"".join(report + b"\n" for report in keep) or None)
    return not left


def _latest_of_each_stage(reports: Iterable[bytes]) -> List[bytes]:
    latest: Dict[str, bytes] = {}
    for report in reports:
        stage = stage_of(report)
        if stage and len(report) <= MAX_REPORT:
            latest.pop(stage, None)  # so that the order stays that of the boots
            latest[stage] = report
    return list(latest.values())


def _fitted(report: Dict[str, Any]) -> bytes:
    errors = report.get("errors", [])
    if len(errors) > MAX_ERRORS:
        report["errors"] = [*errors[:MAX_ERRORS], f"and {len(errors) - MAX_ERRORS} more"]
    for key in DISPENSABLE:
        if len(_encoded(report)) <= MAX_REPORT:
            break
        report.pop(key, None)
    return _encoded(report)


def _encoded(report: Dict[str, Any]) -> bytes:
    return json.dumps(report, separators=(",", ":")).encode()
