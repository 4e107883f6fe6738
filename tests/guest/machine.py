"""A machine for the tests: a root directory with what the guest looks at in /sys, /proc, /dev and /etc."""

import shutil
from pathlib import Path
from typing import Optional

from vmw_cloudinit_guest import activation, paths

UUID = "564d0123-4567-89ab-cdef-0123456789ab"
OTHER_UUID = "564d0123-4567-89ab-cdef-00000000ffff"


class Machine:
    """A VM in which the package is installed and nothing has happened yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = str(directory)
        self.write(paths.DROP_IN, "# why\ndatasource_list: [ NoCloud, None ]\n")
        for unit in (paths.UNIT, paths.REPORT_UNIT):
            self.write(f"/usr/lib/systemd/system/{unit}", "")
        self.write("/usr/lib/python3/dist-packages/cloudinit/cmd/clean.py", "settings.CLEAN_RUNPARTS_DIR")
        self.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n")
        self.write(paths.CLOUD_CONFIG, "users:\n- default\nsystem_info:\n  network:\n    renderers: [eni]\n")
        self.write("/etc/cloud/cloud.cfg.d/90_dpkg.cfg", "datasource_list: [ Ec2, None ]\n")

    def path(self, path: str) -> Path:
        return Path(paths.under(self.root, path))

    def write(self, path: str, content: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(content)

    def has_uuid(self, uuid: str) -> None:
        self.write("/sys/class/dmi/id/product_uuid", uuid + "\n")

    def has_controller(self, address: str, kind: str = "0x020000") -> Path:
        """Plug in a PCI device, for which no driver is loaded; return its directory."""
        device = self.path(f"/sys/devices/pci0000:00/{address}")
        device.mkdir(parents=True)
        (device / "class").write_text(f"{kind}\n")
        self._link(f"/sys/bus/pci/devices/{address}", device)
        return device

    def has_nic(self, name: str, mac: str, address: str = "", port: Optional[int] = None) -> None:
        """Plug in a NIC whose driver is loaded, or load the driver of one that is plugged in.

        Without a PCI address it is one on another bus, which does not say what else is plugged in.
        """
        device = self.path(f"/sys/devices/pci0000:00/{address}" if address else f"/sys/devices/virtio/{name}")
        if address and not device.exists():
            self.has_controller(address)
        self.has_interface(name, mac, device / "net" / name)
        (device / "net" / name / "device").symlink_to("../..")
        if port is not None:
            (device / "net" / name / "dev_port").write_text(f"{port}\n")

    def has_interface(self, name: str, mac: str, directory: Path, kind: int = 1) -> None:
        """Put a network interface there, of software alone as long as it has no device."""
        directory.mkdir(parents=True)
        ifindex = len(list(self.path("/sys/class/net").glob("*"))) + 1
        for attribute, value in (("address", mac), ("type", kind), ("ifindex", ifindex)):
            (directory / attribute).write_text(f"{value}\n")
        self._link(f"/sys/class/net/{name}", directory)

    def loses_nic(self, name: str) -> None:
        link = self.path(f"/sys/class/net/{name}")
        shutil.rmtree(link.resolve())
        link.unlink()

    def loses_controller(self, address: str) -> None:
        link = self.path(f"/sys/bus/pci/devices/{address}")
        shutil.rmtree(link.resolve())
        link.unlink()

    def _link(self, path: str, target: Path) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).symlink_to(target)

    def is_enabled(self) -> None:
        activation.enable_at_install(self.root)

    def has_units_enabled(self) -> None:
        for unit in (paths.UNIT, paths.REPORT_UNIT):
            wanted = self.path(f"/etc/systemd/system/cloud-init.target.wants/{unit}")
            wanted.parent.mkdir(parents=True, exist_ok=True)
            wanted.symlink_to(f"/usr/lib/systemd/system/{unit}")

    def is_provisioned(self) -> None:
        """Leave the link as cloud-init does, to an instance of which nothing needs to be there."""
        instance = self.path(paths.INSTANCE)
        instance.parent.mkdir(parents=True, exist_ok=True)
        instance.symlink_to("/var/lib/cloud/instances/i-0041")
