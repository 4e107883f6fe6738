"""The same files, read by Debian's own systemd and cloud-init: needs root and the packages of .ci/run."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.test_guest_files import PACKAGING, PRIVATE, ROOT, run
from vmw_cloudinit_guest import binding, paths, seed
from vmw_cloudinit_guest.binding import State
from vmw_cloudinit_guest.documents import Documents

pytestmark = pytest.mark.system

DOCUMENTS = Documents(b'{"instance-id": "i-0042"}\n', b"version: 1\n", b"#cloud-config\n")


# What a unit of ours is without, and with, what would make a cycle of it.
CYCLES = [
    (paths.UNIT, "DefaultDependencies=no", ""),
    (paths.REPORT_UNIT, "WantedBy=cloud-init.target", "WantedBy=multi-user.target"),
]


@pytest.mark.parametrize("cycle", [False, True])
@pytest.mark.parametrize(("unit", "ours", "other"), CYCLES, ids=[unit for unit, _, _ in CYCLES])
def test_a_unit_makes_no_cycle_with_cloud_init_s_as_it_easily_would(
    tmp_path: Path, unit: str, ours: str, other: str, cycle: bool
) -> None:
    for name in (paths.UNIT, paths.REPORT_UNIT):
        text = (PACKAGING / name).read_text().replace("/usr/bin/vmw-cloudinit-guest", "/bin/true")
        if cycle and name == unit:
            text = text.replace(ours, other)
        (tmp_path / name).write_text(text)
        wanted = tmp_path / (re.findall("(?m)^WantedBy=(.*)$", text)[0] + ".wants") / name
        wanted.parent.mkdir(exist_ok=True)
        wanted.symlink_to(f"../{name}")
    # As the generator does it at boot.
    (tmp_path / "multi-user.target.wants").mkdir(exist_ok=True)
    (tmp_path / "multi-user.target.wants/cloud-init.target").symlink_to(
        "/lib/systemd/system/cloud-init.target"
    )
    units = [paths.UNIT, paths.REPORT_UNIT, "cloud-init.target", "sysinit.target", "multi-user.target"]
    # The colon stands for the usual directories.
    said = run(["systemd-analyze", "verify", "--man=no", *units], SYSTEMD_UNIT_PATH=f"{tmp_path}:").stdout
    assert ("ordering cycle" in said) == cycle, said
    if not cycle:
        assert "vmw-cloudinit-guest" not in said


def test_ds_identify_takes_the_drop_in_without_looking_for_a_seed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for directory in ("proc", "sys/class/dmi/id", "run", "dev", "var/lib/cloud", "etc/cloud/cloud.cfg.d"):
        (root / directory).mkdir(parents=True)
    (root / "etc/cloud/cloud.cfg").write_text("users: [default]\n")
    (root / "proc/cmdline").write_text("root=/dev/sda1 ro\n")
    for name in ("chassis_asset_tag", "product_name", "product_serial", "product_uuid", "sys_vendor"):
        (root / "sys/class/dmi/id" / name).write_text("VMware\n")
    ds_identify = ["/usr/lib/cloud-init/ds-identify", "--force"]
    environment = {"PATH_ROOT": str(root), "DI_LOG": str(tmp_path / "log"), "DEBUG_LEVEL": "1"}
    assert run(ds_identify, **environment).returncode != 0, "without the drop-in cloud-init is switched off"
    shutil.copy(str(PACKAGING / "zz-vmw-cloudinit-guest.cfg"), str(root / "etc/cloud/cloud.cfg.d"))
    assert run(ds_identify, **environment).returncode == 0
    assert "datasource_list: [ NoCloud, None ]" in (root / "run/cloud-init/cloud.cfg").read_text()


class Vm:
    """This system behind an overlay, with the package installed in it by hand, to run programs in."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        for name in ("upper", "work", "root"):
            (directory / name).mkdir()
        layers = f"lowerdir=/,upperdir={directory}/upper,workdir={directory}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)
        self.empty("/var/lib/cloud")
        self.install("/usr/bin/vmw-cloudinit-guest", "vmw-cloudinit-guest")
        self.install("/etc/cloud/clean.d/50-vmw-cloudinit-guest", "clean.d/vmw-cloudinit-guest")
        self.install(paths.DROP_IN, "zz-vmw-cloudinit-guest.cfg")
        for unit in (paths.UNIT, paths.REPORT_UNIT):
            self.install(f"/lib/systemd/system/{unit}", unit)
        for package in ("vmw_cloudinit_guest", "vmw_cloudinit_wire"):
            self.empty(f"{PRIVATE}/{package}")
            shutil.copytree(str(ROOT / "guest" / package), str(self.path(f"{PRIVATE}/{package}")))

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def empty(self, path: str) -> None:
        shutil.rmtree(str(self.path(path)), ignore_errors=True)

    def install(self, path: str, source: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(PACKAGING / source), str(self.path(path)))

    def run(self, *command: str) -> str:
        ran = run(["chroot", str(self.root), "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command])
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    def close(self) -> None:
        subprocess.run(["umount", str(self.root)], check=True)


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[Vm]:
    # An overlay cannot lie on another one, which the root of a container may be.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True)
    vm = Vm(tmp_path)
    try:
        yield vm
    finally:
        vm.close()
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_cloud_init_clean_seals_a_template(vm: Vm) -> None:
    directory = vm.path(paths.SEED_DIRECTORY)
    seed.write(str(directory), DOCUMENTS, binding.to_bytes(State(None, "i-0042", "ttyS1", 0)))
    seed.keep_reports(str(directory), b'{"stage": "final"}\n')
    vm.path("/var/lib/cloud/instances/i-0042").mkdir(parents=True)
    vm.path(paths.INSTANCE).symlink_to("/var/lib/cloud/instances/i-0042")
    assert "not enabled, since cloud-init has provisioned" in vm.run(
        "vmw-cloudinit-guest", "enable", "--at-install"
    )

    cleaned = vm.run("cloud-init", "clean")

    assert f"made {paths.DROP_IN_LINK}" in cleaned
    # Neither what binds it to a machine nor what that machine had to report.
    assert [path.name for path in directory.parent.iterdir()] == ["nocloud"]
    assert list(directory.iterdir()) == []
    assert vm.path(paths.DROP_IN_LINK).is_symlink()
    assert "next boot:   asks" in vm.run("vmw-cloudinit-guest", "status")
    vm.run("cloud-init", "clean", "--seed")
    assert not directory.exists()


def test_a_script_left_behind_does_not_disturb_cloud_init_clean(vm: Vm) -> None:
    vm.path("/usr/bin/vmw-cloudinit-guest").unlink()
    vm.path("/var/lib/cloud").mkdir(parents=True)
    vm.run("cloud-init", "clean")
    assert not vm.path(paths.DROP_IN_LINK).is_symlink()


def test_enable_enables_the_units_with_systemd_s_own_program(vm: Vm) -> None:
    said = vm.run("vmw-cloudinit-guest", "enable")
    for unit in (paths.UNIT, paths.REPORT_UNIT):
        assert f"enabled {unit}" in said
        assert vm.path(f"/etc/systemd/system/cloud-init.target.wants/{unit}").is_symlink()
        assert vm.run("systemctl", "is-enabled", unit) == "enabled\n"
    assert "removed" in vm.run("vmw-cloudinit-guest", "disable")
