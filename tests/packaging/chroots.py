"""Chroots of Debian releases, to install packages in: without a network, and gone when the test is over."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.packaging.support import ROOT, output_of

# What a command needs around it. Of the host it sees the devices, for pseudo-terminals; not the network.
_ENTER = """
ip link set lo up
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
root=$1; shift
exec chroot "$root" env -i "$@"
"""
_ENVIRONMENT = (
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
)

# What apt has at hand in them, for there is no network: what our packages need beside Python and each other.
AT_HAND = ("passwd", "python3-click", "python3-jsonschema", "python3-serial", "python3-yaml", "systemd")

# What installing and running programs changes for reasons of its own.
_NOT_LOOKED_AT = (
    "dev",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/lib/rpm",
    "var/log",
)


class Chroot:
    """A root file system in a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def unpacked(cls, root: Path, suite: str, at_hand: Sequence[str] = AT_HAND) -> "Chroot":
        """Make one of the least that is a release of Debian, and apt."""
        base = output_of(ROOT / "packaging/chroot-base", suite, *at_hand).strip()
        root.mkdir()
        output_of("tar", "--extract", "--numeric-owner", "--directory", root, "--file", base)
        return cls(root)

    def copied(self, root: Path) -> "Chroot":
        """Make another one that is as this one is now."""
        output_of("cp", "--archive", "--reflink=auto", self.root, root)
        return Chroot(root)

    def __truediv__(self, path: str) -> Path:
        """Return the path in this chroot that is ``path`` there."""
        return self.root / path.lstrip("/")

    def attempt(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a command in it; return how it ended, with both its outputs as ``stdout``."""
        namespaces = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child")
        return subprocess.run(
            (*namespaces, "sh", "-e", "-c", _ENTER, "sh", self.root, *_ENVIRONMENT, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def run(self, *command: str | Path) -> str:
        """Run a command in it that ends well; return what it printed."""
        ended = self.attempt(*command)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def install(self, *packages: str | Path) -> str:
        """Let apt install packages by name, or package files of the host, and nothing they only recommend."""
        names = []
        for package in packages:
            if isinstance(package, Path):
                (self / "/tmp" / package.name).write_bytes(package.read_bytes())
                package = f"/tmp/{package.name}"
            names.append(package)
        # --force-confold: a changed configuration file is kept, as an operator answers who wants to keep it.
        options = (
            "--yes",
            "--no-install-recommends",
            "--allow-downgrades",
            "--option=Dpkg::Options::=--force-confold",
        )
        return self.run("apt-get", "install", *options, *names)

    def remove(self, package: str, *, purge: bool = False) -> str:
        """Let dpkg remove a package; what it needed stays."""
        return self.run("dpkg", "--purge" if purge else "--remove", package)

    def files(self) -> set[str]:
        """Return the paths of all that is in it, but for what installing any package changes."""
        found = set()
        for directory, directories, files in os.walk(self.root):
            inside = Path(directory).relative_to(self.root)
            directories[:] = [name for name in directories if str(inside / name) not in _NOT_LOOKED_AT]
            found |= {f"/{inside / name}" for name in (*directories, *files)}
        return found
