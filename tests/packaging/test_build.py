"""The builds: the same bytes from the same tree, whoever builds; nothing that lintian has to say."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from tests.packaging.chroots import Chroot
from tests.packaging.support import ROOT, Packages, output_of, packages_in

pytestmark = pytest.mark.system

# What differs between two people who build. The tests that a build runs do not change its result.
SOMEBODY_ELSE = {
    "DEB_BUILD_OPTIONS": "nocheck",
    "LC_ALL": "C.UTF-8",
    "TZ": "Pacific/Kiritimati",
    "USER": "other",
}


def _digests(packages: Packages) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in packages.values()}


def _build_elsewhere(program: str, directory: Path) -> None:
    elsewhere = directory / "another-directory"
    elsewhere.mkdir()
    command = ("sh", "-c", 'umask 077; exec "$@"', "sh", ROOT / "packaging" / program, directory)
    output_of(*command, TMPDIR=str(elsewhere), **SOMEBODY_ELSE)


def test_debian_packages_built_twice_are_the_same(debs: Packages, tmp_path: Path) -> None:
    _build_elsewhere("build-deb", tmp_path)
    assert _digests(packages_in(tmp_path, "deb")) == _digests(debs)


def test_rpm_packages_built_twice_are_the_same(rpms: Packages, tmp_path: Path) -> None:
    _build_elsewhere("build-rpm", tmp_path)
    assert _digests(packages_in(tmp_path, "rpm")) == _digests(rpms)


def test_a_build_leaves_the_tree_as_it_was(debs: Packages, rpms: Packages) -> None:
    ignored = output_of("git", "-C", ROOT, "status", "--porcelain", "--ignored", "debian", "packaging")
    assert [line for line in ignored.splitlines() if line.startswith("!!")] == []


def test_lintian_has_nothing_to_say(debs: Packages) -> None:
    (changes,) = {path.parent for path in debs.values()}.pop().glob("*.changes")
    said = subprocess.run(
        ("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "")


def _build_dependencies() -> list[str]:
    """Return the real packages that debian/control names, or names by what they provide."""
    control = (ROOT / "debian/control").read_text()
    named = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.MULTILINE)
    assert named is not None
    names = {line.strip(" ,").split()[0] for line in named[1].splitlines()}
    real = {name for name in names if not name.startswith(("debhelper-compat", "dh-sequence-"))}
    return sorted(real | {"build-essential", "debhelper", "dh-python"})


def test_debian_13_builds_them_with_what_the_control_file_names(tmp_path: Path) -> None:
    chroot = Chroot.unpacked(tmp_path / "trixie", "trixie", at_hand=_build_dependencies())
    output_of(ROOT / "packaging/copy-tree", chroot / "/build/tree")

    chroot.run("apt-get", "build-dep", "--yes", "--no-install-recommends", "/build/tree")
    built = chroot.run("sh", "-c", "cd /build/tree && dpkg-buildpackage --build=binary --no-sign 2>&1")
    # Some are left out: they need root, or ssh-keygen, which is not there. A failure ends the build.
    assert re.search(r"=== \d+ passed\b.* in ", built), built[built.find("test session starts") :][-3000:]

    contents = {
        name: output_of("dpkg-deb", "--contents", path)
        for name, path in packages_in(chroot / "/build", "deb").items()
    }
    # Where Debian 13 keeps them.
    for name in contents:
        assert f" ./usr/lib/systemd/system/{name}.service\n" in contents[name]
        assert " ./lib/" not in contents[name]
