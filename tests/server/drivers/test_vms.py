"""FileDriver with definitions that say in ``vms`` for which VMs they are."""

import concurrent.futures
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.drivers.store import GOOD, Store, vm
from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers import index as index_module
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError

VC = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")

FLEET = 'metadata: {instance-id: "i-{{ vm.name }}", hostname: "{{ vm.name }}"}\n'


def named(hostname: str, *names: str) -> str:
    return GOOD.format(hostname) + "vms:\n" + "".join(f"- '{name}'\n" for name in names)


def refresh(store: Store) -> None:
    store.driver._finder._index.refresh()


def replace(store: Store, name: str, text: str) -> Path:
    """Write by renaming, so that each change has a signature of its own."""
    return store.write("_new", text).rename(store.directory / name)


def test_a_definition_is_for_the_vms_it_names_whatever_its_file_is_called(store: Store) -> None:
    store.write("prod/fleet.yaml", named("fleet", "web-01", "web-02", "db-*"))
    for name in ("web-01", "web-02", "db-", "db-17"):
        assert store.hostname(name) == "fleet"
    for name in ("fleet", "web-03", "WEB-01", "xdb-1"):
        assert store.hostname(name) is None


def test_a_file_of_its_own_comes_before_a_name_and_a_name_before_a_pattern(store: Store) -> None:
    store.write("a.yaml", named("pattern", "web-*"))
    store.write("b.yaml", named("name", "web-01", "web-02"))
    store.write("web-01.yaml", GOOD.format("own"))
    assert [store.hostname(f"web-0{number}") for number in (1, 2, 3)] == ["own", "name", "pattern"]


@pytest.mark.parametrize(
    ("name", "what"), [("web-01", "name it in vms"), ("web-*", "have a pattern in vms that it fits")]
)
def test_of_two_definitions_that_fit_as_well_neither_is_served_and_both_are_named_once(
    store: Store, caplog: pytest.LogCaptureFixture, name: str, what: str
) -> None:
    one = store.write("a.yaml", named("one", name))
    # Its own name means nothing: it does not make it the better one.
    other = store.write("web-01.yaml", named("other", name))
    sentence = f"'web-01' is not served: {one} and {other} {what}; it has to be one"
    for _ in range(2):
        with pytest.raises(DefinitionError) as raised:
            store.driver.get_instance(vm("web-01"))
        assert str(raised.value) == sentence
    assert caplog.messages == [sentence]
    other.unlink()
    refresh(store)
    assert store.hostname("web-01") == "one"


@pytest.mark.parametrize("written", ["büro/1", "büro%2f1"])
@pytest.mark.parametrize("said", ["büro/1", "büro%2f1", "büro%2F1"])
def test_a_name_may_be_written_as_people_do_or_as_vsphere_does(store: Store, written: str, said: str) -> None:
    store.write("fleet.yaml", GOOD.format("'{{ vm.rack }}'") + f"vms: {{'{written}': {{rack: a1}}}}\n")
    assert store.hostname(said) == "a1"
    instance = store.ask(said)
    assert instance is not None
    assert instance.source == "büro%2f1"


def test_each_vm_has_an_instance_of_its_own_that_is_called_like_the_vm(store: Store) -> None:
    store.write("fleet.yaml", FLEET + "vms: ['web-*']\n")
    for name in ("web-01", "web-02", "web-01"):
        instance = store.ask(name)
        assert instance is not None
        assert instance.metadata is not None
        assert (instance.metadata.instance_id, instance.source) == (f"i-{name}", name)
        instance.metadata.instance_id = "changed"


def test_only_the_name_of_a_vm_that_is_named_is_no_claim(store: Store) -> None:
    store.write("fleet.yaml", FLEET + "vms: [web-01, 'web-*']\n")
    store.write("web-03.yaml", GOOD.format("own"))
    claimed = {name: store.ask(name) for name in ("web-01", "web-02", "web-03")}
    assert [made.claimed for made in claimed.values() if made] == [False, True, False]
    assert [made.source_claimed for made in claimed.values() if made] == [False, True, False]


def test_a_name_that_fills_in_defaults_is_a_claim_where_the_vm_is_found_by_its_uuid(open_store: Any) -> None:
    store = open_store(**{"find-by": ["vc-uuid", "name"]})
    store.write("a/_defaults.yaml", 'metadata: {hostname: "{{ vm.name }}"}\n')
    store.write("a/web-01.yaml", f"metadata: {{instance-id: i-1}}\nmatch: {{vc-uuid: {VC}}}\n")
    store.write("db-01.yaml", GOOD.format("fixed") + f"match: {{vc-uuid: {uuid.UUID(int=1)}}}\n")
    asked = [("web-01", VC), ("db-01", VC), ("anything", uuid.UUID(int=1))]
    made = [store.ask(name, claim) for name, claim in asked]
    assert [each.metadata.hostname for each in made if each and each.metadata] == ["web-01", "db-01", "fixed"]
    assert [each.source for each in made if each] == ["web-01", "web-01", "db-01"]
    assert [each.claimed for each in made if each] == [False, True, False]
    # The file is called as its operator has called it, so the VM has one window, whatever it calls itself.
    assert not any(each.source_claimed for each in made if each)


