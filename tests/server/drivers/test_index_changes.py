"""What a look costs, and that whatever is done to definitions is seen."""

import itertools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.server.drivers.counted import Counted
from tests.server.drivers.indexed import VC, Directory, definition
from vmw_cloudinit_metadata.drivers import index as index_module


@pytest.fixture(params=[10, 1000])
def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Directory]:
    """A directory with so many definitions, and two that say for which VMs they are."""
    directory = Directory(tmp_path)
    for number in range(request.param):
        (tmp_path / f"web-{number:04}.yaml").write_text(definition())
    directory.write("fleet.yaml", "vms: [db-01]\n")
    directory.write("pinned.yaml", definition(vc_uuid=VC))
    directory.index.refresh()
    yield directory
    directory.index.close()


def test_a_look_costs_the_same_however_many_definitions_there_are(
    crowded: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    crowded.index.refresh(turns=5)
    # The tree and the listing look at the directory, the index at the one that names VMs and at five others.
    assert counted.take() == {"access": 1, "stat": 1 + 2 + 1 + 5}


def test_a_change_costs_a_listing_and_a_look_at_what_is_new(
    crowded: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded.index.refresh(turns=0)
    crowded.write("web-0007.yaml", "vms: [db-02]\n")
    counted = Counted(monkeypatch)
    crowded.index.refresh(turns=0)
    calls = counted.take()
    assert calls["scandir"] == 2  # for sub-directories, and for definitions
    assert calls["open"] == 2  # the directory, and the file
    assert calls["stat"] < 15
    assert crowded.index.naming("db-02") == (2, [str(crowded.path / "web-0007.yaml")])


def test_what_names_vms_is_looked_at_each_time_and_any_other_in_its_turn(crowded: Directory) -> None:
    # In place, which changes no directory.
    (crowded.path / "fleet.yaml").write_text("vms: [db-01, db-02]\n")
    crowded.index.refresh(turns=0)
    assert crowded.index.naming("db-02")[0] == 2
    (crowded.path / "web-0007.yaml").write_text("vms: [db-03]\n")
    crowded.index.refresh(turns=0)
    assert crowded.index.naming("db-03")[0] == 0
    crowded.index.refresh(turns=1002)
    assert crowded.index.naming("db-03")[0] == 2


def test_nothing_is_sorted_where_nothing_has_changed(
    crowded: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = crowded.index._found
    crowded.index.refresh()
    assert crowded.index._found is found


NAMES = ["web-01.yaml", "web-02.yaml", "fleet.yaml", "a/web-01.yaml", "a/fleet.yml", "a/b/db.yaml"]
names = st.sampled_from(NAMES)
saying = st.lists(st.sampled_from(["x", "y", "*"]), unique=True, max_size=2)


class Changing(RuleBasedStateMachine):
    """Whatever is done to definitions, an index that looks now and then knows what a new one finds."""

    @initialize()
    def begin(self) -> None:
        self._root = Path(tempfile.mkdtemp())
        for name in ("a/b", "_store"):
            (self._root / name).mkdir(parents=True)
        self._numbers = itertools.count(1)
        self._index = Directory(self._root).index

    def teardown(self) -> None:
        self.in_the_end_all_is_known()
        shutil.rmtree(self._root)

    @rule(name=names, vms=saying)
    def write_in_place(self, name: str, vms: list[str]) -> None:
        path = self._root / name
        new = not path.exists()
        if path.is_symlink() and new:
            path.unlink()
        path.write_text(self._text(vms))
        if new:
            self._tick(path.parent)

    @rule(name=names, vms=saying)
    def replace(self, name: str, vms: list[str]) -> None:
        (self._root / "new").write_text(self._text(vms))
        (self._root / "new").rename(self._root / name)
        self._tick((self._root / name).parent)

    @rule(name=names, vms=saying)
    def link(self, name: str, vms: list[str]) -> None:
        target = self._root / f"_store/{next(self._numbers)}"
        target.write_text(self._text(vms))
        path = self._root / name
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        self._tick(path.parent)

    @rule(name=names)
    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)
        self._tick((self._root / name).parent)

    @rule(name=names)
    def remove_what_a_link_leads_to(self, name: str) -> None:
        if (self._root / name).is_symlink():
            (self._root / name).resolve().unlink(missing_ok=True)

    @rule(old=names, new=names)
    def move(self, old: str, new: str) -> None:
        if (self._root / old).exists():
            (self._root / old).rename(self._root / new)
            for name in (old, new):
                self._tick((self._root / name).parent)

    @rule()
    def exchange_directories(self) -> None:
        (self._root / "a").rename(self._root / "_a")
        (self._root / "a/b").mkdir(parents=True)
        shutil.rmtree(self._root / "_a")
        self._tick(self._root)

    @rule()
    def look(self) -> None:
        self._index.refresh(turns=2)

    @rule()
    def in_the_end_all_is_known(self) -> None:
        for _ in range(4):
            self._index.refresh(turns=2)
        fresh = Directory(self._root).index
        fresh.refresh()
        assert self._said(self._index) == self._said(fresh)

    def _said(self, index: index_module.Index) -> object:
        found = index._found
        return (
            {name: sorted(paths) for name, paths in found.names.items()},
            sorted(path for _, path in found.patterns),
            sorted(found.naming),
            {pin: sorted(paths) for pin, paths in found.pins.items()},
        )

    def _text(self, vms: list[str]) -> str:
        # Each of another size and with a pin of its own: in the same tick, nothing else would tell.
        number = next(self._numbers)
        pin = f"match: {{vc-uuid: {uuid.UUID(int=number)}}}\n"
        return (f"vms: {vms}\n" if vms else pin) + "#" * number

    def _tick(self, directory: Path) -> None:
        """Let the clock of the file system go on."""
        if directory.exists():
            now = os.stat(directory).st_mtime_ns
            os.utime(directory, ns=(now, now + next(self._numbers)))


TestChanging = Changing.TestCase
TestChanging.settings = settings(deadline=None, max_examples=40, stateful_step_count=20)
