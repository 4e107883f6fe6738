"""Serving windows: what was decided is on the disk first; what is decided is test_windows_decide.py's."""

import errno
import json
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.windows import (
    HAS_REPORTED,
    MAX_VM_NAME,
    MAX_VM_NAMES,
    NO_RUNS_LEFT,
    TIME_IS_OVER,
    Window,
    Windows,
)

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FRESH = Window("i-1")


def instance(
    *,
    source: str | None = "web-01",
    instance_id: str | None = "i-1",
    runs: int | None = None,
    until: datetime | None = None,
    until_reported: bool = False,
    claimed: bool = False,
) -> InstanceData:
    made = InstanceData({"metadata": {"instance-id": instance_id, "hostname": "web-01"}})
    made.serve = ServingWindow(runs, until, until_reported)
    made.source = source
    made.claimed = made.source_claimed = claimed
    return made


# What is kept


class World:
    """A state directory, a clock, and servers that come and go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOON

    @property
    def windows(self) -> Windows:
        """Another process each time: nothing is remembered but what is on the disk."""
        return Windows(StateDirectory(self.path), lambda: self.now)

    def admit(self, asked: InstanceData, run: str, vm_name: str = "web-01") -> str | None:
        return self.windows.admit(asked, vm_name, run)

    def stored(self, name: str = "web-01") -> dict[str, object]:
        record: dict[str, object] = json.loads((self.path / "windows" / f"{name}.json").read_text())
        return record

    def change(self, **keys: object) -> None:
        path = self.path / "windows" / "web-01.json"
        path.write_text(json.dumps({**self.stored(), **keys}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_runs_are_counted_across_restarts(world: World) -> None:
    asked = instance(runs=2)
    sentences = [world.admit(asked, run) for run in ("a", "a", "b", "b", "c")]
    assert sentences == [None, None, None, None, NO_RUNS_LEFT]


def test_an_instance_without_a_window_is_served_and_nothing_is_kept(world: World) -> None:
    asked = instance()
    asked.serve = None
    assert world.admit(asked, "a") is None
    assert list(world.path.iterdir()) == []


def test_each_definition_has_its_window(world: World) -> None:
    assert world.admit(instance(runs=1), "a") is None
    assert world.admit(instance(runs=1, source="web-02"), "a") is None
    assert world.admit(instance(runs=1), "b") == NO_RUNS_LEFT


def test_where_a_driver_names_no_definition_the_instance_has_one(world: World) -> None:
    assert world.admit(instance(runs=1, source=None), "a") is None
    assert world.admit(instance(runs=1, source=None), "b") == NO_RUNS_LEFT
    assert world.stored("i-1")["runs"] == 1


def test_whatever_the_vm_is_called_the_window_is_the_definition_s(world: World) -> None:
    assert world.admit(instance(runs=1), "a", vm_name="web-01") is None
    assert world.admit(instance(runs=1), "b", vm_name="renamed") == NO_RUNS_LEFT


def test_another_instance_id_arms_it_anew(world: World) -> None:
    world.admit(instance(runs=1), "a")
    world.windows.close(instance(until_reported=True), "web-01")
    assert world.admit(instance(runs=1, until_reported=True, instance_id="i-2"), "a") is None
    assert world.admit(instance(runs=1, instance_id="i-2"), "b") == NO_RUNS_LEFT


def test_an_instance_id_that_a_vm_makes_by_what_it_claims_arms_nothing(world: World) -> None:
    asked = instance(runs=1, instance_id=None)
    assert world.admit(asked.for_vm(uuid.UUID(int=1), None), "a") is None
    assert world.admit(asked.for_vm(uuid.UUID(int=2), None), "b") == NO_RUNS_LEFT
    assert world.admit(instance(runs=1), "c") is None


def test_where_a_driver_names_no_definition_and_no_id_each_uuid_has_a_window(world: World) -> None:
    asked = instance(runs=1, source=None, instance_id=None)
    assert world.admit(asked.for_vm(uuid.UUID(int=1), None), "a") is None
    assert world.admit(asked.for_vm(uuid.UUID(int=1), None), "b") == NO_RUNS_LEFT
    assert world.admit(asked.for_vm(uuid.UUID(int=2), None), "b") is None


def test_the_report_closes_a_window_whether_it_was_used_or_not(world: World) -> None:
    asked = instance(until_reported=True)
    assert world.admit(asked, "a") is None
    world.windows.close(asked, "web-01")
    assert world.admit(asked, "b") == HAS_REPORTED
    other = instance(source="web-02", until_reported=True)
    world.windows.close(other, "web-02")
    assert world.admit(other, "a") == HAS_REPORTED


def test_the_last_names_of_vms_are_kept(world: World) -> None:
    for number in range(6):
        world.admit(instance(until=NOON), "a", vm_name=f"vm-{number}")
    world.admit(instance(until=NOON), "a", vm_name="vm-3")
    world.admit(instance(until=NOON), "a", vm_name="x" * (MAX_VM_NAME + 1))
    assert world.stored()["vm-names"] == ["vm-2", "vm-4", "vm-5", "vm-3"]
    assert MAX_VM_NAMES == 4


def test_what_changes_nothing_is_not_written(world: World) -> None:
    world.admit(instance(runs=1), "a")
    (world.path / "windows" / "web-01.json").chmod(0o400)
    inode = (world.path / "windows" / "web-01.json").stat().st_ino
    world.admit(instance(runs=1), "a")
    world.admit(instance(runs=1), "b")
    assert (world.path / "windows" / "web-01.json").stat().st_ino == inode


# Faults: no permission without a count


def fail(descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_run_that_cannot_be_counted_is_not_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(StateError, match=r"cannot write .*/windows: Input/output error"):
            world.admit(instance(runs=1), "a")
    assert world.admit(instance(runs=1), "b") is None


@pytest.mark.parametrize(
    "keys",
    [
        {"runs": -1},
        {"runs": "1"},
        {"runs": True},
        {"runs": None},
        {"instance-id": 1},
        {"run": None},
        {"counted": "yesterday"},
        {"counted": "2026-12-01T12:00:00"},
        {"counted": 5},
        {"reported": 0},
        {"rearmed": ""},
        {"vm-names": "web-01"},
        {"vm-names": [1]},
    ],
)
def test_a_damaged_window_serves_nobody_until_it_is_re_armed(world: World, keys: dict[str, object]) -> None:
    world.admit(instance(runs=1), "a")
    world.change(**keys)
    for _ in range(2):
        with pytest.raises(StateError, match=r"web-01\.json is damaged"):
            world.admit(instance(runs=1), "b")
    with pytest.raises(StateError, match=r"web-01\.json is damaged"):
        world.windows.close(instance(), "web-01")
    assert world.windows.names() == set()
    assert world.windows.rearm("web-01") == ("web-01", None)
    assert world.admit(instance(runs=1), "b") is None


def test_no_window_is_forgotten_to_make_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmw_cloudinit_metadata.state.windows.MAX_WINDOWS", 2)
    for name in ("a", "b"):
        assert world.admit(instance(source=name, runs=1), "1") is None
    with pytest.raises(StateError, match="windows has 2 files, which is the limit"):
        world.admit(instance(source="c", runs=1), "1")
    assert world.admit(instance(source="a", runs=1), "2") == NO_RUNS_LEFT


def test_names_that_are_made_up_leave_room_for_definitions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmw_cloudinit_metadata.state.windows.MAX_WINDOWS", 2)
    for name in ("made-up-1", "made-up-2"):
        assert world.admit(instance(source=name, runs=1, claimed=True), "1") is None
    with pytest.raises(StateError, match="claimed-windows has 2 files, which is the limit"):
        world.admit(instance(source="made-up-3", runs=1, claimed=True), "1")
    assert world.admit(instance(source="web-01", runs=1), "1") is None
    assert world.admit(instance(source="made-up-1", runs=1, claimed=True), "2") == NO_RUNS_LEFT


def test_a_window_is_one_whatever_else_the_vm_claims(world: World) -> None:
    for claimed, sentence in ((False, None), (True, NO_RUNS_LEFT)):
        asked = instance(runs=1)
        asked.claimed = claimed  # its host name, as where it is found by its UUID
        assert world.admit(asked, str(claimed)) == sentence


def test_an_instance_id_made_of_claims_arms_a_window_by_what_is_written_of_it(world: World) -> None:
    def admit(instance_id: str, written: str) -> str | None:
        asked = instance(runs=1, instance_id=instance_id)
        assert asked.metadata is not None
        asked.metadata.written_id = written
        return world.admit(asked, "")

    assert admit("a-1", "{{ vm.name }}-1") is None
    assert admit("b-1", "{{ vm.name }}-1") == NO_RUNS_LEFT
    assert admit("a-2", "{{ vm.name }}-2") is None


def test_the_window_of_a_name_that_is_claimed_is_re_armed_by_that_name(world: World) -> None:
    fleet = instance(source="web%2f07", runs=1, claimed=True)
    assert world.admit(fleet, "1", vm_name="web/07") is None
    assert world.windows.names() == {"web%2f07", "web/07"}
    for number, name in enumerate(("web%2f07", "web/07"), start=2):
        assert world.admit(fleet, str(number)) == NO_RUNS_LEFT
        assert world.windows.rearm(name)[0] == "web%2f07"
        assert world.admit(fleet, str(number), vm_name="web/07") is None
    world.windows.close(fleet, "web/07")
    assert not (world.path / "windows" / "web%252f07.json").exists()


def test_a_window_of_a_definition_comes_before_one_of_a_name_that_is_claimed(world: World) -> None:
    for claimed in (False, True):
        assert world.admit(instance(runs=1, claimed=claimed), "1") is None
    world.windows.rearm("web-01")
    assert world.admit(instance(runs=1, claimed=True), "2") == NO_RUNS_LEFT
    assert world.admit(instance(runs=1), "2") is None


def test_a_crash_at_any_step_never_serves_a_run_that_is_not_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at the first, second, … call of the system; afterwards another one goes on."""
    served = 0
    for step in range(100):
        with monkeypatch.context() as dying:
            die_at(dying, step)
            try:
                if world.admit(instance(runs=3), f"run-{step}") is None:
                    served += 1
            except Death:
                continue
        if world.stored()["runs"] == 3 and served:
            break
    while world.admit(instance(runs=3), f"later-{served}") is None:
        served += 1
    assert 1 <= served <= 3


