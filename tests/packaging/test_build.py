"""The builds: the same bytes from the same tree, whoever builds; nothing that lintian has to say."""

import hashlib
import subprocess
from pathlib import Path

import pytest

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
