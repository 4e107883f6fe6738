"""A directory of definitions and the driver that serves it, for the tests of FileDriver."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData

GOOD = "metadata: {{instance-id: i-0042, hostname: {}}}\n"

LATER_NS = 3_000_000_000


def refused(*_: object, **__: object) -> int:
    """Fail as ``os.open`` does without permission."""
    raise PermissionError(13, "Permission denied")


def vm(name: str, vc_uuid: uuid.UUID | None = None, bios_uuid: uuid.UUID | None = None) -> Any:
    """Return what a driver is asked for: a VM's client, as far as it looks at it."""
    return SimpleNamespace(vm_name=name, vm_vc_uuid=vc_uuid, vm_bios_uuid=bios_uuid)


class Store:
    """A directory of definitions, a driver on it, and the names of the hosts it serves."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.faults: list[str] = []
        self.driver = FileDriver({"directory": str(directory), **options})
        self.driver.clock_ns = lambda: max(path.stat().st_mtime_ns for path in self._all()) + self.age
        self.age = LATER_NS

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def ask(
        self, name: str, vc_uuid: uuid.UUID | None = None, bios_uuid: uuid.UUID | None = None
    ) -> InstanceData | None:
        """Return the instance of a VM; None where there is none, or one with faults, which are noted."""
        try:
            return self.driver.get_instance(vm(name, vc_uuid, bios_uuid))
        except DefinitionError as error:
            self.faults.append(str(error))
            return None

    def hostname(self, name: str) -> str | None:
        instance = self.ask(name)
        return instance.metadata.hostname if instance and instance.metadata else None

    def _all(self) -> Iterator[Path]:
        yield self.directory
        yield from self.directory.rglob("*")
