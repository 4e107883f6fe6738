"""The contract of a driver: given a VM, return its instance.

A driver implements two methods and inherits the rest; nothing of the network shows in them. drivers/file.py
is one; drivers/loader.py finds them by name.
"""

import abc
import logging
from typing import Any, ClassVar

from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot, checked, snapshot_for
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer


class Driver(abc.ABC):
    """Where instances come from; subclass it with ``parse_options`` and ``get_instance``.

    Attributes:
        options: whatever ``parse_options`` has returned.
        logger: named after the subclass.
        thread_safe: True allows several calls of ``get_instance`` at once, from several threads.

    A driver that knows its instances well may spare the server work, by ``get_snapshot`` and
    ``snapshot_at_hand``. Whoever overrides ``get_instance`` alone is asked anew for each boot.
    """

    thread_safe: ClassVar[bool] = False

    def __init__(self, opts: dict[str, Any]) -> None:
        self.logger = logging.getLogger(f"{type(self).__module__}.{type(self).__name__}")
        self.options = self.parse_options(opts)

    @abc.abstractmethod
    def parse_options(self, opts: dict[str, Any]) -> Any:
        """Check the options an operator gave, and return them in the form the driver likes.

        Raises:
            ValueError: an option is missing, unknown or wrong; its text is shown to the operator.
        """

    @abc.abstractmethod
    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        """Return the instance of a VM, or None where there is none.

        ``vm_client`` has ``vm_name``, ``vm_bios_uuid`` and ``vm_vc_uuid``, all of them claims. The call may
        block: it runs in a worker thread, once for the documents of one boot. What it returns is the
        caller's: the driver does not change it afterwards.

        Raises:
            DefinitionError: there is an instance, but with faults; the text is logged.
            DriverBusyError: not now; the guest asks again in its ``retry`` seconds, after any other exception
                in a few.
        """

    def get_snapshot(self, vm_client: VMClient) -> Snapshot | Refusal | None:
        """Return the documents of what ``get_instance`` returns, why the VM is refused, or None.

        The server calls this, in a worker thread. Override it to render once what many VMs get: a snapshot
        may answer all for whom ``snapshot_for`` would make the same. What it raises is what ``get_instance``
        may raise.
        """
        instance = self.get_instance(vm_client)
        return None if instance is None else snapshot_for(vm_client, checked(instance))

    def snapshot_at_hand(self, vm_client: VMClient) -> Snapshot | None:
        """Return what ``get_snapshot`` would, if that is known without looking anywhere; None: it is asked.

        Called in the event loop, whenever a boot begins, and while other threads are in ``get_snapshot``: it
        must not wait, neither for a disk nor for a lock that is held for long.
        """
        return None

    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        """Return the client that answers a VM's packets; override it to return a subclass of your own."""
        return VMClient(vm_name, writer, self)

    def take_report(self, vm_client: VMClient, report: Report) -> None:  # noqa: B027  # a default
        """Take what a guest reports of its boot: that its seed is written, or how cloud-init has ended.

        It is the guest's word, checked in form only. The call may block: it runs in a thread of its own, one
        call at a time, and possibly while ``get_instance`` runs, so that no VM waits for it. What it raises
        is logged, and the report does not come again.
        """

    def reload(self) -> None:  # noqa: B027
        """Forget what is cached; called on SIGHUP, possibly while ``get_instance`` runs."""

    def close(self) -> None:  # noqa: B027
        """Release what the driver holds; called once, after the last ``get_instance``."""
