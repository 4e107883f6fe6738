"""A VM's connection by telnets://, and certificates for it, made for the test run alone."""

import functools
import ssl
from pathlib import Path
from typing import Any

import trustme

from tests.support.peer import Peer, Site

HOST = "127.0.0.1"


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


def write_certificate(directory: Path, issuer: trustme.CA | None = None) -> Path:
    """Write a new certificate for the server, its key with it in one file; return the file."""
    path = directory / "server.pem"
    (issuer or authority()).issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(path)
    return path


def client_context(issuer: trustme.CA | None = None) -> ssl.SSLContext:
    """What a host has that trusts the authority and nobody else."""
    context = ssl.create_default_context()
    (issuer or authority()).configure_trust(context)
    return context


class TLSPeer(Peer):
    """A peer whose connection is TLS from the first byte; its socket carries cipher text."""

    def __init__(self, plain: Peer, context: ssl.SSLContext) -> None:
        super().__init__(plain.socket)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._exchange()
            except ssl.SSLError:
                await super().send(self._outgoing.read())  # the alert says why
                raise
            else:
                await super().send(self._outgoing.read())
                return

    async def send(self, *data: bytes) -> None:
        self.tls.write(b"".join(data))
        await super().send(self._outgoing.read())

    async def say_goodbye(self) -> None:
        """Send close_notify, and no FIN."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            await super().send(self._outgoing.read())

    async def _read(self) -> bytes:
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                if not await self._exchange():
                    raise ConnectionError("closed without close_notify") from None

    async def _exchange(self) -> bytes:
        await super().send(self._outgoing.read())
        data = await super()._read()
        self._incoming.write(data)
        return data


async def connect(site: Site, context: ssl.SSLContext | None = None, **options: Any) -> TLSPeer:
    """Connect to the site's last address, and shake hands."""
    peer = TLSPeer(await site.connect(site.addresses[-1], **options), context or client_context())
    await peer.shake_hands()
    return peer
