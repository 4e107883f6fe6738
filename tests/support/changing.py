"""Drivers whose instance is another one each time they are asked, in both versions of the packets."""

from collections.abc import Sequence
from typing import Any

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer

Answer = InstanceData | Exception | object


def instance(instance_id: str, userdata: bytes, vendordata: str | None = "#cloud-config\n") -> InstanceData:
    """Return an instance all of whose documents carry its id."""
    data = InstanceData({"metadata": {"instance-id": instance_id, "hostname": f"web-{instance_id}"}})
    number = int(instance_id.rpartition("-")[2])
    data.network = {"address": f"192.0.2.{number}", "netmask": "255.255.255.0"}
    data.userdata = userdata
    data.vendordata = vendordata and vendordata + f"# of {instance_id}\n"
    return data


class Changing(Driver):
    """Give one answer after the other, the last one for ever; an exception is raised."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__({})
        self._answers = list(answers)

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        return opts

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer.copy() if isinstance(answer, InstanceData) else answer  # type: ignore[return-value]


class _OldClient(VMClient):
    """One that has its own way of sending, as drivers of 0.0.8 have: it is answered in version 1."""

    async def write_metadata(self) -> None:
        await super().write_metadata()


class ChangingInVersion1(Changing):
    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return _OldClient(vm_name, writer, self)
