"""FileDriver's snapshots: what is shared, what is at hand, and for how long."""

import functools
import itertools
import json
import shutil
import tempfile
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.server.drivers.counted import Counted
from tests.server.drivers.store import GOOD, Store
from vmw_cloudinit_metadata.drivers import file as file_module
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.recent import AT_HAND_SECONDS
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot

VC = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
OTHER = uuid.UUID(int=1)


def vm(name: str, vc_uuid: uuid.UUID | None = None, token: str = "") -> Any:
    return SimpleNamespace(vm_name=name, vm_vc_uuid=vc_uuid, vm_bios_uuid=None, vm_token=token)


def snapshot_of(driver: Driver, client: Any) -> Snapshot:
    found = driver.get_snapshot(client)
    assert isinstance(found, Snapshot)
    return found


@pytest.fixture
def now(store: Store) -> SimpleNamespace:
    """The clock of the driver."""
    clock = SimpleNamespace(seconds=1000.0)
    store.driver.clock = lambda: clock.seconds
    store.driver.reload()  # so that nothing was kept by another clock
    return clock


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[InstanceData]:
    """The instances that were rendered, in order."""
    seen: list[InstanceData] = []

    def note(instance: InstanceData) -> Snapshot:
        seen.append(instance)
        return Snapshot(instance)

    monkeypatch.setattr(file_module, "Snapshot", note)
    return seen


# What is shared


def test_a_definition_is_rendered_once_as_long_as_it_does_not_change(
    store: Store, rendered: list[InstanceData]
) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    first = snapshot_of(store.driver, vm("web-01"))
    assert snapshot_of(store.driver, vm("web-01")) is first
    assert len(rendered) == 1
    path.write_text(GOOD.format("another"))
    assert b"another" in snapshot_of(store.driver, vm("web-01")).metadata.content
    assert len(rendered) == 2


def test_a_definition_that_was_merely_touched_is_not_rendered_again(
    store: Store, rendered: list[InstanceData]
) -> None:
    path = store.write("web-01.yaml", GOOD.format("one"))
    store.age = 0
    for _ in range(3):
        snapshot_of(store.driver, vm("web-01"))
        path.touch()
    assert len(rendered) == 1


def test_each_document_but_meta_data_is_one_for_all_who_get_it(store: Store) -> None:
    store.write("all.yaml", "vms: [web-01, web-02]\nmetadata: {hostname: x}\nuserdata: hello\n")
    one, other = (snapshot_of(store.driver, vm(f"web-0{n}", uuid.UUID(int=n))) for n in (1, 2))
    assert one.userdata is other.userdata
    assert str(uuid.UUID(int=1)).encode() in one.metadata.content
    assert str(uuid.UUID(int=2)).encode() in other.metadata.content
    assert [each.instance.source for each in (one, other)] == ["web-01", "web-02"]
    assert not one.instance.claimed


@pytest.mark.parametrize("name", ["web-01", "web-02", "db-01", "db/1", "fleet-7", "broken", "none", "_x"])
@pytest.mark.parametrize("vc_uuid", [None, VC, OTHER])
@pytest.mark.parametrize("require_match", [False, True])
def test_a_snapshot_is_what_an_instance_would_be(
    store: Store, name: str, vc_uuid: uuid.UUID | None, require_match: bool
) -> None:
    store.write("_defaults.yaml", "vendordata: 'v'\n")
    store.write("web-01.yaml", GOOD.format("one") + f"match: {{vc-uuid: {VC}}}\ntoken: 0123456789abcdef\n")
    store.write("web-02.yaml", "metadata: {hostname: two}\nnetwork: {dhcp4: true}\nserve: {runs: 1}\n")
    store.write("db%2f1.yaml", GOOD.format("three"))
    store.write("fleet.yaml", "vms: [db-01, 'fleet-*']\nmetadata: {hostname: four}\n")
    store.write("broken.yaml", "metadata: {}\n")
    driver = FileDriver({"directory": str(store.directory), "require-match": require_match})
    for token in ("", "0123456789abcdef"):
        client = vm(name, vc_uuid, token)
        expected = _outcome(functools.partial(Driver.get_snapshot, driver, client))
        for _ in range(2):
            assert _outcome(functools.partial(driver.get_snapshot, client)) == expected
        assert _outcome(functools.partial(driver.snapshot_at_hand, client)) in (None, expected)
    driver.close()


def _outcome(ask: Any) -> object:
    try:
        found = ask()
    except DefinitionError as error:
        return str(error), error.logged
    if found is None or isinstance(found, Refusal):
        return found
    instance = found.instance
    said = (instance.source, instance.claimed, instance.source_claimed, instance.denied)
    return found.by_name, found.networkdata_version_1, found.etags, said, instance.match, instance.serve


