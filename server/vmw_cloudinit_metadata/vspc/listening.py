"""The sockets a server listens on: resolved, bound and set up; who connects is server.py's business."""

import errno
import socket
from collections.abc import Sequence
from typing import Any

from vmw_cloudinit_metadata.errors import ListenError
from vmw_cloudinit_metadata.log import address_text
from vmw_cloudinit_metadata.vspc.protocol import SEND_BUFFER

# After a restart all VMs of a site reconnect at once; the kernel caps this at net.core.somaxconn.
BACKLOG = 4096

# A host that has vanished sends no FIN, and the kernel's own two hours would keep its VMs' places, and the
# limits' counts, for as long. In seconds and probes: gone after two minutes of silence, and while all is well
# one empty segment a minute. A system that lacks one of them (macOS) has its own time.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}

# What the system says where IPv6 is not built in, or switched off.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


# The FileDescriptorName= of systemd's sockets that speak TLS.
TLS_NAME = "tls"


def open_sockets(
    listen: Sequence[tuple[str, int]],
    tls_listen: Sequence[tuple[str, int]],
    inherited: Sequence[tuple[int, str]] = (),
) -> list[tuple[socket.socket, bool]]:
    """Return listening sockets, and of each whether it speaks TLS.

    ``inherited`` are descriptor and name of systemd's sockets; if there are any, we open none of our own.

    Raises:
        ListenError: an address cannot be listened on, a descriptor is no such socket; then none stays open.
    """
    opened: list[tuple[socket.socket, bool]] = []
    try:
        for descriptor, name in inherited:
            opened.append((inherited_socket(descriptor), name == TLS_NAME))
        if not inherited:
            for addresses, tls in ((listen, False), (tls_listen, True)):
                for host, port in addresses:
                    opened += [(one, tls) for one in listening_sockets(host, port)]
    except ListenError:
        for one, _ in opened:
            one.close()
        raise
    return opened


def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address the host has; "" is every address, IPv4 and IPv6.

    Raises:
        ListenError: the host has no address, or one that cannot be listened on; then all are closed.
    """
    try:
        infos = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a host name"
        raise ListenError(f"cannot listen on {address_text(host, port)}: {reason}") from None
    sockets: list[socket.socket] = []
    for family, _, _, _, address in infos:
        try:
            sockets.append(_listening_socket(family, address))
        except OSError as error:
            if not host and family == socket.AF_INET6 and error.errno in _NO_IPV6:
                continue  # a host without IPv6 has every address all the same
            for one in sockets:
                one.close()
            where = address_text(*address[:2])
            raise ListenError(f"cannot listen on {where}: {error.strerror}") from None
    return sockets


def inherited_socket(descriptor: int) -> socket.socket:
    """Return a listening socket that systemd has opened, set up as ours are.

    Raises:
        ListenError: the descriptor is no listening TCP socket.
    """
    try:
        one = socket.socket(fileno=descriptor)
    except OSError:
        raise ListenError(f"descriptor {descriptor} from systemd is not a socket") from None
    is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
    if not (is_tcp and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        one.close()
        raise ListenError(f"descriptor {descriptor} from systemd is not a listening TCP socket")
    one.set_inheritable(False)
    _set_up(one)
    return one


def _listening_socket(family: int, address: tuple[Any, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _set_up(one)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        # Now: of two servers that start at once, the second fails here.
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def _set_up(one: socket.socket) -> None:
    # Accepted sockets inherit all of these.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
