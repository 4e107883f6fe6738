import pytest

from vmw_cloudinit_metadata.checking.unfilled import unfilled_fields
from vmw_cloudinit_metadata.definition import Source

WARNING = "a field {{ vm.… }} is not filled in where there is no vms; name the VM there, or write its value"


def found(text: str) -> list[str]:
    return [str(each) for each in unfilled_fields(Source("web-01.yaml", text.encode()))]


def test_a_field_in_a_definition_without_vms_is_told_with_its_place() -> None:
    text = "metadata:\n  hostname: a\n  tags: [b, '{{vm.name}}']\n  '{{ vm.x }}': c # {{ vm.x }}\n"
    assert found(text) == [f"web-01.yaml:3: metadata.tags[1]: {WARNING}"]


def test_of_user_data_no_key_is_named() -> None:
    text = "userdata: {hunter2: '{{ vm.name }}'}\nvendordata: |\n  #cloud-config {{ vm.name }}\n"
    assert found(text) == [f"web-01.yaml:1: userdata: {WARNING}", f"web-01.yaml:2: vendordata: {WARNING}"]


@pytest.mark.parametrize(
    "text",
    [
        "vms: [web-01]\nmetadata: {hostname: '{{ vm.name }}'}\n",
        "userdata: '{{ ds.meta_data }} {{ vmware }}'\n",
        "# {{ vm.name }}\n",
        "- '{{ vm.name }}'\n",
        "{{ vm.name",
        "",
    ],
)
def test_nothing_is_said_of_others(text: str) -> None:
    assert found(text) == []
