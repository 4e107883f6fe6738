import itertools

from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.vspc.port import Port, VMIdentity


def test_a_new_port_is_nobody_s_and_waits_for_nothing() -> None:
    port = Port(max_line=100)
    assert port.identity is None
    assert port.carrier is None
    assert not port.held
    assert port.unsent == 0
    assert port.take(10) == b""


def test_what_waits_is_taken_oldest_first_and_no_more_than_asked_for() -> None:
    port = Port(max_line=100)
    port.send(b"one")
    port.send(b"")
    port.send(b"two three")
    assert port.unsent == 12
    assert port.take(5) == b"onetw"
    assert port.unsent == 7
    assert port.take(0) == b""
    port.send(b"!")
    assert port.take(100) == b"o three!"
    assert port.unsent == 0


@given(st.lists(st.binary()), st.lists(st.integers(0, 9)))
def test_output_comes_out_once_and_in_order_however_it_is_taken(
    pieces: list[bytes], sizes: list[int]
) -> None:
    port = Port(max_line=100)
    taken = b""
    for piece, size in itertools.zip_longest(pieces, sizes):
        port.send(piece or b"")
        some = port.take(size or 0)
        assert len(some) <= (size or 0)
        taken += some
    assert taken + port.take(port.unsent) == b"".join(pieces)
    assert port.unsent == 0


def test_what_waits_in_many_ports_is_copied_by_none() -> None:
    shared = b"x" * 1000
    ports = [Port(max_line=100) for _ in range(3)]
    for port in ports:
        port.send(shared)
        port.send(b"more")
    assert all(port.take(1000) is shared for port in ports)
    assert [port.unsent for port in ports] == [4] * 3


def test_what_is_large_is_taken_in_pieces_without_moving_the_rest() -> None:
    port, shared = Port(max_line=100), bytes(range(256)) * 64
    port.send(shared)
    pieces = [port.take(1000) for _ in range(17)]
    assert b"".join(pieces) == shared
    assert (len(pieces[-1]), port.unsent, port.take(1)) == (384, 0, b"")


def test_lines_are_bounded_by_the_port_s_limit() -> None:
    port = Port(max_line=4)
    assert port.lines.feed(b"1234\n12345\n1\n") == [b"1234", b"1"]
    assert port.lines.dropped == 1


def test_ports_are_compared_by_identity_not_by_what_the_vm_claims() -> None:
    one, other = Port(10), Port(10)
    one.identity = other.identity = VMIdentity("web-01")
    assert one != other
    assert len({one, other}) == 2


def test_a_vm_that_says_its_name_alone_has_no_uuids_and_no_label() -> None:
    identity = VMIdentity("web-01")
    assert (identity.vc_uuid, identity.bios_uuid, identity.location_uuid) == (None, None, None)
    assert identity.port == ""
