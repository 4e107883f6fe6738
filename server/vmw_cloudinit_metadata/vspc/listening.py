"""The sockets a server listens on: resolved, bound and set up; who connects is server.py's business."""

import errno
import socket
from typing import Any

from vmw_cloudinit_metadata.errors import ListenError
from vmw_cloudinit_metadata.log import address_text
from vmw_cloudinit_metadata.vspc.protocol import SEND_BUFFER

# After a restart all VMs of a site reconnect at once; the kernel caps this at net.core.somaxconn.
BACKLOG = 4096

# What the system says where IPv6 is not built in, or switched off.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


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


def _listening_socket(family: int, address: tuple[Any, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit these two. ESXi hosts vanish without a FIN.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        # Now: of two servers that start at once, the second fails here.
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    return one
