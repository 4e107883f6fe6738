"""Ask a driver for a VM's instance as the server does, without a server: what ``show`` shows.

The way is that of vspc/run.py, down to the rendering. But what the server would refuse is shown, and why it
would refuse it said: whoever can run a driver here may see what it returns.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError, MetadataError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import describe, printable
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.windows import Windows, name_of
from vmw_cloudinit_metadata.vspc import access
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot, checked

# How long a driver may be busy: longer than a directory is away that is just being changed.
BUSY_SECONDS = 10.0

# In the place of a UUID that nobody has told, where a person only wants to look.
NO_UUID = uuid.UUID(int=0)


class AskingError(MetadataError):
    """A driver that has no instance, or does not say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a driver says of a VM.

    Attributes:
        vm: with the UUIDs that were taken for its own.
        notes: what the VM would be refused, and what was assumed; sentences for the operator.
    """

    vm: VMFacts
    snapshot: Snapshot
    notes: list[str]


def ask(
    driver: Driver,
    vm: VMFacts,
    pretend: bool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Asked:
    """Return what a VM would be served. With ``pretend`` a UUID that is needed, and not known, is zeros.

    UUIDs that are not given are those of the definition's ``match``: the VM that it is for has them.

    Raises:
        AskingError: the driver has no instance for it, or is busy, or raised what a driver must not raise.
        DefinitionError: the instance has faults.
    """
    client = driver.new_client(vm.name, _NoWriter())
    client.vm_vc_uuid, client.vm_bios_uuid = vm.vc_uuid, vm.bios_uuid
    try:
        instance = _instance(lambda: driver.get_instance(client), clock, sleep)
    except MetadataError:
        raise
    except Exception as error:
        raise AskingError(f"the driver raised {describe(error)}") from None
    if instance is None:
        raise AskingError(f"the driver has no instance for the VM {printable(vm.name)}")
    instance = checked(instance)
    notes = list(_assumptions(instance, vm))
    vm = _with_pins(instance, vm)
    client.vm_vc_uuid, client.vm_bios_uuid = vm.vc_uuid, vm.bios_uuid
    client.vm_token = instance.token or ""
    if refused := access.refusal(instance, client):
        notes.append(f"the VM would be {refused.log}")
    if instance.token is not None:
        notes.append("served only to a VM whose service URI carries the definition's token: URI?token=TOKEN")
    if not client.answers_in_version_2:
        notes.append("this driver's VMs are answered by a client of its own, which may send something else")
    if pretend and _needs_uuid(instance) and not (vm.vc_uuid or vm.bios_uuid):
        notes.append("instance-id is made from the VM's UUID; zeros stand for it until --vc-uuid gives it")
        vm = vm._replace(vc_uuid=NO_UUID)
    return Asked(vm, Snapshot(_for_vm(instance, vm)), notes)


def window_note(instance: InstanceData, vm_name: str, state: StateDirectory) -> str | None:
    """Return why user-data and vendor-data would not be served now; None if they would."""
    if instance.serve is None:
        return None
    try:
        state.check()
        sentence = Windows(state).would_admit(instance, vm_name)
    except MetadataError as error:
        return f"how far its serving window is used up is not known: {error}"
    rearm = f"'vmw-cloudinit-metadata rearm {printable(name_of(instance))}'"
    return f"{sentence} by {rearm}" if sentence else None


@contextlib.contextmanager
def told_by_driver() -> Iterator[None]:
    """Print what a driver logs, as far as it matters to an operator, in the place of a log."""
    handler = _Telling(logging.WARNING)
    logger = logging.getLogger()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _instance(
    get: Callable[[], InstanceData | None], clock: Callable[[], float], sleep: Callable[[float], None]
) -> InstanceData | None:
    deadline = clock() + BUSY_SECONDS
    while True:
        try:
            return get()
        except DriverBusyError as busy:
            if clock() >= deadline:
                raise AskingError(str(busy)) from None
            sleep(min(busy.retry, 1.0))


def _assumptions(instance: InstanceData, vm: VMFacts) -> Iterator[str]:
    if instance.match is None:
        return
    pins = (
        ("vc-uuid", instance.match.vc_uuid, vm.vc_uuid),
        ("bios-uuid", instance.match.bios_uuid, vm.bios_uuid),
    )
    for name, pin, given in pins:
        if pin is not None and given is None:
            yield f"served only to the VM with the {name} {pin}"


def _with_pins(instance: InstanceData, vm: VMFacts) -> VMFacts:
    if instance.match is None:
        return vm
    return vm._replace(
        vc_uuid=vm.vc_uuid or instance.match.vc_uuid, bios_uuid=vm.bios_uuid or instance.match.bios_uuid
    )


def _for_vm(instance: InstanceData, vm: VMFacts) -> InstanceData:
    try:
        return instance.for_vm(vm.vc_uuid, vm.bios_uuid)
    except DefinitionError as error:
        raise AskingError(f"{error}: give --vc-uuid UUID") from None


def _needs_uuid(instance: InstanceData) -> bool:
    return instance.metadata is not None and instance.metadata.instance_id is None


class _NoWriter:
    """Where a client would write answers; nobody asks it anything."""

    def write(self, data: bytes) -> None:
        """Drop it."""

    async def drain(self) -> None:
        """Take more."""


class _Telling(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"vmw-cloudinit-metadata: {record.getMessage()}", err=True)
