import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.drivers import tree as tree_module
from vmw_cloudinit_metadata.drivers.reading import SETTLED_NS, Signature
from vmw_cloudinit_metadata.drivers.tree import LISTING_SECONDS, Tree
from vmw_cloudinit_metadata.errors import DriverBusyError


class Site:
    """A directory, its tree, and both clocks: of files all are old, unless a test says otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.age = SETTLED_NS * 2
        self.now = 1000.0
        self.tree = Tree(
            str(root), logging.getLogger("tree"), lambda: time.time_ns() + self.age, lambda: self.now
        )

    def make(self, *directories: str) -> None:
        for directory in directories:
            (self.root / directory).mkdir(parents=True)

    def write(self, *paths: str) -> None:
        for path in paths:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text("x")

    def directories(self, now: bool = True) -> list[str]:
        self.now += 0.001
        return [os.path.relpath(path, self.root) for path in self.tree.directories(now)]

    def find(self, stem: str) -> list[str]:
        self.now += 0.001
        return [os.path.relpath(path, self.root) for path in self.tree.find(stem)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "instances").mkdir()
    return Site(tmp_path / "instances")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that were listed, in order."""
    names: list[str] = []
    really_list = tree_module._list

    def note(path: str, signature: Signature, now_ns: int) -> tree_module._Below:
        names.append(Path(path).name)
        return really_list(path, signature, now_ns)

    monkeypatch.setattr(tree_module, "_list", note)
    return names


# Which directories there are


def test_all_directories_below_are_found_the_outermost_first(site: Site) -> None:
    site.make("b", "a/deep/deeper", "c d", "größe")
    assert site.directories() == [".", "a", "b", "c d", "größe", "a/deep", "a/deep/deeper"]


def test_what_begins_with_an_underscore_or_a_dot_is_not_looked_into_nor_what_is_called_like_a_file(
    site: Site,
) -> None:
    site.make("_files/more", ".git/refs", "..data", "folder.yaml", "folder.yml", "web.d")
    site.write("web-01.yaml", "README")
    assert site.directories() == [".", "web.d"]


def test_a_directory_of_a_config_map_is_reached_by_its_link(site: Site) -> None:
    site.make("..v1/web", "..v2/web", "..v2/db")
    (site.root / "..data").symlink_to("..v1")
    (site.root / "web").symlink_to("..data/web")
    assert site.directories() == [".", "web"]
    (site.root / "new").symlink_to("..v2")
    (site.root / "new").rename(site.root / "..data")
    (site.root / "db").symlink_to("..data/db")
    assert site.directories() == [".", "db", "web"]


def test_a_directory_that_is_reached_in_several_ways_is_one(site: Site) -> None:
    site.make("releases/42/web")
    (site.root / "current").symlink_to("releases/42")
    (site.root / "a-link").symlink_to("releases")
    (site.root / "releases/42/up").symlink_to(site.root)
    (site.root / "self").symlink_to(".")
    assert site.directories() == [".", "releases", "releases/42", "releases/42/web"]


def test_a_link_that_leads_out_is_not_followed_and_said_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    outside = site.root.parent / "instances-of-others"
    outside.mkdir()
    (outside / "inside").mkdir()
    (site.root / "out").symlink_to(outside)
    (site.root / "nowhere").symlink_to("missing")
    (site.root / "circle").symlink_to("circle")
    for _ in range(2):
        assert site.directories() == ["."]
        site.make(f"_{time.time_ns()}")  # so that all is listed again
    assert caplog.messages == [
        f"{site.root}/out is a link that leads out of the directory: what is in it is not served"
    ]


def test_what_is_too_deep_is_not_looked_into_and_said_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    steps = [str(number) for number in range(1, 11)]
    site.make("/".join(steps))
    assert site.directories()[-1] == "1/2/3/4/5/6/7/8"
    assert caplog.messages == [
        f"{site.root}/1/2/3/4/5/6/7/8/9 is more than 8 directories deep: what is in it is not served"
    ]


def test_there_is_a_limit_to_the_number_of_directories(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tree_module, "MAX_DIRECTORIES", 3)
    site.make("a", "b")
    assert site.directories() == [".", "a", "b"]
    assert caplog.messages == []
    site.make("c")
    assert site.directories() == [".", "a", "b"]
    assert caplog.messages == [f"{site.root} has more than 3 directories; not all are looked into"]


