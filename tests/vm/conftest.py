"""What the VM tests share: the packages of this tree, and images they are installed in."""

import os
from pathlib import Path

import pytest

from tests.support.vm import Image, build_image, build_packages


@pytest.fixture(scope="session")
def packages() -> dict[str, Path]:
    if os.geteuid() != 0:
        pytest.exit("make vm-test makes images of Debian: run it as root", returncode=2)
    return build_packages()


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suite(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def template(suite: str, packages: dict[str, Path]) -> Image:
    """A template: vmw-cloudinit-guest installed with apt, and sealed."""
    return build_image(suite, packages["vmw-cloudinit-guest"])


@pytest.fixture(scope="module")
def host(suite: str, packages: dict[str, Path]) -> Image:
    """A host of the server: vmw-cloudinit-metadata installed with apt."""
    return build_image(suite, packages["vmw-cloudinit-metadata"])
