"""TLS without a socket: the certificate, and a connection's cipher text to plain text and back.

asyncio has TLS transports, which are not used: they hide the buffer of the transport below, and what waits
there makes a VM stand still in a vMotion; they tell of a connection only after its handshake, and until then
no limit would hold; and they do not tell why a handshake has failed.
"""

import binascii
import contextlib
import hashlib
import re
import ssl
from pathlib import Path

from vmw_cloudinit_metadata.errors import ConfigurationError, ProtocolError

# The most plain text in one record, by RFC 8446, section 5.1.
_RECORD = 16 * 1024

# The first byte of every client's first record: its type, handshake. No telnet dialogue begins so.
HANDSHAKE = 0x16

# What TLS itself may have to say while the peer does not read: a long chain of certificates fits.
MAX_UNSENT = 64 * 1024


class Certificate:
    """A certificate and its key from PEM files, which can be read again while it is in use."""

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        """Read ``certificate`` (with the chain behind it) and ``key``, by default from the same file.

        Raises:
            ConfigurationError: they cannot be used.
        """
        self._certificate = certificate
        self._key = key or certificate
        self._context = self._read()

    def reload(self) -> None:
        """Read the files again, for connections to come; if they cannot be used, all stays as it was.

        Raises:
            ConfigurationError: they cannot be used.
        """
        self._context = self._read()

    def new_stream(self) -> "TLSStream":
        """Return the server's side of a new connection."""
        return TLSStream(self._context)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        # OpenSSL does not say which of the two files it means.
        _look_for(b"CERTIFICATE-----", "certificate", self._certificate)
        _look_for(b"PRIVATE KEY-----", "private key", self._key)
        try:
            context.load_cert_chain(self._certificate, self._key, password=self._refuse_encryption)
        except ssl.SSLError as error:
            mismatch = error.reason == "KEY_VALUES_MISMATCH"
            reason = "they do not belong together" if mismatch else _reason(error)
            raise ConfigurationError(
                f"the certificate in {self._certificate} cannot be used with the private key in {self._key}: "
                f"{reason}"
            ) from None
        except OSError as error:  # they have changed just now
            raise ConfigurationError(f"cannot read {self._certificate}: {error.strerror}") from None
        return context

    def _refuse_encryption(self) -> str:
        raise ConfigurationError(
            f"the private key in {self._key} is encrypted, and there is nobody to ask for its passphrase"
        )


class TLSStream:
    """One connection's TLS: what comes from the peer goes in, what goes to the peer comes out."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._begun = False
        self.established = False  # the handshake is done, and nothing has failed since
        self.ended = False  # the peer has said that it sends no more

    def receive_data(self, data: bytes) -> bytes:
        """Take cipher text; return the plain text that is complete with it.

        Raises:
            ProtocolError: it is no TLS, or not as it must be; what the peer is told of it is to be sent.
        """
        if not self._begun and data[0] != HANDSHAKE:
            raise ProtocolError("does not speak TLS: is its vSPC URI telnets://?")
        self._begun = True
        self._incoming.write(data)
        plain = bytearray()
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            while piece := self._tls.read(_RECORD):
                plain += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # the same, when we have said it, too
            self.ended = True
        except ssl.SSLError as error:
            stage = "TLS failed" if self.established else "the TLS handshake failed"
            self.established = False
            raise ProtocolError(f"{stage}: {_reason(error)}") from None
        if self._outgoing.pending > MAX_UNSENT:
            raise ProtocolError(f"has let its TLS ask for more than {MAX_UNSENT} bytes without reading them")
        return bytes(plain)

    def send(self, data: bytes) -> None:
        """Encrypt plain text for the peer. Call it only when the stream is established."""
        self._tls.write(data)

    def close(self) -> None:
        """Tell the peer that this was all: it can tell that nothing was cut off."""
        with contextlib.suppress(ssl.SSLError):  # of which one says: now wait for the peer's answer
            self._tls.unwrap()

    def data_to_send(self) -> bytes:
        """Return the cipher text that is to be sent."""
        return self._outgoing.read()


def thumbprint(path: Path) -> str:
    """Return the thumbprint of the first certificate in a PEM file, for ``#thumbprint=`` in a vSPC URI.

    SHA-1, in hexadecimal digits with colons. VMware's "vSphere Virtual Machine Administration"
    (Authentication Parameters for Virtual Serial Port Network Connections) has the key and not the form; the
    README of OpenStack's vmware-vspc says SHA-1, and its devstack plugin passes on what openssl prints for
    ``openssl x509 -sha1 -fingerprint``.

    Raises:
        ConfigurationError: there is no certificate in the file.
    """
    _look_for(b"CERTIFICATE-----", "certificate", path)
    text = path.read_text(encoding="ascii", errors="replace")
    first = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    try:
        certificate = ssl.PEM_cert_to_DER_cert(first[0]) if first else b""
    except (ValueError, binascii.Error):
        certificate = b""
    if not certificate:
        raise ConfigurationError(f"there is no certificate in {path}, or not as PEM")
    return hashlib.sha1(certificate, usedforsecurity=False).digest().hex(":").upper()


def _look_for(label: bytes, what: str, path: Path) -> None:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if label not in text:
        raise ConfigurationError(f"there is no {what} in {path}, or not as PEM")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "it is not as it must be").replace("_", " ").lower()
