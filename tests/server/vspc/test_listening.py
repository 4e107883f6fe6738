import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmw_cloudinit_metadata.errors import ListenError
from vmw_cloudinit_metadata.vspc.listening import inherited_socket, listening_sockets, open_sockets
from vmw_cloudinit_metadata.vspc.protocol import SEND_BUFFER


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """All sockets that are made from here on."""
    sockets: list[socket.socket] = []

    class Recorded(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            sockets.append(self)

    monkeypatch.setattr(socket, "socket", Recorded)
    return sockets


def without_ipv6(monkeypatch: pytest.MonkeyPatch, where: str, number: int) -> None:
    """Let IPv6 fail as it does where it is not built in ("socket"), or switched off ("bind")."""

    class Socket(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if where == "socket" and family == socket.AF_INET6:
                raise OSError(number, "made up")
            super().__init__(family, *args, **kwargs)

        def bind(self, address: Any) -> None:
            if where == "bind" and self.family == socket.AF_INET6:
                raise OSError(number, "made up")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", Socket)


def test_an_address_is_listened_on(opened: list[socket.socket]) -> None:
    opened += listening_sockets("127.0.0.1", 0)
    (one,) = opened
    with socket.create_connection(one.getsockname()) as connected:
        accepted, _ = one.accept()
        opened.append(accepted)
        # The kernel doubles what it is given.
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert accepted.getpeername() == connected.getsockname()


def test_a_host_that_has_vanished_is_noticed_in_two_minutes(opened: list[socket.socket]) -> None:
    opened += listening_sockets("127.0.0.1", 0)
    (one,) = opened
    with socket.create_connection(one.getsockname()):
        accepted, _ = one.accept()
        opened.append(accepted)
        idle, interval, count = (
            accepted.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count == 120


def test_a_system_without_those_options_keeps_its_own_time(
    monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket]
) -> None:
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
        monkeypatch.delattr(socket, option)
    opened += listening_sockets("127.0.0.1", 0)
    assert opened[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_every_address_is_ipv4_and_ipv6(opened: list[socket.socket]) -> None:
    opened += listening_sockets("", 0)
    assert {one.family for one in opened} == {socket.AF_INET, socket.AF_INET6}
    assert {one.getsockname()[0] for one in opened} == {"0.0.0.0", "::"}


def test_ipv4_and_ipv6_share_a_port(opened: list[socket.socket]) -> None:
    opened += listening_sockets("0.0.0.0", 0)
    opened += listening_sockets("::", opened[0].getsockname()[1])


def test_a_port_is_free_again_at_once(opened: list[socket.socket]) -> None:
    (first,) = listening_sockets("127.0.0.1", 0)
    address = first.getsockname()
    with socket.create_connection(address) as connected:
        accepted, _ = first.accept()
        accepted.close()  # the server's side ends first, and the kernel keeps the address for a while
        first.close()
        assert connected.recv(1) == b""
    opened += listening_sockets(*address)


@pytest.mark.parametrize(
    ("where", "number"),
    [("socket", errno.EAFNOSUPPORT), ("bind", errno.EADDRNOTAVAIL)],
    ids=["not built in", "switched off"],
)
def test_a_host_without_ipv6_has_every_address_all_the_same(
    monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket], where: str, number: int
) -> None:
    without_ipv6(monkeypatch, where, number)
    opened += listening_sockets("", 0)
    assert [one.family for one in opened] == [socket.AF_INET]
    with pytest.raises(ListenError, match=r"cannot listen on \[::1\]:0: made up"):
        listening_sockets("::1", 0)


def test_another_fault_of_ipv6_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    without_ipv6(monkeypatch, "bind", errno.EACCES)
    with pytest.raises(ListenError, match=r"cannot listen on \[::\]:0: made up"):
        listening_sockets("", 0)


def test_a_port_in_use_is_one_sentence_and_nothing_stays_open(
    opened: list[socket.socket], made: list[socket.socket]
) -> None:
    opened += listening_sockets("127.0.0.1", 0)
    port = opened[0].getsockname()[1]
    with pytest.raises(ListenError) as raised:
        listening_sockets("127.0.0.1", port)
    assert str(raised.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"
    made.clear()
    with pytest.raises(ListenError):
        listening_sockets("", port)
    assert made
    assert [one.fileno() for one in made] == [-1] * len(made)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 70 + ".example"])
def test_a_host_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.endswith(".invalid"):  # as a name server says, which is not asked here
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ListenError, match=r"^cannot listen on [^:]+:13370: (Name or|not a host)[a-z ]*$"):
        listening_sockets(host, 13370)


# All sockets of a server


def test_plain_sockets_come_first_and_those_with_tls_are_marked(opened: list[socket.socket]) -> None:
    sockets = open_sockets([("127.0.0.1", 0), ("127.0.0.2", 0)], [("127.0.0.3", 0)])
    opened += [one for one, _ in sockets]
    assert [(one.getsockname()[0], tls) for one, tls in sockets] == [
        ("127.0.0.1", False),
        ("127.0.0.2", False),
        ("127.0.0.3", True),
    ]


def test_if_one_address_cannot_be_listened_on_none_is(made: list[socket.socket]) -> None:
    with pytest.raises(ListenError):
        open_sockets([("127.0.0.1", 0)], [("127.0.0.1", 0), ("192.0.2.1", 0)])
    assert len(made) == 3
    assert [one.fileno() for one in made] == [-1] * 3


# Sockets of systemd's


def from_systemd(*sockets: socket.socket) -> list[int]:
    """Descriptors as systemd hands them over: inheritable."""
    descriptors = [one.detach() for one in sockets]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    return descriptors


def test_sockets_of_systemds_are_taken_instead_of_ours_and_set_up_like_them(
    opened: list[socket.socket],
) -> None:
    plain, tls = from_systemd(
        socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)
    )
    named = [(plain, "vmw-cloudinit-metadata.socket"), (tls, "tls")]
    sockets = open_sockets([("127.0.0.2", 0)], [("127.0.0.3", 0)], named)
    opened += [one for one, _ in sockets]
    assert [(one.fileno(), tls) for one, tls in sockets] == [(plain, False), (tls, True)]
    for one, _ in sockets:
        assert not one.get_inheritable()
        with socket.create_connection(one.getsockname()[:2]):
            accepted, _ = one.accept()
            opened.append(accepted)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),  # it does not listen
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
    ],
)
def test_a_descriptor_that_is_no_listening_tcp_socket_is_refused(
    family: socket.AddressFamily, kind: socket.SocketKind
) -> None:
    (descriptor,) = from_systemd(socket.socket(family, kind))
    with pytest.raises(ListenError, match=f"^descriptor {descriptor} from systemd is not a listening TCP"):
        inherited_socket(descriptor)


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        number = file.fileno()
        with pytest.raises(ListenError, match=f"^descriptor {number} from systemd is not a socket$"):
            inherited_socket(number)
