import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.drivers.store import GOOD, refused
from vmw_cloudinit_metadata.definition import MAX_DEFINITION, Definition
from vmw_cloudinit_metadata.drivers.loading import Loader
from vmw_cloudinit_metadata.drivers.reading import SETTLED_NS
from vmw_cloudinit_metadata.errors import DefinitionError, Fault


class Site:
    """A directory and its loader, whose clock is beyond all files unless a test says otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.age = SETTLED_NS * 2
        self.loader = Loader(str(root), lambda: time.time_ns() + self.age)

    def write(self, name: str, text: str | bytes) -> str:
        """Write by renaming, so that each change has a signature of its own."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = self.root / "_new"
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.rename(path)
        return str(path)

    def path(self, name: str) -> str:
        return str(self.root / name)

    def load(self, name: str) -> Definition:
        definition = self.loader.load(self.path(name))
        assert definition is not None
        return definition

    def read(self, relative: str, beside: str = "a/web-01.yaml") -> bytes:
        return self.loader.read_file(self.path(beside), relative)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "instances" / "a").mkdir(parents=True)
    return Site(tmp_path / "instances")


# Definitions and the defaults on the way to them


def test_a_definition_is_loaded_with_the_defaults_on_the_way_the_inner_over_the_outer(site: Site) -> None:
    site.write("_defaults.yaml", "metadata: {region: outer, ami-id: outer}\n")
    site.write("a/_defaults.yaml", "metadata: {region: inner}\n")
    site.write("b/_defaults.yaml", "metadata: {availability-zone: b}\n")
    site.write("a/c/web-01.yaml", GOOD.format("one"))
    metadata = site.load("a/c/web-01.yaml").instance().metadata
    assert metadata is not None
    assert (metadata.region, metadata.ami_id, metadata.availability_zone) == ("inner", "outer", None)
    assert metadata.hostname == "one"


def test_where_there_is_no_file_there_is_no_definition(site: Site) -> None:
    assert site.loader.load(site.path("web-01.yaml")) is None
    assert site.loader.load(site.path("no/web-01.yaml")) is None
    (site.root / "web-02.yaml").symlink_to("missing")
    assert site.loader.load(site.path("web-02.yaml")) is None


def test_faults_name_the_file_that_has_them(site: Site) -> None:
    defaults = site.write("_defaults.yaml", "metadata:\n  region: [x]\n")
    path = site.write("a/web-01.yaml", "metadata: {hostname: one, instance-id: i-1}\nxyz: x\n")
    with pytest.raises(DefinitionError) as raised:
        site.load("a/web-01.yaml")
    assert {(fault.source, fault.line) for fault in raised.value.faults} == {(defaults, 2), (path, 2)}


@pytest.mark.parametrize("name", ["a/web-01.yaml", "a/_defaults.yaml", "_defaults.yaml"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "is a link that leads out of the directory"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
        (lambda path: os.mkfifo(path), "is not a file"),
        (lambda path: path.mkdir(), "is not a file"),
    ],
)
def test_what_is_no_file_inside_is_not_read(
    site: Site, name: str, make: Callable[[Path], object], sentence: str
) -> None:
    if name != "a/web-01.yaml":
        site.write("a/web-01.yaml", GOOD.format("one"))
    make(site.root / name)
    with pytest.raises(DefinitionError) as raised:
        site.load("a/web-01.yaml")
    assert raised.value.faults == (Fault(site.path(name), 0, "", sentence),)
    assert str(raised.value) == f"{site.path(name)}: {sentence}"


def test_a_name_with_line_ends_is_one_line_of_a_fault_and_its_neighbours_are_still_found(site: Site) -> None:
    site.write("a\nb/web\n01.yaml", GOOD.format("one"))
    site.write("a\nb/motd", "hello")
    site.write("a\nb/_defaults.yaml", "xyz: x\n")
    with pytest.raises(DefinitionError) as raised:
        site.load("a\nb/web\n01.yaml")
    assert "\n" not in str(raised.value)
    assert site.read("motd", "a\nb/web\n01.yaml") == b"hello"


# Files that definitions name


@pytest.mark.parametrize(
    "relative", ["motd", "./motd", "../a/motd", "../motd", "deep/er/motd", "link", "../_files/motd"]
)
def test_a_path_is_relative_to_the_file_that_says_it_and_ends_inside(site: Site, relative: str) -> None:
    for name in ("a/motd", "motd", "a/deep/er/motd", "_files/motd"):
        site.write(name, b"\0\xff bytes")
    (site.root / "a/link").symlink_to("../_files/motd")
    assert site.read(relative) == b"\0\xff bytes"


@pytest.mark.parametrize(
    "relative", ["web-02.yaml", "../db/db-01.yml", "_defaults.yaml", "../_defaults.yaml", "b/../web-02.yaml"]
)
def test_a_definition_is_no_part_of_another(site: Site, relative: str) -> None:
    for name in ("a/web-02.yaml", "db/db-01.yml", "a/_defaults.yaml", "_defaults.yaml", "a/b/x"):
        site.write(name, "token: hunter2-hunter2\n")
    with pytest.raises(DefinitionError, match=r"^is a definition; what a definition names does not end in"):
        site.read(relative)


def test_a_file_that_is_yaml_lies_in_a_directory_that_is_not_looked_into(site: Site) -> None:
    site.write("_files/users.yaml", "users: []\n")
    site.write("a/_files/users.yaml", "users: []\n")
    assert site.read("../_files/users.yaml") == site.read("_files/users.yaml") == b"users: []\n"


