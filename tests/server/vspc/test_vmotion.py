import pytest

from tests.support.vspc import SEQUENCE, Clock, secret, vmotion_table
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.vmotion import SECRET_BYTES, VMOTION_SECONDS, VMotion, VMotionTable

HOST, OTHER = "192.0.2.7", "192.0.2.8"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> VMotionTable:
    return vmotion_table(clock, max_orphans=2)


def port() -> Port:
    """Return a port that lives on some connection."""
    port = Port(max_line=100)
    port.carrier = object()
    return port


def begun(table: VMotionTable, port: Port, sequence: bytes = SEQUENCE, peer: str = HOST) -> VMotion:
    vmotion = table.begin(port, peer, sequence)
    assert vmotion is not None
    return vmotion


def test_a_vmotion_holds_its_port_and_is_found_by_it(table: VMotionTable) -> None:
    moving = port()
    vmotion = begun(table, moving)
    assert vmotion.port is moving
    assert moving.held
    assert table.under_way(moving) is vmotion
    assert table.under_way(port()) is None
    assert len(table) == 1


def test_the_token_is_the_sequence_and_a_secret(table: VMotionTable) -> None:
    assert begun(table, port()).token == SEQUENCE + secret(1)
    assert begun(table, port(), b"").token == secret(2)


def test_secrets_are_random_and_of_eight_bytes(clock: Clock) -> None:
    table = VMotionTable(clock, capacity=2)
    one, other = begun(table, port(), b"abcd"), begun(table, port(), b"abcd")
    assert len(one.token) == len(other.token) == 4 + SECRET_BYTES
    assert one.token != other.token


def test_neither_the_vmotion_nor_the_table_shows_a_secret(table: VMotionTable) -> None:
    assert "hidden" not in repr(begun(table, port())) + repr(table)


def test_a_token_finds_its_vmotion_once(table: VMotionTable) -> None:
    vmotion = begun(table, port())
    assert table.peer(vmotion.token) is vmotion
    assert vmotion.has_destination
    assert table.peer(vmotion.token) is None


@pytest.mark.parametrize(
    "token", [b"", SEQUENCE, secret(1), SEQUENCE + secret(2), b"\x00" + SEQUENCE + secret(1)]
)
def test_nothing_but_the_whole_token_finds_a_vmotion(table: VMotionTable, token: bytes) -> None:
    vmotion = begun(table, port())
    assert table.peer(token) is None
    assert not vmotion.has_destination


def test_a_destination_that_leaves_early_frees_the_token_for_another(table: VMotionTable) -> None:
    vmotion = begun(table, port())
    table.peer(vmotion.token)
    table.lose_destination(vmotion)
    assert not vmotion.has_destination
    assert table.peer(vmotion.token) is vmotion


def test_a_destination_that_leaves_after_the_end_frees_nothing(table: VMotionTable) -> None:
    vmotion = begun(table, port())
    table.peer(vmotion.token)
    table.end(vmotion)
    table.lose_destination(vmotion)
    assert table.peer(vmotion.token) is None


def test_the_end_lets_the_output_go_and_forgets_the_token(table: VMotionTable) -> None:
    moving = port()
    vmotion = begun(table, moving)
    table.end(vmotion)
    assert vmotion.ended
    assert not moving.held
    assert table.under_way(moving) is None
    assert table.peer(vmotion.token) is None
    assert len(table) == 0


def test_a_second_beginning_replaces_one_without_a_destination(table: VMotionTable) -> None:
    moving = port()
    first = begun(table, moving)
    second = begun(table, moving)
    assert first.ended
    assert table.peer(first.token) is None
    assert table.under_way(moving) is second
    assert moving.held
    assert table.peer(second.token) is second
    assert len(table) == 1


def test_a_second_beginning_does_not_disturb_one_with_a_destination(table: VMotionTable) -> None:
    moving = port()
    first = begun(table, moving)
    table.peer(first.token)
    assert table.begin(moving, HOST, SEQUENCE) is None
    assert table.under_way(moving) is first
    assert not first.ended


def orphan(table: VMotionTable, peer: str = HOST) -> VMotion:
    """Return a vMotion whose source has left."""
    vmotion = begun(table, port(), peer=peer)
    vmotion.port.carrier = None
    assert table.lose_source(vmotion)
    return vmotion


def one_too_many(table: VMotionTable, peer: str = HOST) -> VMotion:
    """Return a vMotion that does not outlive its source."""
    vmotion = begun(table, port(), peer=peer)
    vmotion.port.carrier = None
    assert not table.lose_source(vmotion)
    return vmotion


