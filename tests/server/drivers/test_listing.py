"""Which definitions there are, and which of them may have changed."""

import itertools
import os
import time
from pathlib import Path

import pytest

from tests.server.drivers.counted import Counted
from vmw_cloudinit_metadata.drivers import listing as listing_module
from vmw_cloudinit_metadata.drivers.listing import Listing
from vmw_cloudinit_metadata.drivers.reading import SETTLED_NS


class Site:
    """Two directories and their listing; files are old, unless a test says otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.age = SETTLED_NS * 2
        self.directories = ["a", "b"]
        for name in self.directories:
            (root / name).mkdir()
        self.listing = Listing(lambda: time.time_ns() + self.age)
        self._ticks = itertools.count()

    def write(self, path: str) -> Path:
        """Write a file by renaming one, so that it is another, in a directory of another time."""
        new = self.root / "new"
        new.write_text("x")
        file = new.rename(self.root / path)
        self.tick(file.parent)
        return file

    def tick(self, directory: Path) -> None:
        """Let the clock of the file system go on: changes in the same tick have the same time."""
        now = os.stat(directory).st_mtime_ns
        os.utime(directory, ns=(now, now + next(self._ticks)))

    def renew(self) -> list[list[str]]:
        """Return which have come, which have gone, and which may be others."""
        changes = self.listing.renew([str(self.root / name) for name in self.directories])
        return [self._short(paths) for paths in changes]

    def next(self, number: int) -> list[str]:
        return [str(Path(path).relative_to(self.root)) for path in self.listing.next(number)]

    def _short(self, paths: set[str]) -> list[str]:
        return sorted(str(Path(path).relative_to(self.root)) for path in paths)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_comes_goes_and_is_replaced_is_told_once(site: Site) -> None:
    for path in ("a/1.yaml", "a/2.yml", "b/3.yaml", "a/_defaults.yaml", "a/README", "b/.4.yaml"):
        site.write(path)
    assert site.renew() == [["a/1.yaml", "a/2.yml", "b/3.yaml"], [], ["a/1.yaml", "a/2.yml", "b/3.yaml"]]
    assert len(site.listing) == 3
    assert site.renew() == [[], [], []]
    site.write("b/3.yaml")
    assert site.renew() == [[], [], ["b/3.yaml"]]
    (site.root / "a/1.yaml").rename(site.root / "b/5.yaml")
    for name in "ab":
        site.tick(site.root / name)
    assert site.renew() == [["b/5.yaml"], ["a/1.yaml"], ["b/5.yaml"]]


def test_what_a_link_leads_to_may_be_another_whenever_its_directory_changes(site: Site) -> None:
    site.write("a/1.yaml")
    (site.root / "a/link.yaml").symlink_to("../b/0.txt")
    site.renew()
    assert site.renew() == [[], [], []]
    site.write("a/README")
    assert site.renew() == [[], [], ["a/link.yaml"]]


def test_only_directories_that_have_changed_are_listed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write("a/1.yaml")
    site.renew()
    counted = Counted(monkeypatch)
    site.renew()
    assert counted.take() == {"stat": 2}
    site.write("b/2.yaml")
    counted.take()
    site.renew()
    assert counted.take() == {"stat": 2, "scandir": 1}


def test_a_directory_that_has_just_changed_is_listed_until_it_has_settled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.age = 0
    site.renew()
    counted = Counted(monkeypatch)
    site.renew()
    site.age = SETTLED_NS * 2
    site.renew()
    assert counted.take() == {"stat": 4, "scandir": 4}
    site.renew()
    assert counted.take() == {"stat": 2}


def test_a_directory_that_is_no_more_has_nothing(site: Site) -> None:
    site.write("a/1.yaml")
    site.write("b/2.yaml")
    site.renew()
    (site.root / "a").rename(site.root / "c")
    assert site.renew() == [[], ["a/1.yaml"], []]
    site.directories = ["c"]
    assert site.renew() == [["c/1.yaml"], ["b/2.yaml"], ["c/1.yaml"]]


def test_all_have_their_turn_and_nobody_has_two_in_one_look(site: Site) -> None:
    names = [f"{directory}/{number}.yaml" for directory in "ab" for number in range(5)]
    for name in names:
        site.write(name)
    assert site.next(3) == []
    site.renew()
    turns = [site.next(4) for _ in range(5)]
    assert all(len(set(turn)) == 4 for turn in turns)
    assert sorted(itertools.chain(*turns)) == sorted(names * 2)
    assert sorted(site.next(100)) == sorted(names)
    assert sorted(site.next(100)) == sorted(names)


def test_what_has_gone_has_no_turn_and_what_has_come_has_one_soon(site: Site) -> None:
    for number in range(6):
        site.write(f"a/{number}.yaml")
    site.renew()
    (first,) = site.next(1)
    others = {f"a/{number}.yaml" for number in range(6)} - {first}
    gone = others.pop()
    (site.root / gone).unlink()
    site.write("b/new.yaml")
    site.tick(site.root / "a")
    site.renew()
    assert set(site.next(4)) == others
    assert set(site.next(6)) == {*others, first, "b/new.yaml"}


def test_a_directory_that_changes_all_the_time_keeps_nobody_from_its_turn(site: Site) -> None:
    for number in range(10):
        site.write(f"a/{number}.yaml")
    seen: set[str] = set()
    for _ in range(5):
        site.write("a/README")
        site.renew()
        seen.update(site.next(2))
    assert len(seen) == 10


def test_more_than_it_holds_are_left_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "MAX_FILES", 5)
    for number in range(4):
        site.write(f"a/{number}.yaml")
        site.write(f"b/{number}.yaml")
    assert len(site.renew()[0]) == len(site.listing) == 5
    for number in range(4):
        (site.root / f"a/{number}.yaml").unlink()
    site.tick(site.root / "a")
    site.tick(site.root / "b")
    site.renew()
    assert len(site.listing) == 4