def test_a_directory_that_cannot_be_read_is_said_once_and_harms_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.write("a/web-01.yaml", "b/web-02.yaml")
    really_access = os.access
    # Root may read anything, so the refusal is made here.
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: not path.endswith("/a") and really_access(path, mode))
        assert site.directories() == [".", "b"]
        assert site.find("web-01") == []
        assert site.find("web-02") == ["b/web-02.yaml"]
    assert caplog.messages == [
        f"{site.root}/a cannot be read: Permission denied: what is in it is not served"
    ]
    os.utime(site.root / "a", ns=(1, 1))  # as a change of its mode changes another of its times
    assert site.find("web-01") == ["a/web-01.yaml"]


def test_who_may_have_a_definition_in_a_directory_that_could_be_read_before_waits(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write("a/web-01.yaml", "lost+found/x.yaml")
    really_access, closed = os.access, ["/lost+found"]
    monkeypatch.setattr(
        os, "access", lambda path, mode: not path.endswith(tuple(closed)) and really_access(path, mode)
    )
    assert site.directories() == [".", "a"]
    site.tree.check()  # what could never be read is no reason to wait
    closed.append("/a")
    for _ in range(2):
        site.make(f"_{time.time_ns()}")  # so that all is listed again
        assert site.directories() == ["."]
        with pytest.raises(DriverBusyError, match=r"instances/a cannot be read$"):
            site.tree.check()
    closed.remove("/a")
    assert site.directories() == [".", "a"]
    site.tree.check()


def test_a_directory_that_goes_while_it_is_listed_is_none(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.make("a", "b")
    really_list = tree_module._list

    def remove_then_list(path: str, signature: Signature, now_ns: int) -> tree_module._Below:
        if path.endswith("/a"):
            os.rmdir(path)
        return really_list(path, signature, now_ns)

    monkeypatch.setattr(tree_module, "_list", remove_then_list)
    assert site.directories() == [".", "b"]


# When they are listed


def test_as_long_as_nothing_changes_nothing_is_listed(site: Site, listed: list[str]) -> None:
    site.write("a/web-01.yaml")
    assert site.directories() == [".", "a"]
    listed.clear()
    for _ in range(3):
        site.now += LISTING_SECONDS * 2
        site.find("web-01")
        site.find("web-02")
    assert listed == []


def test_only_directories_that_have_changed_are_listed_again(site: Site, listed: list[str]) -> None:
    site.make("a/deep", "b", "c")
    assert len(site.directories()) == 5
    listed.clear()
    site.write("b/web-01.yaml")
    site.make("a/deep/deeper")
    assert site.directories() == [".", "a", "b", "c", "a/deep", "a/deep/deeper"]
    assert listed == ["b", "deep", "deeper"]


def test_a_directory_that_has_just_changed_is_listed_again_until_it_has_settled(
    site: Site, listed: list[str]
) -> None:
    site.age = 0
    site.make("a", "b")
    assert site.directories() == [".", "a", "b"]
    site.age = SETTLED_NS * 2
    for expected in ([".", "a", "b"], ["a"]):
        listed.clear()
        site.write(f"a/{time.time_ns()}")
        site.directories()
        assert [name.replace("instances", ".") for name in listed] == expected


def test_a_directory_with_a_link_is_listed_again_with_any_other(site: Site, listed: list[str]) -> None:
    site.make("_store", "a")
    (site.root / "link").symlink_to("_store/now")
    assert site.directories() == [".", "a"]
    site.make("_store/now", "a/b")
    assert site.directories() == [".", "a", "a/b", "link"]


def test_a_new_directory_is_found_within_seconds_by_who_has_a_definition_already(
    site: Site, listed: list[str]
) -> None:
    site.write("web-01.yaml")
    assert site.find("web-01") == ["web-01.yaml"]
    listed.clear()
    site.write("a/web-01.yml")
    assert site.find("web-01") == ["web-01.yaml"]
    assert listed == []
    site.now += LISTING_SECONDS
    assert site.find("web-01") == ["web-01.yaml", "a/web-01.yml"]


def test_a_new_directory_is_found_at_once_by_who_has_none(site: Site) -> None:
    assert site.find("web-01") == []
    site.write("new/deep/web-01.yaml")
    assert site.find("web-01") == ["new/deep/web-01.yaml"]


def test_what_changed_in_the_same_tick_of_the_file_systems_clock_is_found_within_seconds(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.age = 0
    assert site.directories() == ["."]
    frozen = Signature.of(os.stat(site.root))
    site.make("a")
    with monkeypatch.context() as patch:
        patch.setattr(Signature, "of", lambda _: frozen)
        assert site.directories() == ["."]
    site.now += LISTING_SECONDS
    assert site.directories(now=False) == [".", "a"]


def test_a_directory_that_is_away_has_nothing_and_is_looked_for_each_time(site: Site) -> None:
    site.write("a/web-01.yaml")
    away = site.root.rename(site.root.with_name("away"))
    assert site.directories() == []
    assert site.find("web-01") == []
    away.rename(site.root)
    assert site.find("web-01") == ["a/web-01.yaml"]


def test_who_asks_while_another_lists_gets_what_that_one_finds(site: Site, listed: list[str]) -> None:
    site.make("a")
    together = threading.Barrier(8)
    found: list[list[str]] = []

    def ask() -> None:
        together.wait()
        found.append(site.tree.directories(now=True))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(listed) == 2
    assert found == [[str(site.root), f"{site.root}/a"]] * 8


# Where files are


def test_a_file_is_found_wherever_it_is_with_either_suffix(site: Site) -> None:
    site.write("a/web-01.yaml", "a/b/web-02.yml", "web-03.yaml", "_files/web-04.yaml")
    found = [site.find(f"web-0{number}") for number in range(1, 5)]
    assert found == [["a/web-01.yaml"], ["a/b/web-02.yml"], ["web-03.yaml"], []]


def test_a_file_that_is_there_twice_is_found_twice(site: Site) -> None:
    site.write("web-01.yaml", "a/web-01.yml", "a/web-01.yaml")
    assert site.find("web-01") == ["web-01.yaml", "a/web-01.yaml", "a/web-01.yml"]


@pytest.fixture
def during_the_look(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Callable[[], object]], None]]:
    """Return what sets an act for the moment after somebody has looked for a path, once."""
    really_stat = os.stat
    acts: dict[str, Callable[[], object]] = {}

    def stat(path: str, **options: bool) -> os.stat_result:
        try:
            return really_stat(path, **options)
        finally:
            if act := acts.pop(str(path), None):
                act()

    monkeypatch.setattr(os, "stat", stat)
    yield lambda path, act: acts.update({path: act})
    assert acts == {}


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a"), ("a", "new"), ("b", "new")])
def test_a_file_that_is_moved_meanwhile_is_found_once(
    site: Site, old: str, new: str, during_the_look: Callable[[str, Callable[[], object]], None]
) -> None:
    site.make("a", "b")
    site.write(f"{old}/web-01.yaml")
    site.directories()

    def move() -> None:
        (site.root / new).mkdir(exist_ok=True)
        (site.root / f"{old}/web-01.yaml").rename(site.root / f"{new}/web-01.yaml")

    # The last moment at which the move is seen wrongly: in both places, or in none.
    during_the_look(f"{site.root}/a/web-01.yaml", move)
    found = site.find("web-01")
    if (old, new) == ("a", "new"):  # it was there when it was looked for; who reads it finds it gone
        assert found == ["a/web-01.yaml"]
        found = site.find("web-01")
    assert found == [f"{new}/web-01.yaml"]


def test_a_file_that_the_system_does_not_show_is_there_as_long_as_its_directory_can_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.make("a")
    site.directories()
    really_stat = os.stat

    def stat(path: str, **options: bool) -> os.stat_result:
        if str(path).endswith("a/web-01.yaml"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really_stat(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert site.find("web-01") == ["a/web-01.yaml"]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert site.find("web-01") == []


def test_definitions_are_listed_directory_by_directory(site: Site) -> None:
    site.write(
        "b.yaml",
        "a.yml",
        "_defaults.yaml",
        ".tmp.yaml",
        "notes.txt",
        "z/c.yaml",
        "y/_defaults.yaml",
        "_x/d.yaml",
    )
    root = site.root
    assert list(site.tree.definitions()) == [f"{root}/a.yml", f"{root}/b.yaml", f"{root}/z/c.yaml"]


# Whether the directory is there


def test_that_it_is_away_is_said_once_until_it_is_back(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.tree.check_root()
    away = site.root.rename(site.root.with_name("away"))
    for _ in range(2):
        with pytest.raises(DriverBusyError, match="the directory of definitions cannot be read") as busy:
            site.tree.check_root()
        assert busy.value.retry == tree_module.AWAY_SECONDS
    away.rename(site.root)
    site.tree.note_presence()
    site.root.rename(away)
    with pytest.raises(DriverBusyError):
        site.tree.check()
    sentence = f"no VM is served: the directory {site.root} does not exist or cannot be read"
    assert caplog.messages == [sentence, sentence]
