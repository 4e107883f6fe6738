"""The packages, built once for all tests, and a Debian to install them in."""

from pathlib import Path

import pytest

from tests.packaging.chroots import AT_HAND, Chroot
from tests.packaging.support import ROOT, Packages, output_of, packages_in


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Return the Debian packages, built with the tests that a build runs."""
    directory = tmp_path_factory.mktemp("debs")
    output_of(ROOT / "packaging/build-deb", directory)
    return packages_in(directory, "deb")


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Return the rpm packages."""
    directory = tmp_path_factory.mktemp("rpms")
    output_of(ROOT / "packaging/build-rpm", directory)
    return packages_in(directory, "rpm")


@pytest.fixture(scope="session")
def debian_12(tmp_path_factory: pytest.TempPathFactory) -> Chroot:
    """Return Debian 12 with what our packages need, and not with them; to be copied."""
    chroot = Chroot.unpacked(tmp_path_factory.mktemp("debian") / "12", "bookworm")
    chroot.install(*AT_HAND)
    return chroot


@pytest.fixture
def chroot(debian_12: Chroot, tmp_path: Path) -> Chroot:
    """Return a Debian 12 of one's own, with what our packages need, and not with them."""
    return debian_12.copied(tmp_path / "chroot")