# What is at hand


def test_what_a_vm_got_is_at_hand_for_a_second_without_a_look_at_any_file(
    store: Store, now: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    client = vm("web-01")
    assert store.driver.snapshot_at_hand(client) is None
    found = snapshot_of(store.driver, client)
    counted = Counted(monkeypatch)
    assert store.driver.snapshot_at_hand(client) is found
    assert counted.take() == {}
    now.seconds += AT_HAND_SECONDS
    assert store.driver.snapshot_at_hand(client) is None


def test_a_second_counts_from_the_look_and_not_from_its_end(
    store: Store, now: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    find = store.driver._finder.find

    def find_slowly(facts: Any) -> Any:
        found = find(facts)
        now.seconds += AT_HAND_SECONDS
        return found

    monkeypatch.setattr(store.driver._finder, "find", find_slowly)
    snapshot_of(store.driver, vm("web-01"))
    assert store.driver.snapshot_at_hand(vm("web-01")) is None


def test_who_does_not_get_it_finds_nothing_at_hand(store: Store, now: SimpleNamespace) -> None:
    store.write("web-01.yaml", "metadata: {hostname: x}\ntoken: 0123456789abcdef\n")
    assert isinstance(store.driver.get_snapshot(vm("web-01", VC)), Refusal)
    mine = vm("web-01", VC, token="0123456789abcdef")
    assert snapshot_of(store.driver, mine).metadata == store.driver.snapshot_at_hand(mine).metadata  # type: ignore[union-attr]
    for client in (vm("web-01", VC), vm("web-01", VC, token="0123456789abcdeX")):
        assert store.driver.snapshot_at_hand(client) is None
    # And to make an instance-id of, a VM has to tell a UUID.
    assert store.driver.snapshot_at_hand(vm("web-01", token="0123456789abcdef")) is None


def test_each_vm_has_its_own_instance_id_at_hand(store: Store, now: SimpleNamespace) -> None:
    store.write("web-01.yaml", "metadata: {hostname: x}\n")
    snapshot_of(store.driver, vm("web-01", VC))
    for claim in (VC, OTHER):
        at_hand = store.driver.snapshot_at_hand(vm("web-01", claim))
        assert at_hand is not None
        assert str(claim).encode() in at_hand.metadata.content


@pytest.mark.parametrize("name", ["web-7", "made%2fUP", "db%2F1", "fleet", "none"])
def test_for_names_that_no_operator_has_written_nothing_is_kept(
    store: Store, now: SimpleNamespace, name: str
) -> None:
    store.write("fleet.yaml", "vms: ['web-*', 'made*', db/1]\nmetadata: {instance-id: i, hostname: x}\n")
    store.write("made%2fup.yaml", GOOD.format("x"))
    store.driver.get_snapshot(vm(name))
    assert store.driver.snapshot_at_hand(vm(name)) is None
    assert not store.driver._recent._newer.names


def test_names_that_operators_have_written_are_kept(store: Store, now: SimpleNamespace) -> None:
    store.write("fleet.yaml", "vms: [web-7, db/1]\nmetadata: {instance-id: i, hostname: x}\n")
    store.write("made%2fup.yaml", GOOD.format("x"))
    for name in ("web-7", "db/1", "made%2fup"):
        assert store.driver.snapshot_at_hand(vm(name)) is None
        snapshot_of(store.driver, vm(name))
        assert store.driver.snapshot_at_hand(vm(name)) is not None


def test_who_may_be_found_by_a_uuid_is_looked_for_each_time(store: Store) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    driver = FileDriver({"directory": str(store.directory), "find-by": ["name", "vc-uuid"]})
    snapshot_of(driver, vm("web-01"))
    assert driver.snapshot_at_hand(vm("web-01")) is None
    driver.close()


def test_a_reload_forgets_what_is_at_hand_and_what_is_being_looked_up(
    store: Store, now: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("web-01.yaml", GOOD.format("one"))
    snapshot_of(store.driver, vm("web-01"))
    store.driver.reload()
    assert store.driver.snapshot_at_hand(vm("web-01")) is None
    find = store.driver._finder.find

    def find_then_reload(facts: Any) -> Any:
        found = find(facts)
        store.driver.reload()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(store.driver._finder, "find", find_then_reload)
        snapshot_of(store.driver, vm("web-01"))
    assert store.driver.snapshot_at_hand(vm("web-01")) is None


# Subclasses


class Deciding(FileDriver):
    """A driver that changes what FileDriver has found."""

    calls = 0

    def get_instance(self, vm_client: Any) -> InstanceData | None:
        self.calls += 1
        instance = super().get_instance(vm_client)
        if instance and instance.metadata:
            instance.metadata.hostname = f"{instance.metadata.hostname}-{self.calls}"
        return instance


class Rendering(FileDriver):
    """A driver that looks at what FileDriver has rendered."""

    calls = 0

    def get_snapshot(self, vm_client: Any) -> Snapshot | Refusal | None:
        self.calls += 1
        return super().get_snapshot(vm_client)


class Plain(FileDriver):
    """A driver that changes nothing that decides."""


@pytest.mark.parametrize(("kind", "at_hand"), [(Deciding, False), (Rendering, False), (Plain, True)])
def test_a_subclass_that_decides_is_asked_each_time(store: Store, kind: Any, at_hand: bool) -> None:
    store.write("web-01.yaml", GOOD.format("web"))
    driver = kind({"directory": str(store.directory)})
    hosts = []
    for _ in range(3):
        hosts.append(json.loads(snapshot_of(driver, vm("web-01")).metadata.content)["hostname"])
        assert (driver.snapshot_at_hand(vm("web-01")) is not None) is at_hand
    assert hosts == (["web-1", "web-2", "web-3"] if kind is Deciding else ["web"] * 3)
    assert getattr(driver, "calls", 3) == 3
    driver.close()


# Whatever happens


FILES = ["web-01.yaml", "web-01.yml", "web-02.yaml", "a/web-02.yaml", "fleet.yaml", "_defaults.yaml", "_motd"]
VMS = ["web-01", "web-02", "web-03"]


class Serving(RuleBasedStateMachine):
    """Whatever is done to files: what is looked up is right, and what is at hand was so within a second."""

    @initialize()
    def begin(self) -> None:
        self._root = Path(tempfile.mkdtemp())
        (self._root / "a").mkdir()
        self._numbers = itertools.count(1)
        self._now = 1000.0
        self._store = Store(self._root)
        self._store.driver.clock = lambda: self._now
        self._store.driver.reload()
        self._was: list[tuple[float, dict[str, object]]] = []  # since when it is right, and what
        for name in ("web-01.yaml", "web-02.yaml", "fleet.yaml"):
            self.write(name, "good")

    def teardown(self) -> None:
        self._store.driver.close()
        shutil.rmtree(self._root)

    @rule(name=st.sampled_from(FILES), kind=st.sampled_from(["good", "names a file", "broken"]))
    def write(self, name: str, kind: str) -> None:
        # Each of another size: two changes in one tick of the file system's clock differ, then.
        number = next(self._numbers)
        text = GOOD.format(f"h{number}")
        if name == "_defaults.yaml":
            text = f"metadata: {{region: r{number}}}\n"
        elif name == "fleet.yaml":  # of which the index remembers what it said before a fault
            text += "vms: [web-01, web-03]\n"
        elif kind == "broken":
            text = "metadata: {}\n"
        elif kind == "names a file":
            text += "userdata: {file: _motd}\n"
        self._store.write(name, text + "#" * number)
        self._changed()

    @rule(name=st.sampled_from(FILES))
    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)
        self._changed()

    @rule(old=st.sampled_from(FILES[:4]), new=st.sampled_from(FILES[:4]))
    def move(self, old: str, new: str) -> None:
        if (self._root / old).exists():
            (self._root / old).rename(self._root / new)
            self._changed()

    @rule()
    def look_up(self) -> None:
        assert self._said(self._store.driver.get_snapshot) == self._was[-1][1]

    @rule(seconds=st.sampled_from([0.0, 0.7, 1.5]), again=st.booleans())
    def take_what_is_at_hand(self, seconds: float, again: bool) -> None:
        self._now += seconds
        found = self._said(self._store.driver.snapshot_at_hand)
        ends = [began for began, _ in self._was[1:]]
        lately = [
            said for (_, said), end in zip(self._was, ends, strict=False) if end > self._now - AT_HAND_SECONDS
        ]
        for name in VMS:
            assert found[name] in (None, self._was[-1][1][name], *(said[name] for said in lately))
        if again:
            self.look_up()

    @rule()
    def reload(self) -> None:
        self._store.driver.reload()
        assert all(self._store.driver.snapshot_at_hand(vm(name)) is None for name in VMS)

    def _changed(self) -> None:
        # The index, which is seconds behind, is not what is tested here.
        self._store.driver._finder._index.refresh()
        self._store.driver._tree._listing = None
        self._note()

    def _note(self) -> None:
        """Note what is right from now on, as a driver says that knows nothing yet."""
        driver = Store(self._root).driver
        self._was.append((self._now, self._said(driver.get_snapshot)))
        driver.close()

    def _said(self, ask: Any) -> dict[str, object]:
        return {name: _outcome(functools.partial(ask, vm(name))) for name in VMS}


TestServing = Serving.TestCase
TestServing.settings = settings(deadline=None, max_examples=30, stateful_step_count=30)
