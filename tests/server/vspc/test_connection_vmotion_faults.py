"""vMotions that go wrong: false tokens, messages from the wrong side, not now, and the time limit."""

from collections.abc import Callable

import pytest

from tests.support.vspc import (
    AGREES,
    DO_BINARY,
    KNOWN_SUBOPTIONS_1,
    KNOWN_SUBOPTIONS_2,
    SEQUENCE,
    VM_BIOS_UUID,
    VM_VC_UUID,
    VMOTION_ABORT,
    WILL_PROXY,
    Clock,
    Host,
    begins,
    completes,
    do_proxy,
    ext,
    is_served,
    violation,
    vm_name,
    vmotion_begin,
    vmotion_complete,
    vmotion_notnow,
    vmotion_peer,
    vmotion_peer_ok,
    vmotion_table,
)
from vmw_cloudinit_metadata.vspc.connection import UUID_SECONDS
from vmw_cloudinit_metadata.vspc.events import (
    ProtocolViolated,
    VMIdentified,
    VMLeft,
    VMotionAborted,
    VMotionCompleted,
)
from vmw_cloudinit_metadata.vspc.vmotion import VMOTION_SECONDS, VMotionTable

# The destination


def test_a_destination_that_leaves_early_frees_the_token_for_another(
    here: Host, there: Host, connect: Callable[[], Host]
) -> None:
    begins(here)
    here.connection.send_serial(b"held")
    there.arrives()
    there.leaves()
    assert there.events() == []
    elsewhere = connect().arrives()
    assert elsewhere.connection.awaits_vmotion
    elsewhere.says(vmotion_complete())
    assert elsewhere.events() == [VMotionCompleted(here.connection.port)]
    assert elsewhere.hears() == b"held"


def test_an_end_that_is_told_twice_frees_nobody_else_s_token(
    here: Host, there: Host, connect: Callable[[], Host]
) -> None:
    begins(here)
    there.arrives()
    there.leaves()
    assert connect().arrives().connection.awaits_vmotion
    there.leaves()
    assert not connect().arrives().connection.awaits_vmotion


@pytest.mark.parametrize(
    "peer",
    [vmotion_peer(2), vmotion_peer(1, b"\x00\x00\x00\x08"), vmotion_peer(1, b""), ext(44), ext(44, SEQUENCE)],
)
def test_a_wrong_token_is_not_answered(here: Host, there: Host, peer: bytes) -> None:
    begins(here)
    there.says(AGREES)
    there.hears()
    there.says(peer)
    assert there.hears() == b""
    assert violation(there.events())
    assert not there.connection.awaits_vmotion
    there.says(vmotion_complete())
    assert violation(there.events())
    there.says(vmotion_peer())
    assert there.hears() == vmotion_peer_ok()


def test_a_token_is_used_once(here: Host, there: Host, connect: Callable[[], Host]) -> None:
    begins(here)
    there.arrives()
    thief = connect().arrives()
    assert not thief.connection.awaits_vmotion
    completes(there)
    thief.says(vmotion_peer(), vmotion_complete())
    assert thief.hears() == b""
    assert is_served(there)
    assert not is_served(thief)


def test_a_connection_that_is_served_is_no_destination(here: Host, connect: Callable[[], Host]) -> None:
    begins(here)
    served = connect().connects("db-01")
    served.says(vmotion_peer(), vmotion_complete())
    assert [type(event) for event in served.events()] == [ProtocolViolated, ProtocolViolated]
    assert is_served(served)


def test_a_destination_takes_one_vm_and_no_other(
    here: Host, there: Host, connect: Callable[[], Host]
) -> None:
    other = connect().connects("db-01")
    begins(here)
    begins(other, number=2)
    there.arrives(1)
    there.says(vmotion_peer(2))
    assert violation(there.events())
    completes(there)
    there.says(vmotion_peer(2), vmotion_complete())
    assert [type(event) for event in there.events()] == [ProtocolViolated, ProtocolViolated]
    assert there.connection.port is here.connection.port
    assert is_served(there)