@pytest.mark.parametrize(
    ("relative", "sentence"),
    [
        ("../../secret", "leads out of the directory"),
        ("../../instances-of-others/secret", "leads out of the directory"),
        ("out", "leads out of the directory"),
        ("out-dir/secret", "leads out of the directory"),
        ("x/../../../secret", "leads out of the directory"),
        ("/etc/passwd", "is not the path of a file from the directory of this one"),
        ("", "is not the path of a file from the directory of this one"),
        ("motd\0", "is not the path of a file from the directory of this one"),
        ("\ud800", "is not the path of a file from the directory of this one"),
        ("missing", "cannot be read: there is no such file"),
        ("motd/deeper", "cannot be read: there is no such file"),
        ("x" * 300, "cannot be read: there is no such file"),
        ("nowhere", "cannot be read: there is no such file"),
        ("circle", "cannot be read: Too many levels of symbolic links"),
        ("fifo", "is not a file"),
        (".", "is not a file"),
        ("..", "is not a file"),
    ],
)
def test_what_is_no_file_inside_is_refused(site: Site, relative: str, sentence: str) -> None:
    outside = site.root.parent / "instances-of-others"
    outside.mkdir()
    (outside / "secret").write_text("hunter2")
    (site.root.parent / "secret").write_text("hunter2")
    site.write("a/motd", "x")
    for name, target in (
        ("out", outside / "secret"),
        ("out-dir", outside),
        ("nowhere", "missing"),
        ("circle", "circle"),
    ):
        (site.root / "a" / name).symlink_to(target)
    os.mkfifo(site.root / "a/fifo")
    with pytest.raises(DefinitionError) as raised:
        site.read(relative)
    assert str(raised.value) == sentence


def test_a_device_is_refused(site: Site) -> None:
    loader = Loader("/dev", time.time_ns)
    with pytest.raises(DefinitionError, match=r"^is not a file$"):
        loader.read_file("/dev/web-01.yaml", "zero")


def test_a_file_without_permission_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write("a/motd", "x")
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(DefinitionError, match=r"^cannot be read: Permission denied$"):
        site.read("motd")


def test_a_file_may_be_as_long_as_a_definition_and_no_longer(site: Site) -> None:
    site.write("a/motd", bytes(MAX_DEFINITION))
    assert len(site.read("motd")) == MAX_DEFINITION
    site.write("a/motd", bytes(MAX_DEFINITION + 1))
    with pytest.raises(DefinitionError, match=r"^is longer than 4 MiB$"):
        site.read("motd")


# What was read


def noted(site: Site) -> dict[str, object]:
    with site.loader.noting() as files:
        site.loader.load(site.path("a/web-01.yaml"))
    return {os.path.relpath(path, site.root): file.signature for path, file in files.items()}


def test_each_file_is_noted_that_a_definition_was_made_of_or_would_be(site: Site) -> None:
    site.write("_defaults.yaml", "metadata: {region: x}\n")
    site.write("a/web-01.yaml", GOOD.format("one"))
    notes = noted(site)
    assert list(notes) == ["a/web-01.yaml", "_defaults.yaml", "a/_defaults.yaml"]
    assert notes["a/_defaults.yaml"] is None
    assert notes["_defaults.yaml"] is not None


def test_files_are_noted_in_the_thread_that_reads_them(site: Site) -> None:
    site.write("a/one", "1")
    site.write("a/two", "2")
    with site.loader.noting() as files:
        site.read("one")
        other = threading.Thread(target=site.read, args=("two",))
        other.start()
        other.join()
    site.read("two")
    assert [os.path.basename(path) for path in files] == ["one"]


def test_nothing_is_renewed_as_long_as_nothing_is_touched(site: Site) -> None:
    site.write("a/motd", "x")
    with site.loader.noting() as files:
        site.read("motd")
        with pytest.raises(DefinitionError):
            site.read("missing")
    assert site.loader.renewed(files) is files


def test_a_file_that_was_merely_touched_is_the_same_with_another_signature(site: Site) -> None:
    path = site.write("a/motd", "x")
    with site.loader.noting() as files:
        site.read("motd")
    os.utime(path, ns=(1, 1))
    renewed = site.loader.renewed(files)
    assert renewed is not None
    assert renewed[path].digest == files[path].digest
    assert renewed[path].signature != files[path].signature
    assert site.loader.renewed(renewed) is renewed


def test_a_young_file_is_read_until_it_has_settled(site: Site) -> None:
    path = site.write("a/motd", "x")
    site.age = 0
    with site.loader.noting() as files:
        site.read("motd")
    assert not files[path].settled
    site.age = SETTLED_NS * 2
    renewed = site.loader.renewed(files)
    assert renewed is not None
    assert renewed[path].settled


@pytest.mark.parametrize(
    "act",
    [
        lambda site: site.write("a/motd", "y"),
        lambda site: os.unlink(site.path("a/motd")),
        lambda site: site.write("a/missing", "x"),
        lambda site: (site.root / "a/missing").mkdir(),
        lambda site: site.write("a/missing", ""),
    ],
    ids=["changed", "gone", "come", "become a directory", "come empty"],
)
def test_what_has_other_contents_is_not_renewed(site: Site, act: Callable[[Site], object]) -> None:
    site.write("a/motd", "x")
    with site.loader.noting() as files:
        site.read("motd")
        with pytest.raises(DefinitionError):
            site.read("missing")
    act(site)
    assert site.loader.renewed(files) is None


def test_what_could_not_be_read_is_never_the_same(site: Site) -> None:
    os.mkfifo(site.root / "a/fifo")
    with site.loader.noting() as files, pytest.raises(DefinitionError):
        site.read("fifo")
    assert site.loader.renewed(files) is None
