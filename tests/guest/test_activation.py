import os
from pathlib import Path
from typing import Any

import pytest

from tests.guest.machine import Machine
from vmw_cloudinit_guest import activation, paths, seed
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import ActivationError

DOCUMENTS = Documents(b'{"instance-id": "i-0042"}\n', None, b"#cloud-config\n")
NEXT_BOOT = "at the next boot it asks over the serial port, and cloud-init takes what is answered"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.has_units_enabled()
    return machine


def link(machine: Machine) -> Path:
    return machine.path(paths.DROP_IN_LINK)


def test_enable_makes_the_link_and_says_what_comes_of_it(machine: Machine) -> None:
    assert activation.enable(machine.root) == [
        f"made {link(machine)}",
        "vmw-cloudinit-guest.service is enabled",
        "vmw-cloudinit-guest-report.service is enabled",
        NEXT_BOOT,
    ]
    # Absolute, so that it is right inside an image that is built elsewhere.
    assert os.readlink(str(link(machine))) == "/usr/share/vmw-cloudinit-guest/zz-vmw-cloudinit-guest.cfg"
    assert activation.is_enabled(machine.root)


def test_enable_twice_is_fine(machine: Machine) -> None:
    activation.enable(machine.root)
    assert activation.enable(machine.root)[0] == f"{link(machine)} is in place"


def test_enable_on_a_provisioned_vm_does_it_and_says_what_it_means(machine: Machine) -> None:
    machine.is_provisioned()
    assert "will do so anew" in activation.enable(machine.root)[3]
    assert activation.is_enabled(machine.root)


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_what_is_not_our_link_is_neither_replaced_nor_removed(machine: Machine, kind: str) -> None:
    if kind == "file":
        link(machine).write_text("datasource_list: [ Ec2 ]\n")
    elif kind == "link":
        link(machine).symlink_to("/etc/site.cfg")
    else:
        link(machine).mkdir()
    for act in (activation.enable, activation.enable_at_install, activation.disable):
        with pytest.raises(ActivationError, match="is not the link that enable makes: "):
            act(machine.root)
    assert os.path.lexists(str(link(machine)))
    assert not activation.is_enabled(machine.root)


def test_without_the_drop_in_there_is_nothing_to_enable(machine: Machine) -> None:
    machine.path(paths.DROP_IN).unlink()
    directory = machine.path(paths.SEED_DIRECTORY)
    seed.write(str(directory), DOCUMENTS, b"{}")
    for act in (activation.enable, lambda root: activation.seal(root, paths.SEED_DIRECTORY)):
        with pytest.raises(ActivationError, match="the package vmw-cloudinit-guest, which is not installed"):
            act(machine.root)
    assert seed.instance_id(str(directory)) == "i-0042"
    assert activation.disable(machine.root) == ["it was not enabled"]


def test_enable_before_cloud_init_is_installed_says_so(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "bare")
    for path in ("/etc/cloud", "/usr/lib/python3"):
        machine.path(path).rename(tmp_path / path.replace("/", "_"))
    assert activation.enable_at_install(machine.root) == [f"made {link(machine)}"]
    machine.has_units_enabled()
    assert "cloud-init is not installed" in activation.enable(machine.root)[0]


def test_an_old_cloud_init_has_no_clean_d_and_enable_says_what_to_do(machine: Machine) -> None:
    machine.write("/usr/lib/python3/dist-packages/cloudinit/cmd/clean.py", "def remove_artifacts():\n")
    assert "run vmw-cloudinit-guest seal after its clean" in activation.enable(machine.root)[-1]


def test_a_link_that_cannot_be_made_is_a_sentence(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "symlink", fail)
    with pytest.raises(ActivationError, match=r"cannot make .*: Permission denied; run as root"):
        activation.enable(machine.root)


def test_at_install_a_fresh_vm_is_enabled_and_the_units_left_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert activation.enable_at_install(machine.root) == [f"made {link(machine)}"]
    assert activation.enable_at_install(machine.root) == ["it is enabled"]
    assert activation.unit(machine.root) == "disabled"


def test_at_install_a_provisioned_vm_is_left_alone_and_the_command_named(machine: Machine) -> None:
    machine.is_provisioned()
    lines = activation.enable_at_install(machine.root)
    assert len(lines) == 1
    assert lines[0].startswith("not enabled, since cloud-init has provisioned this VM already")
    assert lines[0].endswith("vmw-cloudinit-guest enable")
    assert not os.path.lexists(str(link(machine)))


def test_at_install_an_enabled_vm_stays_so_whatever_cloud_init_has_done_since(machine: Machine) -> None:
    machine.is_enabled()
    machine.is_provisioned()
    assert activation.enable_at_install(machine.root) == ["it is enabled"]