def test_a_definition_for_several_vms_is_parsed_once(store: Store, parsed: list[str]) -> None:
    store.write("fleet.yaml", FLEET + "vms: ['web-*']\n")
    store.write("all.yaml", named("all", "db-*"))
    for number in range(10):
        store.ask(f"web-{number}")
        store.ask(f"db-{number}")
    assert sorted(parsed) == ["all.yaml", "fleet.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        named("fleet", "web-*") + "userdata: |\n" + f"  {'x' * 97}\n" * 20_000,
        FLEET + "vms: [web-*]\nuserdata: |\n" + f"  {'x' * 97}\n" * 29_000,
        FLEET + "vms: {web-*: }\nvendordata: '" + "x" * 2_000_000 + "'\n" + f"# {'x' * 97}\n" * 20_000,
        FLEET + "vms:\n  web-1:\n" + "".join(f"  web-{n:0100}: {{ip: {n:0300}}}\n" for n in range(6_000)),
    ],
    ids=["one for all", "user-data of 3 MB", "a file of 4 MB", "a table of 6,000 VMs"],
)
def test_a_large_definition_for_several_vms_is_parsed_once(
    store: Store, parsed: list[str], text: str
) -> None:
    assert len(text) > 2_000_000
    store.write("fleet.yaml", text)
    for _ in range(3):
        assert store.ask("web-1") is not None
    assert parsed == ["fleet.yaml"]


def test_what_is_wrong_for_one_vm_is_logged_once_and_harms_no_other(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(
        "fleet.yaml", FLEET + 'region: "{{ vm.x }}"\n'.replace("region", "token") + "vms: ['web-*']\n"
    )
    replace(
        store,
        "fleet.yaml",
        'metadata: {instance-id: i, hostname: "{{ vm.rack }}"}\nvms: {web-01: {rack: a1}, "web-*": }\n',
    )
    for _ in range(2):
        assert store.hostname("web-02") is None
        assert store.hostname("web-01") == "a1"
    (message,) = caplog.messages
    assert message.startswith(f"'web-02' is not served: {store.directory}/fleet.yaml:1: metadata.hostname: ")


def test_several_threads_may_ask_for_vms_of_one_definition_at_once(store: Store) -> None:
    store.write("fleet.yaml", FLEET + "userdata: 'for {{ vm.name }}'\nvms: ['web-*']\n")
    together = threading.Barrier(8)

    def work(thread: int) -> list[str | bytes | None]:
        together.wait()
        made = [store.ask(f"web-{thread}-{number}") for number in range(20)]
        return [each.userdata if each else None for each in made]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    assert answers == [[f"for web-{thread}-{number}" for number in range(20)] for thread in range(8)]


def test_names_that_are_made_up_are_not_kept(store: Store) -> None:
    store.write("fleet.yaml", FLEET + "vms: ['*']\n")
    store.ask("web-01")
    size = store.driver._definitions._kept.size
    for number in range(300):
        assert store.hostname(f"made-up-{number}") == f"made-up-{number}"
    assert store.driver._definitions._kept.size == size
    assert len(store.driver._complaints._logged) == 0


@pytest.mark.parametrize(
    "name", ["", "\0", "web\0", "\udc80", "\ud800x", "../secret", "a" * 4000, "_defaults", "x\ny"]
)
def test_whatever_a_vm_calls_itself_nothing_breaks(store: Store, name: str) -> None:
    store.write("fleet.yaml", FLEET + "vms: ['*']\n")
    instance = store.ask(name)
    if instance is not None and instance.metadata is not None:
        assert instance.metadata.hostname == name


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileDriver]:
    directory = tmp_path_factory.mktemp("instances")
    (directory / "a").mkdir()
    (directory / "_defaults.yaml").write_text("vendordata: 'of {{ vm.name }}'\n")
    (directory / "a/fleet.yaml").write_text(FLEET + "userdata: 'for {{ vm.name }}'\nvms: ['*']\n")
    driver = FileDriver({"directory": str(directory)})
    driver.find(VMFacts("web-01"))  # which waits for the first look
    yield driver
    driver.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.text(st.characters(), max_size=40) | st.text("/.%2fF5cC_\\ \n{}", max_size=20))
def test_no_claim_adds_a_line_or_breaks_anything(fleet: FileDriver, name: str) -> None:
    try:
        instance = fleet.get_instance(vm(name))
    except DefinitionError:
        return
    if instance is not None:
        instance.validate()
        assert instance.userdata == f"for {name}"
        assert len(str(instance.vendordata).splitlines()) == 1