def test_however_many_vms_move_at_once_no_other_has_to_stay(table: VMotionTable) -> None:
    moving = [begun(table, port()) for _ in range(200)]
    assert len(table) == len(moving)


def test_a_host_has_so_many_orphans_and_another_host_as_many(table: VMotionTable) -> None:
    kept = [orphan(table), orphan(table)]
    lost = one_too_many(table)
    assert lost.ended
    assert not lost.port.held
    assert table.peer(lost.token) is None
    kept += [orphan(table, OTHER), orphan(table, OTHER)]
    one_too_many(table, OTHER)
    assert [vmotion.ended for vmotion in kept] == [False] * 4
    assert len(table) == 4
    assert not begun(table, port()).ended


def test_all_hosts_together_have_so_many_orphans(clock: Clock) -> None:
    table = vmotion_table(clock, max_orphans=2, capacity=3)
    for number in range(3):
        orphan(table, f"2001:db8::{number}")
    one_too_many(table, "2001:db8::4")
    assert len(table) == 3


def test_an_orphan_that_gets_a_destination_makes_room_for_another(table: VMotionTable) -> None:
    first, _ = orphan(table), orphan(table)
    assert table.peer(first.token) is first
    orphan(table)
    one_too_many(table)


def test_an_orphan_that_ends_makes_room_for_another(table: VMotionTable, clock: Clock) -> None:
    first, _ = orphan(table), orphan(table)
    table.end(first)
    orphan(table)
    one_too_many(table)
    clock.now += VMOTION_SECONDS
    assert len(table.expire()) == 2
    orphan(table)
    orphan(table)
    assert table._orphans == {HOST: 2}


def test_a_vmotion_with_a_destination_is_no_orphan_until_that_leaves(table: VMotionTable) -> None:
    moving = [begun(table, port()) for _ in range(3)]
    for vmotion in moving:
        table.peer(vmotion.token)
        vmotion.port.carrier = None
        assert table.lose_source(vmotion)
    first, second, third = moving
    assert table.lose_destination(first)
    assert table.lose_destination(second)
    assert not table.lose_destination(third)
    assert [vmotion.ended for vmotion in moving] == [False, False, True]
    assert table.peer(third.token) is None
    assert table.peer(first.token) is first


def test_while_its_source_is_connected_a_vmotion_is_no_orphan(table: VMotionTable) -> None:
    for _ in range(3):
        vmotion = begun(table, port())
        table.peer(vmotion.token)
        assert table.lose_destination(vmotion)
    assert table._orphans == {}


def test_what_is_over_the_time_limit_ends_and_nothing_else(table: VMotionTable, clock: Clock) -> None:
    first = begun(table, port())
    clock.now += 1
    second = begun(table, port())
    clock.now += VMOTION_SECONDS - 1.5
    assert table.expire() == []
    clock.now += 0.5
    assert table.expire() == [first]
    assert first.ended
    assert not first.port.held
    assert table.peer(first.token) is None
    assert not second.ended
    clock.now += 1
    assert table.expire() == [second]
    assert table.expire() == []
    assert len(table) == 0


def test_a_second_beginning_has_its_own_time_limit(table: VMotionTable, clock: Clock) -> None:
    moving, other = port(), port()
    begun(table, moving)
    clock.now += 100
    other_vmotion = begun(table, other)
    clock.now += 10
    again = begun(table, moving)
    clock.now += VMOTION_SECONDS - 10
    assert table.expire() == [other_vmotion]
    clock.now += 10
    assert table.expire() == [again]


def test_the_time_limit_holds_with_a_destination_too(table: VMotionTable, clock: Clock) -> None:
    vmotion = begun(table, port())
    table.peer(vmotion.token)
    clock.now += VMOTION_SECONDS
    assert table.expire() == [vmotion]
    assert vmotion.ended


def test_the_deadline_of_the_table_is_that_of_its_oldest_vmotion(table: VMotionTable, clock: Clock) -> None:
    assert table.deadline is None
    first = begun(table, port())
    clock.now += 1.0
    second = begun(table, port())
    assert table.deadline == first.deadline
    table.end(first)
    assert table.deadline == second.deadline == first.deadline + 1.0


def test_who_expires_a_vmotion_learns_whether_the_port_is_lost(table: VMotionTable, clock: Clock) -> None:
    stays, lost = begun(table, port()), begun(table, port())
    lost.port.carrier = None  # its source has left
    clock.now += VMOTION_SECONDS
    assert [vmotion.source_open for vmotion in table.expire()] == [True, False]
    assert stays.port.carrier is not None
