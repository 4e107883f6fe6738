"""What fetch makes of network data with placeholders: in the first boot, and in those after it."""

import json
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import pytest

from tests.guest.fetching import DOCUMENTS, Fetch
from tests.guest.machine import OTHER_UUID, UUID, Machine
from vmw_cloudinit_guest import client, seed
from vmw_cloudinit_guest.documents import Held, etag
from vmw_cloudinit_guest.errors import NoAnswerError, UnusableAnswerError

A, B, C = "00:50:56:00:00:0a", "00:50:56:00:00:0b", "00:50:56:00:00:0c"
SLOT = {A: "0000:03:00.0", B: "0000:0b:00.0", C: "0000:04:00.0"}


def served(**macs: Optional[str]) -> bytes:
    config: List[Dict[str, str]] = []
    for name, mac in macs.items():
        config.append({"type": "physical", "name": name})
        if mac:
            config[-1]["mac_address"] = mac
    return json.dumps({"version": 1, "config": config}).encode() + b"\n"


TWO = served(eth0="@1", eth1="@2")


class Passing:
    """Seconds that pass when somebody sleeps; ``events`` happen then, one a sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = 0.0
        self.events: List[Callable[[], None]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds
        if self.events:
            self.events.pop(0)()


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    passing = Passing()
    monkeypatch.setattr(time, "monotonic", lambda: passing.now)
    monkeypatch.setattr(time, "sleep", passing.sleep)
    return passing


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passing: Passing) -> Fetch:
    machine = Machine(tmp_path)
    machine.has_uuid(UUID)
    run = Fetch(machine)
    serves(run, TWO)
    monkeypatch.setattr(client, "fetch", run.ask)
    return run


def serves(run: Fetch, network: Optional[bytes]) -> None:
    documents = DOCUMENTS._replace(network_config=network)
    run.answer = lambda: documents


def has(run: Fetch, *macs: str) -> None:
    for mac in macs:
        run.machine.has_nic(f"ens{int(mac[-1], 16)}", mac, SLOT[mac])


def loses(run: Fetch, mac: str) -> None:
    run.machine.loses_nic(f"ens{int(mac[-1], 16)}")
    run.machine.loses_controller(SLOT[mac])


def network(run: Fetch) -> bytes:
    return (run.directory / "network-config").read_bytes()


def macs(run: Fetch) -> Dict[str, Optional[str]]:
    state = run.state()
    assert state
    return state.macs


def test_a_first_boot_fills_in_the_mac_addresses_of_the_machine(run: Fetch) -> None:
    has(run, B, A)
    run(boot=True)
    assert network(run) == served(eth0=A, eth1=B)
    assert macs(run) == {"eth0": A, "eth1": B}
    assert run.warnings == []
    assert run.trace[:2] == [f"eth0 is the network card {A}", f"eth1 is the network card {B}"]


def test_the_etag_stays_that_of_the_document_as_it_was_served(run: Fetch) -> None:
    has(run, A, B)
    run()
    run()
    assert run.held["network-config"] == Held(etag(TWO), served(eth0=A, eth1=B))


def test_a_reboot_with_nothing_new_asks_for_nothing_and_touches_no_file(run: Fetch, passing: Passing) -> None:
    has(run, A, B)
    run(boot=True)
    paths = [Path(seed.state_path(str(run.directory))), *run.directory.iterdir()]
    before = {path: path.stat().st_mtime_ns for path in paths}
    for _ in range(2):
        assert "unchanged" in run(boot=True)
        assert run.came == []
    assert {path: path.stat().st_mtime_ns for path in paths} == before
    assert macs(run) == {"eth0": A, "eth1": B}
    assert (run.warnings, passing.slept) == ([], 0)


def test_drivers_are_waited_for_after_the_answer(run: Fetch, passing: Passing) -> None:
    run.machine.has_controller(SLOT[A])
    run.machine.has_controller(SLOT[B])
    passing.events = [lambda: has(run, B), lambda: None, lambda: has(run, A)]
    run(boot=True)
    assert network(run) == served(eth0=A, eth1=B)
    assert passing.slept < 1


def test_a_driver_that_does_not_come_is_told(run: Fetch, passing: Passing) -> None:
    run.machine.has_controller(SLOT[A])
    has(run, B)
    serves(run, served(eth0="@1"))
    run(boot=True)
    assert network(run) == served(eth0=B)
    assert run.warnings == ["the network card at 0000:03:00.0 has no driver yet: it does not count"]
    assert passing.slept == pytest.approx(10, abs=0.2)


def test_nothing_is_waited_for_by_hand(run: Fetch, passing: Passing) -> None:
    run.machine.has_controller(SLOT[A])
    run()
    run()
    assert passing.slept == 0


def test_a_card_too_few_is_told_at_each_boot_until_it_is_there(run: Fetch, passing: Passing) -> None:
    has(run, A)
    for _ in range(2):
        run(boot=True)
        assert network(run) == served(eth0=A, eth1=None)
        assert macs(run) == {"eth0": A, "eth1": None}
        assert [warning.partition(":")[0] for warning in run.warnings] == [
            "eth1 of the definition is for network card 2, and this machine has 1"
        ]
    assert passing.slept == 0
    has(run, B)
    run(boot=True)
    assert run.came == ["network-config"]
    assert network(run) == served(eth0=A, eth1=B)
    assert run.warnings == []


def test_a_later_boot_waits_for_the_cards_before_it_says_what_it_has(run: Fetch, passing: Passing) -> None:
    has(run, A, B)
    run(boot=True)
    run.machine.loses_nic("ens11")
    passing.events = [lambda: None, lambda: has(run, B)]
    run(boot=True)
    assert run.came == []
    assert 0 < passing.slept < 1


def test_a_card_that_was_replaced_has_its_network_asked_for_again(run: Fetch, passing: Passing) -> None:
    has(run, A, B)
    run(boot=True)
    loses(run, A)
    has(run, C)
    run(boot=True)
    assert run.came == ["network-config"]
    assert run.warnings == [
        f"this machine has no longer all network cards of the seed, eth0 for {A}, eth1 for {B}: "
        "its network data is asked for again; cloud-init takes it with a new instance-id"
    ]
    # The other card stays what it was.
    assert network(run) == served(eth0=C, eth1=B)
    assert passing.slept == 0
    run(boot=True)
    assert (run.came, run.warnings) == ([], [])


def test_what_a_server_has_made_up_is_no_long_line_when_it_does_not_fit_any_more(run: Fetch) -> None:
    names = {"x" * 1000 + str(number): "@1" for number in range(100)}
    serves(run, served(**names))
    has(run, A)
    run(boot=True)
    loses(run, A)
    has(run, B)
    run(boot=True)
    assert len(run.warnings) == 1
    assert len(run.warnings[0]) < 600


def test_a_card_in_front_of_the_others_changes_nothing_for_them(run: Fetch) -> None:
    has(run, A, B)
    run(boot=True)
    has(run, C)
    run(boot=True)
    assert run.came == []
    serves(run, served(eth0="@1", eth1="@2", eth2="@3"))
    run(boot=True)
    assert network(run) == served(eth0=A, eth1=B, eth2=C)


def test_without_a_server_the_seed_of_other_cards_stays(run: Fetch) -> None:
    has(run, A, B)
    run(boot=True)
    loses(run, A)
    assert "the seed of i-0042 stays" in str(run.fails(NoAnswerError("no answer")))
    assert network(run) == served(eth0=A, eth1=B)
    assert len(run.warnings) == 1


def test_a_clone_gets_its_own_cards(run: Fetch) -> None:
    has(run, A, B)
    run(boot=True)
    run.machine.has_uuid(OTHER_UUID)
    loses(run, A)
    loses(run, B)
    has(run, C)
    run(boot=True)
    assert network(run) == served(eth0=C, eth1=None)


def test_a_definition_that_gives_the_mac_addresses_now_needs_no_cards(run: Fetch) -> None:
    has(run, A, B)
    run(boot=True)
    serves(run, served(eth0=A, eth1=B))
    run(boot=True)
    # The same bytes as before; what matters is that the seed is right, and stays when the cards go.
    assert network(run) == served(eth0=A, eth1=B)
    serves(run, served(eth0=C, eth1=B))
    run(boot=True)
    assert macs(run) == {}
    loses(run, A)
    run(boot=True)
    assert (run.came, run.warnings) == ([], [])


def test_network_data_that_is_served_no_longer_leaves_nothing_to_look_for(run: Fetch) -> None:
    has(run, A, B)
    run(boot=True)
    serves(run, None)
    run(boot=True)
    assert (run.files(), macs(run)) == (["meta-data", "user-data"], {})


def test_names_are_waited_for_where_they_matter(run: Fetch, passing: Passing) -> None:
    run.machine.write("/run/udev/control", "")
    has(run, A, B)
    run(boot=True)
    assert passing.slept == 0
    serves(run, served(ens11="@1", lan0="@2"))
    run(boot=True)
    assert passing.slept == pytest.approx(5, abs=0.2)
    assert network(run) == served(ens11=B, lan0=A)


def test_in_version_1_there_is_nothing_to_fill_and_nothing_to_wait_for(run: Fetch, passing: Passing) -> None:
    run.in_version_2 = False
    run.machine.has_controller(SLOT[A])
    serves(run, b"version: 1\nconfig: []\n")
    run(boot=True)
    assert network(run) == b"version: 1\nconfig: []\n"
    assert (macs(run), run.warnings, passing.slept) == ({}, [], 0)


def test_network_data_that_cannot_be_filled_is_an_unusable_answer_and_the_old_seed_stays(run: Fetch) -> None:
    has(run, A, B)
    run()
    serves(run, TWO[:-2] + b', "half": "\\ud83d"}')
    with pytest.raises(
        UnusableAnswerError, match=r"the answer on ttyS1 cannot be used: .*; the seed of i-0042"
    ):
        run()
    assert network(run) == served(eth0=A, eth1=B)


def test_killed_between_state_and_seed_the_network_is_asked_for_again(
    run: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(run, A, B)
    run()
    serves(run, served(lan0="@1", eth1="@2"))
    with monkeypatch.context() as patch:
        patch.setattr(seed, "_update", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    assert (network(run), macs(run)) == (served(eth0=A, eth1=B), {"lan0": A, "eth1": B})
    run()
    assert run.came == ["network-config"]
    assert network(run) == served(lan0=A, eth1=B)
