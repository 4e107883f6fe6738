from collections.abc import Sequence
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.checking.directories import check_directories
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.errors import Fault

NO_VM = "is served to no VM: the names of definitions end with .yaml or .yml, in small letters"
UNREAD = "is read by nobody: defaults stand in a file _defaults.yaml"
UNUSED = "is used by no definition: there is none in this directory or below it"


class Site:
    """A directory, and what is said of what lies in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str = "{}\n") -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def found(self) -> tuple[list[str], list[str]]:
        driver = FileDriver({"directory": str(self.path)})
        found = check_directories(driver, driver.directories())
        return self._lines(found.faults), self._lines(found.warnings)

    def _lines(self, found: Sequence[Fault]) -> list[str]:
        return [str(each).removeprefix(f"{self.path}/") for each in found]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("files", "warnings"),
    [
        (["web-01.yaml", "web-02.yml", "_defaults.yaml", "README.md", "_notes.yaml", ".x.YAML"], []),
        (["_defaults.yaml", "a/b/web-01.yaml", "a/_defaults.yaml", "a/setup.sh"], []),
        (["web-01.YAML", "web-02.Yml"], [f"web-01.YAML: {NO_VM}", f"web-02.Yml: {NO_VM}"]),
        (["web-01.yaml", "_defaults.yml"], [f"_defaults.yml: {UNREAD}"]),
        (["web-01.yaml", "_default.yaml"], [f"_default.yaml: {UNREAD}"]),
        (["web-01.yaml", "a/_defaults.yaml", "ab/web-02.yaml"], [f"a/_defaults.yaml: {UNUSED}"]),
        (["_defaults.yaml", "a/web.txt"], [f"_defaults.yaml: {UNUSED}"]),
        (["web-01.yaml", "_old/web.YAML", ".git/_defaults.yaml"], []),
    ],
)
def test_files_that_are_called_almost_like_others_are_told(
    files: list[str], warnings: list[str], site: Site
) -> None:
    for name in files:
        site.write(name)
    assert site.found() == ([], warnings)


def test_defaults_are_checked_by_themselves(site: Site) -> None:
    site.write("web-01.yaml")
    site.write("_defaults.yaml", "metadata:\n  region: eu\nnetwork:\n  netmask: 255.255.255.0\n")
    assert site.found() == ([], [])
    site.write("_defaults.yaml", "vms: [a]\nuserdata: {file: gone}\nnetwork:\n  adress: 192.0.2.1\n")
    assert site.found() == (
        [
            "_defaults.yaml:1: vms: belongs to one definition; it cannot be a default",
            "_defaults.yaml:2: userdata.file: cannot be read: there is no such file",
            "_defaults.yaml:4: network.adress: is not a known key; did you mean address?",
        ],
        [],
    )


def test_what_cannot_be_read_is_for_the_definitions_to_tell(site: Site) -> None:
    site.write("web-01.yaml")
    (site.path / "_defaults.yaml").mkdir()
    assert site.found() == ([], [])


def test_directories_that_are_not_looked_into_are_a_fault(site: Site) -> None:
    site.write("web-01.yaml")
    (site.path / "others").symlink_to("/")
    link = site.path / "others"
    text = f"{link} is a link that leads out of the directory: what is in it is not served"
    assert site.found() == ([f"{site.path}: {text}"], [])
