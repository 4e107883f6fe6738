"""What the packages hold: the same files as .deb and as .rpm, and no file twice."""

import re
from pathlib import Path

import pytest

from tests.packaging.support import GUEST, ROOT, SERVER, Packages, output_of

pytestmark = pytest.mark.system

# What a packaging system adds, each in its own way.
_DEBIAN_ADDS = re.compile(r"/usr/share/(doc|lintian|python3)/")
_RPM_ADDS = re.compile(r"/usr/share/licenses/")
# Where the server's modules are: Debian's Python finds them itself.
_MODULES = re.compile(r"/usr/lib/python3/dist-packages/|/usr/share/vmw-cloudinit-metadata/python/")


def _in_deb(package: Path) -> dict[str, str]:
    """Return the files of a .deb, where they are on a system with merged /usr, and their modes."""
    files = {}
    for line in output_of("dpkg-deb", "--contents", package).splitlines():
        mode, _owner, _size, _day, _time, path = line.split(maxsplit=5)
        path = re.sub(r"^\.(/lib/)?", lambda start: "/usr/lib/" if start[1] else "", path)
        if not mode.startswith("d") and not _DEBIAN_ADDS.match(path):
            files[path] = mode
    return files


def _in_rpm(package: Path) -> dict[str, str]:
    """Return the files of an .rpm and their modes."""
    listed = output_of("rpm", "-qp", "--queryformat", r"[%{FILEMODES:perms} %{FILENAMES}\n]", package)
    files = (line.split(maxsplit=1) for line in listed.splitlines())
    return {path: mode for mode, path in files if mode[0] != "d" and not _RPM_ADDS.match(path)}


def test_the_guest_has_the_same_files_as_deb_and_as_rpm(debs: Packages, rpms: Packages) -> None:
    assert _in_deb(debs[GUEST]) == _in_rpm(rpms[GUEST])


def test_the_guest_has_every_module_of_its_two_packages(debs: Packages) -> None:
    modules = {
        "/usr/share/vmw-cloudinit-guest/" + str(path.relative_to(ROOT / "guest"))
        for path in (ROOT / "guest").glob("vmw_cloudinit_*/*.py")
    }
    assert modules <= _in_deb(debs[GUEST]).keys()


def test_everything_in_the_guests_packaging_directory_is_shipped(debs: Packages) -> None:
    shipped = {Path(path).name for path in _in_deb(debs[GUEST])}
    for source in (ROOT / "packaging/guest").rglob("*"):
        if source.is_file():
            assert {source.name, source.stem, f"50-{source.name}"} & shipped, source


def test_the_server_has_the_same_files_as_deb_and_as_rpm(debs: Packages, rpms: Packages) -> None:
    def but_modules(files: dict[str, str]) -> set[str]:
        # Zsh looks for completions of packages in directories that distributions have named.
        return {
            re.sub("/zsh/(vendor-completions|site-functions)/", "/zsh/", path)
            for path in files
            if not _MODULES.match(path)
        }

    def modules(files: dict[str, str]) -> set[str]:
        found = {_MODULES.sub("", path) for path in files if _MODULES.match(path)}
        return {path for path in found if ".dist-info/" not in path}

    deb, rpm = _in_deb(debs[SERVER]), _in_rpm(rpms[SERVER])
    assert but_modules(deb) == but_modules(rpm)
    assert modules(deb) == modules(rpm)


def test_the_server_has_every_file_of_its_modules(debs: Packages) -> None:
    source = ROOT / "server"
    tracked = output_of("git", "-C", source, "ls-files", "-co", "--exclude-standard").split()
    shipped = {_MODULES.sub("", path) for path in _in_deb(debs[SERVER])}
    assert set(tracked) <= shipped


def test_no_file_is_in_both_packages(debs: Packages, rpms: Packages) -> None:
    assert _in_deb(debs[GUEST]).keys() & _in_deb(debs[SERVER]).keys() == set()
    assert _in_rpm(rpms[GUEST]).keys() & _in_rpm(rpms[SERVER]).keys() == set()