class Death(BaseException):
    """kill -9, as far as the disk is concerned."""


def die_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    left = [step]

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if not left[0]:
                raise Death
            left[0] -= 1
            return real(*arguments, **options)

        return call

    for name in ("open", "fsync", "rename", "mkdir", "unlink"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


# Re-arming


def test_a_window_is_re_armed_by_the_name_of_its_definition(world: World) -> None:
    asked = instance(runs=1, until_reported=True)
    world.admit(asked, "a")
    world.windows.close(asked, "web-01")
    world.now += MINUTE
    definition, before = world.windows.rearm("web-01")
    assert definition == "web-01"
    assert before == Window("i-1", 1, "a", NOON, True, None, ("web-01",))
    assert [world.admit(asked, run) for run in ("b", "c")] == [None, NO_RUNS_LEFT]


def test_a_window_is_re_armed_by_the_name_of_its_vm(world: World) -> None:
    world.admit(instance(runs=1), "a", vm_name="büro/1")
    assert world.windows.rearm("büro/1")[0] == "web-01"
    assert world.admit(instance(runs=1), "b") is None


def test_the_run_that_was_counted_last_is_counted_anew(world: World) -> None:
    world.admit(instance(runs=1), "a")
    world.windows.rearm("web-01")
    assert [world.admit(instance(runs=1), run) for run in ("a", "b")] == [None, NO_RUNS_LEFT]


def test_a_window_whose_time_is_over_is_re_armed_for_one_run(world: World) -> None:
    world.now = NOON + MINUTE
    assert world.admit(instance(until=NOON), "a") == TIME_IS_OVER
    world.windows.rearm("web-01")
    assert [world.admit(instance(until=NOON), run) for run in ("b", "b", "c")] == [None, None, NO_RUNS_LEFT]
    world.windows.rearm("web-01")
    assert world.admit(instance(until=NOON), "d") is None


def test_a_definition_s_name_comes_before_that_of_a_vm(world: World) -> None:
    world.admit(instance(runs=1), "a", vm_name="web-01")
    world.admit(instance(source="db-01", runs=1), "a", vm_name="web-01")
    assert world.windows.rearm("web-01")[0] == "web-01"
    assert world.admit(instance(source="db-01", runs=1), "b") == NO_RUNS_LEFT


def test_a_vm_that_was_served_several_definitions_says_nothing(world: World) -> None:
    for name in ("a", "b"):
        world.admit(instance(source=name, runs=1), "a", vm_name="web\n01")
    with pytest.raises(StateError, match=r"the VM 'web\\n01' was served 2 definitions; name one .*: a, b$"):
        world.windows.rearm("web\n01")


def test_what_was_never_served_cannot_be_re_armed(world: World) -> None:
    with pytest.raises(StateError, match=r"/windows has no window of 'web\\n01'"):
        world.windows.rearm("web\n01")
    assert list((world.path / "windows").glob("*.json")) == []


def test_all_names_that_can_be_re_armed_are_known(world: World) -> None:
    assert world.windows.names() == set()
    world.admit(instance(runs=1), "a", vm_name="renamed")
    world.admit(instance(source="web-02", runs=1), "a", vm_name="web-02")
    assert world.windows.names() == {"web-01", "renamed", "web-02"}
