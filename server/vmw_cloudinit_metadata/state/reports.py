"""The last reports of each VM, kept on disk: what ``vmw-cloudinit-metadata reports`` prints.

What a report says is vspc/report.py's, which checks it when it comes and when it is read again.
"""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vmw_cloudinit_metadata.errors import ReportError, StateError
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.records import DamagedError, Records
from vmw_cloudinit_metadata.vspc.report import Report

# Two stages of four boots: the last one, and what it may be compared with.
MAX_REPORTS = 8

# Twice the VMs of a large site; some 80 MB of usual reports, and 2 GB of the worst there may be. As many
# again of VMs whose names are claims, so that those that are made up push out no others.
MAX_VMS = 20_000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report, and what the server knew of the VM that sent it.

    Attributes:
        vm_name: what it was called then: a claim, as its UUIDs are.
        definition: what it was served, by the definition's name; the VM's where the driver names none.
        hostname: the one that the VM's instance has, not the one that it reports.
        received: the server's wall clock.
        claimed: definition and hostname may be what the VM claims (``InstanceData.claimed``).
    """

    vm_name: str
    definition: str
    vc_uuid: uuid.UUID | None
    bios_uuid: uuid.UUID | None
    hostname: str
    received: datetime
    report: Report
    claimed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes."""
        return {
            "vm": self.vm_name,
            "definition": self.definition,
            "vc-uuid": self.vc_uuid and str(self.vc_uuid),
            "bios-uuid": self.bios_uuid and str(self.bios_uuid),
            "hostname": self.hostname,
            "received": self.received.isoformat(timespec="seconds"),
            "claimed": self.claimed,
            "report": self.report.to_json(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "KeptReport":
        """Return the report that ``to_json`` has written.

        Raises:
            ReportError, KeyError, TypeError, ValueError: it has not.
        """
        return cls(
            str(raw["vm"]),
            str(raw["definition"]),
            uuid.UUID(raw["vc-uuid"]) if raw["vc-uuid"] else None,
            uuid.UUID(raw["bios-uuid"]) if raw["bios-uuid"] else None,
            str(raw["hostname"]),
            datetime.fromisoformat(raw["received"]),
            Report.from_json(raw["report"]),
            raw.get("claimed") is True,
        )


class Reports:
    """The reports of all VMs, by what they are served: a VM that is found by its UUID may have any name.

    The methods block.
    """

    def __init__(self, directory: StateDirectory) -> None:
        self._records = directory.records("reports", MAX_VMS)
        self._claimed = directory.records("claimed-reports", MAX_VMS)

    def keep(self, new: KeptReport) -> None:
        """Keep a report. One of the same boot and stage goes, and so does what is more than the limits.

        Raises:
            StateError: it cannot be kept.
        """
        records = self._claimed if new.claimed else self._records
        with records.locked():
            try:
                earlier = _of(records, new.definition)
            except DamagedError as error:
                _logger.warning("%s: its reports are lost, others take their place", error)
                earlier = []
            kept = [*(each for each in earlier if not _is_same(each.report, new.report)), new]
            records.make_room(new.definition)
            records.write(new.definition, {"reports": [each.to_json() for each in kept[-MAX_REPORTS:]]})

    def of(self, definition: str) -> list[KeptReport]:
        """Return the reports of the VM that is served this, in the order in which they came.

        Raises:
            StateError: they cannot be read.
        """
        return _of(self._records, definition) or _of(self._claimed, definition)

    def find(self, name: str) -> list[list[KeptReport]]:
        """Return the reports of a definition, or else of each VM that had this name at last.

        Raises:
            StateError: they cannot be read.
        """
        if reports := self.of(name):
            return [reports]
        return [each for each in self.all() if isinstance(each, list) and each and each[-1].vm_name == name]

    def all(self) -> Iterator[list[KeptReport] | StateError]:
        """Yield the reports of one VM after the other; for those that are damaged, why.

        Raises:
            StateError: none can be read.
        """
        for records in (self._records, self._claimed):
            for entry in records.read_all():
                if isinstance(entry, StateError):
                    yield entry
                    continue
                try:
                    reports = _reports(records, *entry)
                except DamagedError as error:
                    yield error
                else:
                    yield reports


def _of(records: Records, definition: str) -> list[KeptReport]:
    record = records.read(definition)
    return [] if record is None else _reports(records, definition, record)


def _reports(records: Records, definition: str, record: dict[str, Any]) -> list[KeptReport]:
    try:
        return [KeptReport.from_json(raw) for raw in record["reports"]]
    except (ReportError, KeyError, TypeError, ValueError, AttributeError):
        raise records.damaged(definition) from None


def _is_same(one: Report, other: Report) -> bool:
    return (one.boot_id, one.stage) == (other.boot_id, other.stage)
