"""One version, wherever it is written down."""

import re
import tomllib
from pathlib import Path

import pytest

import vmw_cloudinit_guest

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_guest_has_the_version_of_the_distribution() -> None:
    assert vmw_cloudinit_guest.__version__ == VERSION


def test_the_debian_changelog_begins_with_the_version_of_the_distribution() -> None:
    first = (ROOT / "debian/changelog").read_text().splitlines()[0]
    assert first.startswith(f"vmw-cloudinit-metadata ({VERSION}) ")


def test_the_changelog_has_an_entry_for_the_version() -> None:
    entries = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert VERSION in entries


@pytest.mark.parametrize("spec", sorted((ROOT / "packaging/rpm").glob("*.spec")), ids=lambda path: path.stem)
def test_an_rpm_has_the_version_of_the_distribution(spec: Path) -> None:
    assert re.findall(r"^Version:\s*(\S+)", spec.read_text(), re.MULTILINE) == [VERSION]


def test_there_is_a_spec_for_each_package() -> None:
    packages = re.findall(r"^Package: (\S+)", (ROOT / "debian/control").read_text(), re.MULTILINE)
    assert sorted(packages) == sorted(path.stem for path in (ROOT / "packaging/rpm").glob("*.spec"))
