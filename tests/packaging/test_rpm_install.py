"""The rpm packages, installed into a tree by rpm itself: what they ask for, run and leave."""

import re
from pathlib import Path

import pytest

from tests.packaging.chroots import Chroot
from tests.packaging.support import GUEST, SERVER, Packages, output_of

pytestmark = pytest.mark.system

DROP_IN = "/etc/cloud/cloud.cfg.d/zz-vmw-cloudinit-guest.cfg"


def rpm(chroot: Chroot, *arguments: str | Path) -> str:
    """Run rpm of the host on the tree; its scriptlets run inside."""
    return output_of("rpm", "--root", chroot.root, *arguments)


def requirements(package: Path) -> set[str]:
    """Return what a package needs, but for what it needs of rpm itself."""
    needs = output_of("rpm", "-qp", "--requires", package).splitlines()
    return {need for need in needs if not need.startswith("rpmlib(")}


@pytest.fixture
def chroot(chroot: Chroot) -> Chroot:
    """Return a tree with an empty database of rpm's."""
    rpm(chroot, "--initdb")
    return chroot


def left_over(chroot: Chroot) -> set[str]:
    """Return what has our name, and the link that the guest makes."""
    return {path for path in chroot.files() if re.search("vmw.cloudinit", path)}


def test_they_need_what_distributions_call_it(rpms: Packages) -> None:
    serial = "(python3-pyserial or python3-serial)"
    assert requirements(rpms[GUEST]) == {"/bin/sh", "python(abi) >= 3.6", serial, "systemd"}
    assert requirements(rpms[SERVER]) == {
        *("/bin/sh", "python3 >= 3.11", "python3-click >= 8.1", "python3-jsonschema >= 4.10"),
        *(serial, "(python3-pyyaml or python3-PyYAML)", "systemd"),
    }


def test_the_guest_installs_runs_verifies_and_goes(chroot: Chroot, rpms: Packages) -> None:
    rpm(chroot, "--install", "--nodeps", rpms[GUEST])
    assert re.fullmatch(r"vmw-cloudinit-guest \S+\n", chroot.run("vmw-cloudinit-guest", "--version"))
    chroot.run("test", "-f", DROP_IN)
    assert rpm(chroot, "--verify", "--nodeps", GUEST) == ""

    rpm(chroot, "--erase", GUEST)
    assert left_over(chroot) == set()


def test_the_guest_leaves_a_provisioned_vm_alone(chroot: Chroot, rpms: Packages) -> None:
    instance = chroot / "/var/lib/cloud/instance"
    instance.parent.mkdir()
    instance.symlink_to("/var/lib/cloud/instances/i-0042")
    assert "vmw-cloudinit-guest enable" in rpm(chroot, "--install", "--nodeps", rpms[GUEST])
    assert not (chroot / DROP_IN).is_symlink()


def test_the_server_installs_runs_verifies_and_goes(chroot: Chroot, rpms: Packages) -> None:
    rpm(chroot, "--install", "--nodeps", rpms[SERVER])
    assert "meta-data" in chroot.run("vmw-cloudinit-metadata", "demo")
    definitions = chroot.run("stat", "--format=%A %U %G", "/etc/vmw-cloudinit-metadata/instances")
    assert definitions == "drwxr-x--- root vmw-cloudinit\n"
    shell = chroot.run("sh", "-c", "getent passwd vmw-cloudinit | cut -d: -f7")
    assert shell == "/usr/sbin/nologin\n"

    rpm(chroot, "--erase", SERVER)
    assert left_over(chroot) == set()


def test_both_live_on_one_machine(chroot: Chroot, rpms: Packages) -> None:
    rpm(chroot, "--install", "--nodeps", *rpms.values())
    assert rpm(chroot, "--verify", "--nodeps", GUEST, SERVER) == ""