def test_names_that_are_no_text_fit_no_pattern(store: Store) -> None:
    store.write("fleet.yaml", named("fleet", "*"))
    for name in ("", "\0", "\ud800"):
        assert store.hostname(name) is None


# While definitions change


def test_a_definition_that_is_moved_leaves_its_vms_to_no_other(store: Store) -> None:
    store.write("pattern.yaml", named("pattern", "web-*"))
    path = store.write("a/fleet.yaml", named("fleet", "web-01"))
    assert store.hostname("web-01") == "fleet"
    (store.directory / "b").mkdir()
    path.rename(store.directory / "b/fleet.yaml")
    with pytest.raises(DriverBusyError, match=r"a/fleet\.yaml has just changed, or was moved$"):
        store.ask("web-01")
    refresh(store)
    assert store.hostname("web-01") == "fleet"


def test_a_vm_that_is_named_no_more_waits_until_the_index_has_seen_that(store: Store) -> None:
    store.write("pattern.yaml", named("pattern", "web-*"))
    store.write("fleet.yaml", named("fleet", "web-01"))
    assert store.hostname("web-01") == "fleet"
    for text in (named("fleet", "web-02"), named("fleet", "w*1"), GOOD.format("fleet")):
        replace(store, "fleet.yaml", text)
        with pytest.raises(DriverBusyError):
            store.ask("web-01")
        replace(store, "fleet.yaml", named("fleet", "web-01"))
        assert store.hostname("web-01") == "fleet"
    replace(store, "fleet.yaml", named("fleet", "web-02"))
    refresh(store)
    assert store.hostname("web-01") == "pattern"


@pytest.mark.parametrize(
    "text",
    ["vms: [web-01", "vms: 5\n", "", "broken", "metadata: {}", GOOD.format("x") + "vms: [web-01]\nxyz: x\n"],
)
def test_a_slip_in_a_definition_leaves_its_vms_to_no_other(store: Store, text: str) -> None:
    store.write("pattern.yaml", named("pattern", "web-*"))
    store.write("fleet.yaml", named("fleet", "web-01"))
    assert store.hostname("web-01") == "fleet"
    replace(store, "fleet.yaml", text)
    for _ in range(2):
        assert store.ask("web-01") is None
        refresh(store)
    assert any("fleet.yaml" in fault for fault in store.faults)
    replace(store, "fleet.yaml", named("fleet", "web-01"))
    refresh(store)
    assert store.hostname("web-01") == "fleet"


# Beside the other options


@pytest.fixture
def open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(index_module, "REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(index_module, "FIRST_LOOK_SECONDS", 20.0)
    monkeypatch.setattr(index_module.Index, "hurry", lambda _: None)
    (tmp_path / "instances").mkdir()
    opened: list[Store] = []

    def open_with(**options: Any) -> Store:
        opened.append(Store(tmp_path / "instances", **options))
        return opened[-1]

    yield open_with
    for store in opened:
        store.driver.close()


def test_a_definition_that_names_vms_is_found_by_no_uuid(open_store: Any) -> None:
    store = open_store(**{"find-by": ["vc-uuid", "name"]})
    store.write("fleet.yaml", named("fleet", "web-01") + f"match: {{vc-uuid: {VC}}}\n")
    assert store.ask("web-02", VC) is None
    instance = store.ask("web-01", VC)
    assert instance is not None
    assert instance.match is not None


def test_without_name_among_the_ways_nobody_is_named(open_store: Any) -> None:
    store = open_store(**{"find-by": ["vc-uuid"]})
    store.write("fleet.yaml", named("fleet", "web-01"))
    assert store.ask("web-01", VC) is None


def test_pins_are_demanded_of_definitions_for_several_vms_too(open_store: Any) -> None:
    store = open_store(**{"require-match": True})
    store.write("fleet.yaml", named("fleet", "web-01"))
    instance = store.ask("web-01", VC)
    assert instance is not None
    assert instance.denied == "its definition has no match, which require-match demands"


def test_commands_wait_for_the_first_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("fleet.yaml", named("fleet", "web-01"))
    monkeypatch.setattr(index_module, "FIRST_LOOK_SECONDS", 0.0)
    assert store.driver.find(VMFacts("web-01")) is not None
    assert store.hostname("web-01") == "fleet"


def test_commands_find_what_a_vm_would_get(store: Store) -> None:
    path = store.write("a/fleet.yaml", FLEET + "vms: ['web-*']\n")
    found = store.driver.find(VMFacts("web-07"))
    assert found is not None
    assert found[0] == str(path)
    metadata = found[1].instance(VMFacts("web-07")).metadata
    assert metadata is not None
    assert metadata.hostname == "web-07"
