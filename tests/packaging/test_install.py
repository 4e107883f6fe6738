"""Both packages in chroots of Debian releases: installed, run, upgraded, removed, purged; nothing is left."""

import re
from pathlib import Path

import pytest

from tests.packaging.chroots import Chroot
from tests.packaging.support import GUEST, SERVER, Packages, output_of

pytestmark = pytest.mark.system

DROP_IN = "/etc/cloud/cloud.cfg.d/zz-vmw-cloudinit-guest.cfg"
CONFIGURATION = {DROP_IN, "/etc/vmw-cloudinit-guest.conf", "/etc/cloud/clean.d/50-vmw-cloudinit-guest"}
# By which systemd's helper remembers, until the purge, whether a unit is enabled.
UNIT_KEPT = re.compile(
    r"/(etc/systemd/system|var/lib/systemd/deb-systemd-helper-enabled)/.*\.(service|socket)"
)
DEFINITIONS = "/etc/vmw-cloudinit-metadata/instances"


def older(package: Path, directory: Path) -> Path:
    """Return the package with an older version, to upgrade from."""
    content = directory / "older"
    output_of("dpkg-deb", "--raw-extract", package, content)
    control = content / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 0.0.9", control.read_text()))
    result = directory / "older.deb"
    output_of("dpkg-deb", "--build", "--root-owner-group", "-Znone", content, result)
    return result


def owned(chroot: Chroot, package: str) -> set[str]:
    """Return the files of an installed package, without directories."""
    paths = chroot.run("dpkg-query", "--listfiles", package).splitlines()
    return {path for path in paths if not (chroot / path).is_dir()}


def ours(files: set[str]) -> set[str]:
    """Return the paths that have our name in them."""
    return {path for path in files if re.search("vmw.cloudinit", path)}


@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie"])
def test_the_guest_comes_alone_and_leaves_nothing(suite: str, debs: Packages, tmp_path: Path) -> None:
    chroot = Chroot.unpacked(tmp_path / suite, suite)

    chroot.install(debs[GUEST])
    assert re.fullmatch(r"vmw-cloudinit-guest \S+\n", chroot.run("vmw-cloudinit-guest", "--version"))
    no_port = chroot.attempt("vmw-cloudinit-guest", "fetch", "--timeout", "1")
    assert (no_port.returncode, "Traceback" in no_port.stdout) == (6, False), no_port.stdout
    for unit in ("vmw-cloudinit-guest.service", "vmw-cloudinit-guest-report.service"):
        assert (chroot / "/etc/systemd/system/cloud-init.target.wants" / unit).is_symlink()
    chroot.run("test", "-f", DROP_IN)

    chroot.remove(GUEST, purge=True)
    before = chroot.files()
    assert ours(before) == set()

    chroot.install(older(debs[GUEST], tmp_path))
    (chroot / "/etc/vmw-cloudinit-guest.conf").write_text("port = ttyS1\n")
    chroot.install(debs[GUEST])
    assert (chroot / "/etc/vmw-cloudinit-guest.conf").read_text() == "port = ttyS1\n"
    chroot.run("vmw-cloudinit-guest", "--version")

    chroot.remove(GUEST)
    left = {
        path for path in chroot.files() - before if (chroot / path).is_symlink() or (chroot / path).is_file()
    }
    assert {path for path in left if not UNIT_KEPT.match(path)} == CONFIGURATION
    chroot.remove(GUEST, purge=True)
    assert chroot.files() == before


def test_a_vm_that_is_provisioned_is_not_enabled_and_told_so(
    chroot: Chroot, debs: Packages, tmp_path: Path
) -> None:
    instance = chroot / "/var/lib/cloud/instance"
    instance.parent.mkdir()
    instance.symlink_to("/var/lib/cloud/instances/i-0042")

    assert "vmw-cloudinit-guest enable" in chroot.install(debs[GUEST])
    assert not (chroot / DROP_IN).is_symlink()

    chroot.run("vmw-cloudinit-guest", "enable")
    chroot.run("vmw-cloudinit-guest", "disable")
    chroot.install(older(debs[GUEST], tmp_path))
    chroot.install(debs[GUEST])
    assert not (chroot / DROP_IN).is_symlink()


def test_a_removed_guest_is_enabled_again_when_it_comes_back(
    chroot: Chroot, debs: Packages, tmp_path: Path
) -> None:
    chroot.install(debs[GUEST])
    chroot.remove(GUEST)
    assert chroot.attempt("test", "-f", DROP_IN).returncode == 1
    chroot.install(debs[GUEST])
    chroot.run("test", "-f", DROP_IN)
    (chroot / DROP_IN).unlink()
    (chroot / DROP_IN).write_text("datasource_list: [ None ]\n")
    chroot.remove(GUEST, purge=True)
    assert (chroot / DROP_IN).read_text() == "datasource_list: [ None ]\n"


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_server_runs_and_leaves_only_definitions(suite: str, debs: Packages, tmp_path: Path) -> None:
    chroot = Chroot.unpacked(tmp_path / suite, suite)

    chroot.install(debs[SERVER])
    shown = chroot.run("vmw-cloudinit-metadata", "demo")
    assert "meta-data" in shown
    assert chroot.run("stat", "--format=%A %U %G", DEFINITIONS) == "drwxr-x--- root vmw-cloudinit\n"
    assert (
        chroot / "/etc/systemd/system/multi-user.target.wants/vmw-cloudinit-metadata.service"
    ).is_symlink()
    chroot.run("bash", "-n", "/usr/share/bash-completion/completions/vmw-cloudinit-metadata")

    chroot.remove(SERVER, purge=True)
    before = chroot.files()
    assert ours(before) == set()

    chroot.install(older(debs[SERVER], tmp_path))
    (chroot / DEFINITIONS / "web-01.yaml").write_text("metadata: {instance-id: i-1}\n")
    chroot.install(debs[SERVER])
    assert (chroot / DEFINITIONS / "web-01.yaml").read_text() == "metadata: {instance-id: i-1}\n"
    chroot.run("vmw-cloudinit-metadata", "--version")

    # What an operator wrote is not a package's to delete.
    chroot.remove(SERVER, purge=True)
    assert chroot.files() - before == {
        str(Path(DEFINITIONS).parent),
        DEFINITIONS,
        f"{DEFINITIONS}/web-01.yaml",
    }


def test_both_live_on_one_machine(chroot: Chroot, debs: Packages, tmp_path: Path) -> None:
    chroot.install(*debs.values())
    assert owned(chroot, GUEST) & owned(chroot, SERVER) == set()
    chroot.run("vmw-cloudinit-guest", "--version")
    chroot.run("vmw-cloudinit-metadata", "demo")
