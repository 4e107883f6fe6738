import re
from pathlib import Path

import pytest

from tests.guest.machine import Machine
from vmw_cloudinit_guest import paths
from vmw_cloudinit_guest.defeats import find


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.is_enabled()
    return machine


def defeat(machine: Machine, expected: str) -> None:
    found = find(machine.root)
    assert len(found) == 1, found
    assert re.search(expected, found[0])


def test_nothing_defeats_the_seed_of_a_vm_as_it_should_be(machine: Machine) -> None:
    assert find(machine.root) == []


def test_a_machine_without_anything_is_only_not_enabled(tmp_path: Path) -> None:
    assert [line.partition(":")[0] for line in find(str(tmp_path))] == ["it is not enabled"]


def test_not_being_enabled_is_named_with_the_command(machine: Machine) -> None:
    machine.path(paths.DROP_IN_LINK).unlink()
    defeat(machine, "it is not enabled: .* run vmw-cloudinit-guest enable")


def test_without_the_package_not_being_enabled_is_named_without_the_command(machine: Machine) -> None:
    machine.path(paths.DROP_IN).unlink()
    defeat(machine, "it is not enabled: .* package vmw-cloudinit-guest, which is not installed here$")


def test_a_file_that_switches_cloud_init_off_is_named(machine: Machine) -> None:
    machine.write("/etc/cloud/cloud-init.disabled", "")
    defeat(machine, f"^{re.escape(machine.root)}/etc/cloud/cloud-init.disabled is there: .*; remove it")


def test_a_command_line_that_switches_cloud_init_off_is_named(machine: Machine) -> None:
    machine.write("/proc/cmdline", "quiet cloud-init=disabled\n")
    defeat(machine, "^cloud-init=disabled on the kernel command line: .*; take it out")
    machine.write("/proc/cmdline", "quiet cloud-init=enabled\n")
    assert find(machine.root) == []


@pytest.mark.parametrize(
    "text",
    [
        "datasource_list: [ NoCloud ]\n",
        "datasource_list: [ NoCloud, None ] # why\n",
        "datasource_list:\n- NoCloud\n",
    ],
)
def test_a_drop_in_that_ds_identify_reads_otherwise_is_named(machine: Machine, text: str) -> None:
    machine.path(paths.DROP_IN_LINK).unlink()
    machine.write(paths.DROP_IN_LINK, text)
    defeat(machine, "zz-vmw-cloudinit-guest.cfg has no line .*: .*enable")


@pytest.mark.parametrize(
    "word",
    [
        "ds=nocloud;s=http://192.0.2.1/",
        "ds=nocloud-net",
        "ds=ec2",
        "ci.ds=OpenStack",
        "ci.datasource=VMware",
        "network-config=disabled",
    ],
)
def test_the_kernel_command_line_is_named_without_its_values(machine: Machine, word: str) -> None:
    machine.write("/proc/cmdline", f"root=/dev/sda1 {word} quiet\n")
    key, _, value = word.partition("=")
    defeat(machine, f"^{key}= on the kernel command line: .*; take it out")
    assert value not in find(machine.root)[0]


@pytest.mark.parametrize("word", ["ds=nocloud", "ci.ds=NoCloud", "rds=ec2", "quiet"])
def test_a_command_line_that_asks_for_nocloud_is_fine(machine: Machine, word: str) -> None:
    machine.write("/proc/cmdline", f"{word}\n")
    assert find(machine.root) == []


@pytest.mark.parametrize("label", ["cidata", "CIDATA", "CiData"])
def test_a_disk_labelled_cidata_is_named_in_any_case(machine: Machine, label: str) -> None:
    machine.write("/dev/disk/by-label/root", "")
    machine.write(f"/dev/disk/by-label/{label}", "")
    defeat(machine, f"the disk {re.escape(machine.root)}/dev/disk/by-label/{label}: .*; detach that disk")


@pytest.mark.parametrize(
    "text",
    [
        "network: {config: disabled}\n",
        "#cloud-config\nnetwork:\n  config: disabled\n",
        '"network" : {"config": "disabled"}\n',
        "network: # comment\n  version: 2\n",
        "a: 1\r\nnetwork:\r\n  version: 2\r\n",
    ],
)
def test_a_network_in_another_file_is_named(machine: Machine, text: str) -> None:
    machine.write("/etc/cloud/cloud.cfg.d/99-installer.cfg", text)
    defeat(machine, r"/etc/cloud/cloud\.cfg\.d/99-installer\.cfg has a network: .* network: null")


def test_a_network_in_cloud_cfg_itself_is_named(machine: Machine) -> None:
    machine.write(paths.CLOUD_CONFIG, "network: {config: disabled}\n")
    defeat(machine, rf"^{re.escape(machine.root)}/etc/cloud/cloud\.cfg has a network:")


def test_a_later_null_takes_a_network_back_and_an_earlier_one_does_not(machine: Machine) -> None:
    machine.write("/etc/cloud/cloud.cfg.d/50-network.cfg", "network: {config: disabled}\n")
    machine.write("/etc/cloud/cloud.cfg.d/40-null.cfg", "network: null\n")
    defeat(machine, "50-network.cfg has a network:")
    machine.write("/etc/cloud/cloud.cfg.d/60-null.cfg", "network: null  # taken back\n")
    assert find(machine.root) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("10-comment.cfg", "# network: {config: disabled}\n"),
        ("10-nested.cfg", "system_info:\n  network: {renderers: [eni]}\n"),
        ("10-other.cfg", "network_tuning: 1\n"),
        ("10-network.cfg.dpkg-old", "network: {config: disabled}\n"),
        ("zzz.yaml", "datasource_list: [ Ec2 ]\n"),
    ],
)
def test_what_cloud_init_does_not_read_so_is_not_named(machine: Machine, name: str, text: str) -> None:
    machine.write(f"/etc/cloud/cloud.cfg.d/{name}", text)
    assert find(machine.root) == []


@pytest.mark.parametrize("text", ["datasource_list: [ Ec2 ]\n", "datasource_list:\n- Ec2\n"])
def test_only_a_datasource_list_that_sorts_later_is_named(machine: Machine, text: str) -> None:
    machine.write("/etc/cloud/cloud.cfg.d/99-installer.cfg", text)
    assert find(machine.root) == []
    machine.write("/etc/cloud/cloud.cfg.d/zzz-site.cfg", text)
    defeat(machine, r"/etc/cloud/cloud\.cfg\.d/zzz-site\.cfg has a datasource_list .* rename the file")


def test_bytes_that_are_no_text_are_no_error(machine: Machine) -> None:
    machine.path("/etc/cloud/cloud.cfg.d/10-binary.cfg").write_bytes(b"\xff\xfe\nnetwork: \xff\n")
    defeat(machine, "10-binary.cfg has a network:")
