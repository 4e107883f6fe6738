"""Reports as the server keeps them, for tests."""

import base64
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from vmw_cloudinit_metadata.state.reports import KeptReport
from vmw_cloudinit_metadata.vspc.report import Report

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
VC_UUID = uuid.UUID("5012ab34-0000-4000-8000-0123456789ab")


def key(kind: str = "ssh-ed25519", rest: bytes = b"\0\0\0\x20" + b"k" * 32) -> str:
    """A public key of SSH, as it stands in a file: type and base64."""
    return f"{kind} {base64.b64encode(len(kind).to_bytes(4, 'big') + kind.encode() + rest).decode()}"


def kept(
    vm_name: str = "web-01",
    stage: str = "final",
    *,
    definition: str = "",
    defined: str = "web-01.example.org",
    minutes: int = 0,
    boot_id: str = "b0",
    **keys: Any,
) -> KeptReport:
    """A report of a VM whose definition has its name, if no other, and a host name in it.

    ``keys`` are those of the wire, with underscores.
    """
    document = {key.replace("_", "-"): value for key, value in keys.items()}
    report = Report.from_json({"stage": stage, "boot-id": boot_id, **document})
    received = NOON + timedelta(minutes=minutes)
    return KeptReport(vm_name, definition or vm_name, VC_UUID, None, defined, received, report)
