"""A virtual machine under QEMU, and what it reports of itself: packaging/vm makes its disk."""

import base64
import io
import json
import re
import subprocess
import tarfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.program import Program

REPOSITORY = Path(__file__).parents[2]

# Emulated, a boot takes about a minute on an idle machine; this is for one that is not.
BOOT_SECONDS = 600.0

# Debian 13's kernel does not like every processor that QEMU can emulate.
_EMULATION = ("-accel", "tcg", "-cpu", "Nehalem", "-smp", "1", "-m", "1024")

# The kernel's mitigations flush the emulator's translations again and again.
_KERNEL = "root=/dev/vda rw console=ttyS0 panic=-1 systemd.show_status=no mitigations=off"

_BEGIN, _END = "-----BEGIN REPORT-----", "-----END REPORT-----"


def build_packages() -> dict[str, Path]:
    """Build the Debian packages of this tree; return them by name."""
    directory = REPOSITORY / ".cache" / "vm" / "packages"
    run(REPOSITORY / "packaging" / "build-deb", directory, DEB_BUILD_OPTIONS="nocheck")
    return {path.name.partition("_")[0]: path for path in directory.glob("*.deb")}


def build_image(suite: str, package: Path) -> "Image":
    """Return an image of a Debian release with a package installed."""
    return Image(Path(run(REPOSITORY / "packaging" / "vm" / "image", suite, package).strip()))


def run(*command: str | Path, **environment: str) -> str:
    """Run a command to its end; return what it prints."""
    arguments = ["env", *(f"{key}={value}" for key, value in environment.items()), *map(str, command)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(arguments)}: exit {done.returncode}:\n{done.stderr}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Image:
    """What packaging/vm/image makes."""

    directory: Path

    @property
    def root(self) -> Path:
        """The tree the disk was made of, for chroot."""
        return self.directory / "root"

    def disk(self, path: Path) -> "Disk":
        """Make a disk of a new VM."""
        return Disk(self, _overlay(self.directory / "disk.img", "raw", path))


@dataclass(frozen=True, slots=True)
class Disk:
    """A VM's disk; the image, or disk, that it began with stays as it is."""

    image: Image
    path: Path

    def clone(self, path: Path) -> "Disk":
        """Make a disk that begins with what is on this one."""
        return Disk(self.image, _overlay(self.path, "qcow2", path))


def _overlay(backing: Path, backing_format: str, path: Path) -> Path:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", backing_format, path)
    return path


@dataclass(frozen=True, slots=True)
class Hardware:
    """What makes one VM another than the next."""

    product_uuid: uuid.UUID = field(default_factory=uuid.uuid4)
    # One network card each: none reaches anything but QEMU's own DHCP server, and ports that are forwarded.
    macs: Sequence[str] = ("52:54:00:00:00:01",)
    models: Sequence[str] = ("virtio-net-pci",)  # of the cards
    forward: str = ""  # such as tcp:127.0.0.1:PORT-:13370
    # The Unix socket of the second serial port; without one it is there, and nobody is at its other end.
    metadata_port: Path | None = None
    # A disk for the server's configuration.
    second_disk: Path | None = None

    def arguments(self) -> list[str]:
        """Return what QEMU is told."""
        port = f"socket,path={self.metadata_port}" if self.metadata_port else "null"
        arguments = ["-uuid", str(self.product_uuid), "-chardev", f"{port},id=metadata"]
        arguments += ["-serial", "chardev:metadata"]
        for mac, model in zip(self.macs, self.models, strict=True):
            arguments += ["-nic", f"user,restrict=on,model={model},mac={mac}"]
            if self.forward:
                arguments[-1] += f",hostfwd={self.forward}"
        if self.second_disk:
            arguments += ["-drive", f"file={self.second_disk},if=virtio,format=raw"]
        return arguments


class VM:
    """A context manager that boots a disk; ``report`` waits until it is up."""

    def __init__(self, name: str, disk: Disk, hardware: Hardware) -> None:
        image = disk.image.directory
        command: list[str | Path] = [
            *("qemu-system-x86_64", *_EMULATION),
            *("-display", "none", "-vga", "none", "-monitor", "none", "-no-reboot"),
            *("-kernel", image / "vmlinuz", "-initrd", image / "initrd.img"),
            *("-append", _KERNEL),
            *("-drive", f"file={disk.path},if=virtio,format=qcow2", "-device", "virtio-rng-pci"),
            *("-serial", "stdio"),
            *hardware.arguments(),
        ]
        self.console = Program(name, command)

    def __enter__(self) -> Self:
        self.console.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.console.__exit__(kind, error, trace)

    def report(self) -> "Report":
        """Wait until the boot is over, and return what the VM says of it."""
        self.console.until_line(lambda line: line == _END, BOOT_SECONDS)
        lines = self.console.lines
        return Report(_unpacked("".join(lines[lines.index(_BEGIN) + 1 : lines.index(_END)])))

    def power_off(self) -> None:
        """Shut it down: what it has written is on its disk then."""
        self.console.say("")
        self.console.until_end(BOOT_SECONDS)


def _unpacked(report: str) -> dict[str, str]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(report))) as archive:
        for member in archive:
            if content := archive.extractfile(member):
                files[member.name] = content.read().decode(errors="replace")
    return files


class Report:
    """What a VM says of a boot: packaging/vm/vm-report has put it into files."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def save(self, directory: Path) -> None:
        """Write the files into a new directory."""
        directory.mkdir()
        for name, content in self.files.items():
            (directory / name).write_text(content)

    def text(self, name: str) -> str:
        """Return a file without the white space at its ends; it is empty if the VM does not have it."""
        return self.files.get(name, "").strip()

    def json(self, name: str) -> Any:
        """Return a file that is JSON."""
        return json.loads(self.files[name])

    @property
    def addresses(self) -> dict[str, tuple[str, list[str]]]:
        """The network cards: the name, the MAC address, and the IPv4 addresses with their prefix lengths."""
        return {
            card["ifname"]: (
                card["address"],
                [f"{ip['local']}/{ip['prefixlen']}" for ip in card["addr_info"] if ip["family"] == "inet"],
            )
            for card in self.json("addresses.json")
            if card["link_type"] == "ether"
        }

    @property
    def gateways(self) -> list[tuple[str, str]]:
        """The default routes: gateway and network card."""
        return [
            (route["gateway"], route["dev"])
            for route in self.json("routes.json")
            if route["dst"] == "default"
        ]

    def logged(self, pattern: str) -> list[str]:
        """Return the lines of the journal of this boot in which the pattern is found."""
        return [line for line in self.text("journal").splitlines() if re.search(pattern, line)]

    def unit(self, name: str) -> dict[str, str]:
        """Return the properties of a unit of ours, as systemd shows them."""
        for text in self.text("our-units").split("\n\n"):
            properties = dict(line.partition("=")[::2] for line in text.splitlines())
            if properties.get("Id") == name:
                return properties
        raise AssertionError(f"there is no {name}")

    def seconds(self, unit: str) -> float:
        """Return how long a unit took to start, or to fail."""
        properties = self.unit(unit)
        end = "ActiveEnter" if properties["ActiveState"] == "active" else "InactiveEnter"
        began, ended = (int(properties[f"{which}TimestampMonotonic"]) for which in ("InactiveExit", end))
        return (ended - began) / 1e6

    def cpu_seconds(self, unit: str) -> float:
        """Return how long a unit has kept the processor, with all that it has started."""
        return int(self.unit(unit)["CPUUsageNSec"]) / 1e9