def test_a_moved_vm_is_not_its_own_destination(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    completes(there)
    begins(there, number=2)
    there.says(vmotion_peer(2))
    assert there.hears() == b""
    assert violation(there.events())


def test_complete_has_no_effect_but_from_the_destination_with_its_sequence(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    here.says(vmotion_complete())
    assert violation(here.events())
    there.says(vmotion_complete(b"\x00\x00\x00\x08"))
    assert violation(there.events())
    completes(there)
    there.says(vmotion_complete())
    assert violation(there.events())


def test_do_proxy_is_not_answered_on_a_destination(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    there.says(VM_VC_UUID, vm_name("db-01"), VM_BIOS_UUID, do_proxy())
    assert there.hears() == b""
    assert violation(there.events())
    completes(there)
    identity = there.connection.port.identity
    there.says(do_proxy())
    assert there.hears() == WILL_PROXY
    assert there.events() == []
    assert there.connection.port.identity is identity


def test_uuids_a_destination_does_not_tell_are_not_waited_for(here: Host, there: Host, clock: Clock) -> None:
    begins(here)
    there.arrives()
    assert there.connection.deadline is None
    clock.now += UUID_SECONDS
    there.connection.check_deadline()
    completes(there)


def test_after_an_abort_the_destination_may_become_a_vm_of_its_own(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    here.says(VMOTION_ABORT)
    there.says(VM_VC_UUID, vm_name("db-01"), VM_BIOS_UUID, do_proxy())
    assert there.events() == [VMIdentified(there.connection.port)]
    assert is_served(there)
    assert here.events() == [VMotionAborted(here.connection.port)]
    assert is_served(here)


# NOTNOW


def test_a_second_beginning_replaces_one_without_a_destination(here: Host, there: Host) -> None:
    begins(here, number=1)
    here.connection.send_serial(b"held")
    begins(here, number=2)
    there.hears()
    there.says(vmotion_peer(1))
    assert there.hears() == b""
    there.says(vmotion_peer(2))
    assert there.hears() == vmotion_peer_ok()
    there.says(vmotion_complete())
    assert there.hears() == b"held"


def test_a_second_beginning_after_peer_is_not_now(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    here.says(vmotion_begin(b"\x00\x00\x00\x08"))
    assert here.hears() == vmotion_notnow(b"\x00\x00\x00\x08")
    assert here.events() == []
    completes(there)


@pytest.mark.parametrize("said", [b"", AGREES, AGREES + KNOWN_SUBOPTIONS_1 + do_proxy()])
def test_a_vm_that_is_not_known_does_not_move(there: Host, said: bytes) -> None:
    there.says(said)
    there.hears()
    there.says(vmotion_begin())
    assert there.hears() == vmotion_notnow()
    assert there.events() == []


def test_a_destination_does_not_move_on_before_complete(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    there.says(vmotion_begin())
    assert there.hears() == vmotion_notnow()
    completes(there)


def test_a_source_whose_vm_has_gone_does_not_move_it_again(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    completes(there)
    here.says(vmotion_begin())
    assert here.hears() == vmotion_notnow()
    assert is_served(there)


def test_a_host_that_leaves_too_many_vmotions_behind_harms_its_own_vms_alone(clock: Clock) -> None:
    vmotions = vmotion_table(clock, max_orphans=1)

    def leave_behind(name: str, number: int, peer: str) -> Host:
        host = Host(vmotions, clock, peer=peer).connects(name)
        begins(host, number)
        host.leaves()
        return host

    assert leave_behind("web-01", 1, "192.0.2.7").events() == []
    lost = leave_behind("web-02", 2, "192.0.2.7")
    assert lost.events() == [VMLeft(lost.connection.port)]
    assert not Host(vmotions, clock).arrives(2).connection.awaits_vmotion
    assert leave_behind("db-01", 3, "192.0.2.8").events() == []
    for number in (1, 3):
        completes(Host(vmotions, clock).arrives(number))


def test_a_vm_is_lost_with_the_destination_of_an_orphan_too_many(clock: Clock) -> None:
    vmotions = vmotion_table(clock, max_orphans=0)
    here, there = Host(vmotions, clock).connects("web-01"), Host(vmotions, clock)
    begins(here)
    there.arrives()
    here.leaves()
    assert here.events() == []
    there.leaves()
    assert there.events() == [VMLeft(here.connection.port)]


def test_a_vm_that_is_not_known_yet_is_nobodys_loss(clock: Clock) -> None:
    there = Host(vmotion_table(clock, max_orphans=0), clock).arrives(1)
    there.leaves()
    assert [type(event) for event in there.events()] == []


# The time limit


def test_over_the_time_limit_the_source_lives_on_as_after_an_abort(
    here: Host, there: Host, clock: Clock, vmotions: VMotionTable
) -> None:
    begins(here)
    here.connection.send_serial(b"held")
    there.arrives()
    clock.now += VMOTION_SECONDS
    (vmotion,) = vmotions.expire()
    assert vmotion.source_open
    assert vmotion.port.carrier is here.connection
    assert here.hears() == b"held"
    assert not there.connection.awaits_vmotion
    there.says(vmotion_complete())
    assert violation(there.events())
    assert is_served(here)
    here.leaves()
    assert here.events() == [VMLeft(here.connection.port)]


def test_over_the_time_limit_a_port_whose_source_has_left_is_lost(
    here: Host, there: Host, clock: Clock, vmotions: VMotionTable
) -> None:
    begins(here)
    here.connection.send_serial(b"held")
    there.arrives()
    here.leaves()
    clock.now += VMOTION_SECONDS
    (vmotion,) = vmotions.expire()
    assert not vmotion.source_open
    assert vmotion.port is here.connection.port
    there.says(vmotion_complete())
    assert violation(there.events())
    assert here.hears() == there.hears() == b""
    there.leaves()
    assert here.events() == there.events() == []


def test_a_destination_that_agrees_to_nothing_new_makes_no_loop(here: Host, there: Host) -> None:
    begins(here)
    there.arrives()
    completes(there)
    there.says(AGREES, DO_BINARY, KNOWN_SUBOPTIONS_1)
    assert there.hears() == KNOWN_SUBOPTIONS_2
