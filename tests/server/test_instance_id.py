"""An instance-id that is left out is made of what the VM says of itself."""

import uuid

import pytest

from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData

IDENTITY = {"instance-id": "i-0042", "hostname": "web-01"}
VC_UUID = uuid.UUID("5012AB34-CD56-4E78-9012-3456789ABCDE")
BIOS_UUID = uuid.UUID("4212AB34-CD56-4E78-9012-3456789ABCDE")


@pytest.mark.parametrize(
    ("vc_uuid", "bios_uuid", "instance_id"),
    [
        (VC_UUID, BIOS_UUID, "5012ab34-cd56-4e78-9012-3456789abcde"),
        (VC_UUID, None, "5012ab34-cd56-4e78-9012-3456789abcde"),
        (None, BIOS_UUID, "4212ab34-cd56-4e78-9012-3456789abcde"),
    ],
)
def test_an_instance_id_that_is_left_out_is_made_of_the_vm_s_uuid(
    vc_uuid: uuid.UUID | None, bios_uuid: uuid.UUID | None, instance_id: str
) -> None:
    instance = InstanceData({"metadata": {"hostname": "web-01", "rack": "a1"}, "network": {"dhcp4": True}})
    instance.source = "web-01"
    instance.validate()
    given = instance.for_vm(vc_uuid, bios_uuid)
    assert given.metadata is not None
    assert (given.metadata.instance_id, given.metadata.written_id) == (instance_id, "")
    assert (given.metadata.hostname, given.metadata.extra) == ("web-01", {"rack": "a1"})
    assert given.source == "web-01"
    # Who has another one made of the same definition gets another id.
    assert instance.metadata is not None
    assert (instance.metadata.instance_id, instance.metadata.written_id) == (None, None)


def test_an_instance_id_that_is_given_stays() -> None:
    instance = InstanceData({"metadata": IDENTITY})
    given = instance.for_vm(VC_UUID, BIOS_UUID)
    assert given.metadata is not None
    assert (given.metadata.instance_id, given.metadata.written_id) == ("i-0042", None)
    assert InstanceData({"metadata": IDENTITY}).for_vm(None, None).metadata is not None


def test_without_an_instance_id_and_without_a_uuid_there_is_no_instance() -> None:
    with pytest.raises(DefinitionError) as caught:
        InstanceData({"metadata": {"hostname": "web-01"}}).for_vm(None, None)
    assert str(caught.value) == (
        "metadata.instance-id: is missing, and the VM has not told a UUID to make it of"
    )
