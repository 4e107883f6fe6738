"""Certificates, and TLS without a socket. Over sockets: test_protocol_tls.py."""

import contextlib
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.tls import HOST, authority, client_context, write_certificate
from vmw_cloudinit_metadata.errors import ConfigurationError, ProtocolError
from vmw_cloudinit_metadata.vspc.tls import MAX_UNSENT, Certificate, TLSStream, thumbprint


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(write_certificate(tmp_path))


class Client:
    """The other side, as OpenSSL has it."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context()).wrap_bio(self.incoming, self.outgoing, server_hostname=HOST)

    def shake_hands(self, server: TLSStream) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                assert server.receive_data(self.outgoing.read()) == b""
                self.incoming.write(server.data_to_send())
                continue
            assert server.receive_data(self.outgoing.read()) == b""
            return

    def says(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def hears(self, data: bytes) -> bytes:
        self.incoming.write(data)
        heard = b""
        try:
            while piece := self.tls.read(65536):
                heard += piece
        except ssl.SSLWantReadError:
            pass
        return heard


@pytest.fixture
def pair(certificate: Certificate) -> tuple[Client, TLSStream]:
    client, server = Client(), certificate.new_stream()
    client.shake_hands(server)
    return client, server


def whole(data: bytes) -> Iterable[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for index in range(len(data)):
        yield data[index : index + 1]


@pytest.mark.parametrize("pieces", [whole, byte_by_byte])
def test_plain_text_comes_out_however_cipher_text_goes_in(
    pair: tuple[Client, TLSStream], pieces: Callable[[bytes], Iterable[bytes]]
) -> None:
    client, server = pair
    assert server.established
    cipher_text = client.says(b"first") + client.says(b"second" * 5000) + client.says(b"third")
    plain = b"".join(server.receive_data(piece) for piece in pieces(cipher_text))
    assert plain == b"first" + b"second" * 5000 + b"third"
    assert not server.ended


def test_what_comes_with_the_end_of_the_handshake_is_not_lost(certificate: Certificate) -> None:
    client, server = Client(), certificate.new_stream()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    assert server.receive_data(client.outgoing.read()) == b""
    client.incoming.write(server.data_to_send())
    client.tls.do_handshake()
    assert server.receive_data(client.says(b"at once")) == b"at once"


def test_half_a_handshake_is_not_established(certificate: Certificate) -> None:
    client, server = Client(), certificate.new_stream()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    assert server.receive_data(client.outgoing.read()[:50]) == b""
    assert (server.established, server.data_to_send()) == (False, b"")


def test_what_is_sent_arrives(pair: tuple[Client, TLSStream]) -> None:
    client, server = pair
    data = bytes(range(256)) * 400
    server.send(data)
    assert client.hears(server.data_to_send()) == data
    assert server.data_to_send() == b""


def test_the_end_is_told_to_both(pair: tuple[Client, TLSStream]) -> None:
    client, server = pair
    server.send(b"last")
    server.close()
    client.incoming.write(server.data_to_send())
    assert client.tls.read(100) == b"last"
    assert client.tls.read(100) == b""  # close_notify: nothing was cut off
    client.tls.unwrap()
    assert server.receive_data(client.outgoing.read()) == b""
    assert server.ended


def test_what_comes_before_the_end_is_not_lost(pair: tuple[Client, TLSStream]) -> None:
    client, server = pair
    client.tls.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert server.receive_data(client.outgoing.read()) == b"last"
    assert server.ended


def test_closing_before_the_handshake_is_no_fault(certificate: Certificate) -> None:
    server = certificate.new_stream()
    server.close()
    assert server.data_to_send() == b""


@pytest.mark.parametrize("data", [b"\xff\xfb\x25", b"GET / HTTP/1.1\r\n", b"\x00", b"\x15\x03\x01\x00\x02"])
def test_who_does_not_speak_tls_is_told_apart_by_the_first_byte(
    certificate: Certificate, data: bytes
) -> None:
    with pytest.raises(ProtocolError, match=r"^does not speak TLS: is its vSPC URI telnets://\?$"):
        certificate.new_stream().receive_data(data)


def test_why_a_handshake_fails_is_said_and_the_peer_is_told(certificate: Certificate) -> None:
    old = client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("AES128-SHA:@SECLEVEL=0")  # without forward secrecy
    client, server = Client(old), certificate.new_stream()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    with pytest.raises(ProtocolError, match=r"^the TLS handshake failed: no shared cipher$"):
        server.receive_data(client.outgoing.read())
    assert server.data_to_send()[:1] == b"\x15"  # an alert


def test_a_client_that_does_not_trust_us_is_said_to_have_said_so(certificate: Certificate) -> None:
    client, server = Client(client_context(trustme.CA())), certificate.new_stream()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    server.receive_data(client.outgoing.read())
    client.incoming.write(server.data_to_send())
    with pytest.raises(ssl.SSLCertVerificationError):
        client.tls.do_handshake()
    with pytest.raises(ProtocolError, match=r"^the TLS handshake failed: .*alert unknown ca$"):
        server.receive_data(client.outgoing.read())


@pytest.mark.parametrize(
    ("version", "served"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_2_and_later_are_spoken(
    certificate: Certificate, version: ssl.TLSVersion, served: bool
) -> None:
    context = client_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else OpenSSL does not offer 1.1 at all
    context.minimum_version = context.maximum_version = version
    client, server = Client(context), certificate.new_stream()
    if served:
        client.shake_hands(server)
        assert client.tls.version() == version.name.replace("v1_", "v1.")
    else:
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        with pytest.raises(ProtocolError, match="unsupported protocol"):
            server.receive_data(client.outgoing.read())


def test_a_broken_record_ends_the_stream(pair: tuple[Client, TLSStream]) -> None:
    client, server = pair
    cipher_text = bytearray(client.says(b"data"))
    cipher_text[-1] ^= 1
    with pytest.raises(ProtocolError, match=r"^TLS failed: "):
        server.receive_data(bytes(cipher_text))
    assert not server.established


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1))
def test_garbage_is_a_violation_or_waited_out(certificate: Certificate, garbage: bytes) -> None:
    for beginning in (b"", b"\x16\x03\x01\x00\x20"):
        plain = b""
        with contextlib.suppress(ProtocolError):
            plain = certificate.new_stream().receive_data(beginning + garbage)
        assert plain == b""


def test_a_peer_that_does_not_read_what_it_asks_for_is_given_up(pair: tuple[Client, TLSStream]) -> None:
    client, server = pair
    server.send(bytes(MAX_UNSENT + 1))
    with pytest.raises(ProtocolError, match=r"has let its TLS ask for more than 65536 bytes"):
        server.receive_data(client.says(b"more"))


# Certificates


def test_key_and_certificate_may_stand_in_two_files(tmp_path: Path) -> None:
    issued = authority().issue_cert(HOST)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    Client().shake_hands(Certificate(tmp_path / "tls.crt", tmp_path / "tls.key").new_stream())


def shows(certificate: Certificate) -> bytes | None:
    """The certificate that a client is shown."""
    client = Client()
    client.shake_hands(certificate.new_stream())
    return client.tls.getpeercert(binary_form=True)


def test_a_new_certificate_is_shown_after_a_reload_and_old_connections_go_on(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path))
    client, server = Client(), certificate.new_stream()
    client.shake_hands(server)
    before = shows(certificate)
    write_certificate(tmp_path)
    assert shows(certificate) == before
    certificate.reload()
    assert shows(certificate) != before
    assert server.receive_data(client.says(b"still here")) == b"still here"


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN CERTIFICATE-----\n"])
def test_a_broken_new_certificate_keeps_the_old_one(tmp_path: Path, text: str) -> None:
    certificate = Certificate(write_certificate(tmp_path))
    before = shows(certificate)
    (tmp_path / "server.pem").write_text(text)
    with pytest.raises(ConfigurationError):
        certificate.reload()
    assert shows(certificate) == before


def write(directory: Path, name: str, text: bytes) -> Path:
    (directory / name).write_bytes(text)
    return directory / name


def test_faults_of_a_certificate_are_one_sentence_each(tmp_path: Path) -> None:
    ours, other = authority().issue_cert(HOST), authority().issue_cert(HOST)
    crt = write(tmp_path, "tls.crt", ours.cert_chain_pems[0].bytes())
    key = write(tmp_path, "tls.key", ours.private_key_pem.bytes())
    other_key = write(tmp_path, "other.key", other.private_key_pem.bytes())
    broken = write(tmp_path, "broken.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    der = write(tmp_path, "tls.der", ssl.PEM_cert_to_DER_cert(ours.cert_chain_pems[0].bytes().decode()))
    missing = tmp_path / "missing"
    mismatch = (
        f"the certificate in {crt} cannot be used with the private key in {other_key}: they do not belong"
        " together"
    )
    for files, sentence in (
        ((missing, None), f"cannot read {missing}: No such file or directory"),
        ((crt, missing), f"cannot read {missing}: No such file or directory"),
        ((tmp_path, None), f"cannot read {tmp_path}: Is a directory"),
        ((crt, None), f"there is no private key in {crt}, or not as PEM"),
        ((key, None), f"there is no certificate in {key}, or not as PEM"),
        ((der, key), f"there is no certificate in {der}, or not as PEM"),
        ((crt, other_key), mismatch),
        ((crt, broken), f"the certificate in {crt} cannot be used with the private key in {broken}: "),
    ):
        with pytest.raises(ConfigurationError) as raised:
            Certificate(*files)
        assert str(raised.value).startswith(sentence)
        assert "\n" not in str(raised.value)


def test_an_encrypted_key_is_refused_and_nobody_asked(tmp_path: Path) -> None:
    path = write_certificate(tmp_path)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    (tmp_path / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    with pytest.raises(ConfigurationError) as raised:
        Certificate(path, tmp_path / "tls.key")
    assert str(raised.value) == (
        f"the private key in {tmp_path}/tls.key is encrypted, and there is nobody to ask for its passphrase"
    )


def test_no_key_shows_in_a_repr(certificate: Certificate) -> None:
    assert "KEY" not in repr(certificate) + repr(vars(certificate))


def test_a_thumbprint_is_that_of_the_first_certificate_as_openssl_prints_it(tmp_path: Path) -> None:
    # `openssl x509 -sha1 -noout -fingerprint` prints sha1 Fingerprint=AA:BB:…
    path = write_certificate(tmp_path)
    chain = path.read_text()
    expected = x509.load_pem_x509_certificate(chain[chain.index("-----BEGIN CERT") :].encode())
    assert thumbprint(path) == expected.fingerprint(hashes.SHA1()).hex(":").upper()
    other = authority().cert_pem.bytes().decode()
    path.write_text(f"comment\n{other}{chain}")
    assert thumbprint(path) != expected.fingerprint(hashes.SHA1()).hex(":").upper()


@pytest.mark.parametrize(
    "text",
    [
        *("", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nMII", "größe CERTIFICATE-----"),
        "-----BEGIN CERTIFICATE-----\nM\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_file_without_a_certificate_has_no_thumbprint(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "tls.pem", text.encode())
    with pytest.raises(ConfigurationError) as caught:
        thumbprint(path)
    assert str(caught.value) == f"there is no certificate in {path}, or not as PEM"