def test_disable_removes_the_link_and_leaves_the_seed(machine: Machine) -> None:
    seed.write(str(machine.path(paths.SEED_DIRECTORY)), DOCUMENTS, b"")
    machine.is_enabled()
    assert activation.disable(machine.root)[0] == f"removed {link(machine)}"
    assert not os.path.lexists(str(link(machine)))
    assert seed.instance_id(str(machine.path(paths.SEED_DIRECTORY))) == "i-0042"
    assert activation.disable(machine.root) == ["it was not enabled"]


def test_disable_removes_the_link_of_a_package_that_is_gone(machine: Machine) -> None:
    machine.is_enabled()
    machine.path(paths.DROP_IN).unlink()
    activation.disable(machine.root)
    assert not os.path.lexists(str(link(machine)))


def test_seal_deletes_seed_and_state_and_enables(machine: Machine) -> None:
    directory = machine.path("/var/lib/cloud/seed/elsewhere")
    seed.write(str(directory), DOCUMENTS, b"{}")
    lines = activation.seal(machine.root, "/var/lib/cloud/seed/elsewhere")
    assert lines[:2] == [f"deleted the seed in {directory}", f"made {link(machine)}"]
    assert os.listdir(str(directory)) == []
    assert os.listdir(str(directory.parent)) == ["elsewhere"]
    assert activation.is_enabled(machine.root)
    assert activation.seal(machine.root, paths.SEED_DIRECTORY)[0] == "there was no seed"


def test_seal_promises_no_boot_that_asks_where_none_will(machine: Machine) -> None:
    promise = "the first boot of each clone asks over the serial port"
    assert activation.seal(machine.root, paths.SEED_DIRECTORY)[-1] == promise
    machine.write(paths.CLOUD_INIT_DISABLED, "")
    assert promise not in activation.seal(machine.root, paths.SEED_DIRECTORY)


def test_the_unit_s_state_is_read_from_its_links(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert activation.unit(machine.root) == "disabled"
    machine.has_units_enabled()
    assert activation.unit(machine.root) == "enabled"
    machine.path("/etc/systemd/system/vmw-cloudinit-guest.service").symlink_to("/dev/null")
    assert activation.unit(machine.root) == "masked"
    assert "it will not ask until you run systemctl unmask" in activation.enable(machine.root)[1]
    assert activation.unit(str(tmp_path / "nowhere")) == "absent"


def test_each_unit_has_a_state_of_its_own(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.has_units_enabled()
    machine.path("/etc/systemd/system/cloud-init.target.wants/vmw-cloudinit-guest-report.service").unlink()
    assert activation.unit(machine.root) == "enabled"
    assert activation.unit(machine.root, paths.REPORT_UNIT) == "disabled"
    machine.path("/usr/lib/systemd/system/vmw-cloudinit-guest-report.service").unlink()
    assert activation.enable(machine.root)[2].startswith("vmw-cloudinit-guest-report.service is not there")
    machine.path("/etc/systemd/system/vmw-cloudinit-guest-report.service").symlink_to("/dev/null")
    assert "it will not report until you run systemctl unmask" in activation.enable(machine.root)[2]


def test_on_openrc_enable_names_the_command(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/etc/init.d/vmw-cloudinit-guest", "")
    assert activation.unit(machine.root) == "disabled"
    machine.write("/etc/init.d/vmw-cloudinit-guest-report", "")
    assert activation.enable(machine.root)[1:3] == [
        "to have it begun at boot, run: rc-update add vmw-cloudinit-guest boot",
        "to have it begun at boot, run: rc-update add vmw-cloudinit-guest-report default",
    ]
    machine.write("/etc/runlevels/boot/vmw-cloudinit-guest", "")
    assert activation.unit(machine.root) == "enabled"


def on_path(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / program).write_text(script)
    (tmp_path / "bin" / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")


def test_a_unit_that_is_not_enabled_is_enabled_in_the_image_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path / "image")
    record = tmp_path / "record"
    on_path("systemctl", tmp_path, monkeypatch, f'#!/bin/sh\necho "$@" >> {record}\n')
    assert activation.enable(machine.root)[1:3] == [
        "enabled vmw-cloudinit-guest.service",
        "enabled vmw-cloudinit-guest-report.service",
    ]
    assert record.read_text().splitlines() == [
        f"--quiet --root={machine.root} enable vmw-cloudinit-guest.service",
        f"--quiet --root={machine.root} enable vmw-cloudinit-guest-report.service",
    ]


def test_a_unit_that_cannot_be_enabled_is_a_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path / "image")
    on_path("systemctl", tmp_path, monkeypatch, "#!/bin/sh\nexit 1\n")
    with pytest.raises(ActivationError, match=r"cannot be enabled; try yourself: systemctl .* enable"):
        activation.enable(machine.root)


def test_without_systemctl_the_unit_cannot_be_enabled(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ActivationError, match="cannot be enabled"):
        activation.enable(Machine(tmp_path / "image").root)
