import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata.checking.ssh_keys import ssh_key_fault

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def line(kind: str, *fields: bytes) -> str:
    """A key as it stands in a file, of the fields behind its type."""
    return f"{kind} {base64.b64encode(b''.join(field(each) for each in (kind.encode(), *fields))).decode()}"


def rsa(bits: int) -> str:
    return line("ssh-rsa", b"\1\0\1", b"\0" + (1 << (bits - 1)).to_bytes(bits // 8, "big"))


ED25519 = line("ssh-ed25519", b"k" * 32)
P256 = (b"nistp256", b"\4" + b"p" * 64)

READABLE = [
    ED25519,
    f"{ED25519} admin@example.org",
    f"  {ED25519} two words\n",
    f'from="192.0.2.0/24,198.51.100.0/24",no-pty {ED25519} admin',
    f'command="echo \\"a b\\"" {ED25519}',
    f"cert-authority {ED25519}",
    rsa(1024),
    rsa(4096),
    line("ecdsa-sha2-nistp256", *P256),
    line("ecdsa-sha2-nistp384", b"nistp384", b"\4" + b"p" * 96),
    line("ecdsa-sha2-nistp521", b"nistp521", b"\4" + b"p" * 132),
    line("sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
    line("sk-ecdsa-sha2-nistp256@openssh.com", *P256, b"ssh:"),
    line("ssh-mldsa65", b"a type of tomorrow"),
    f"no-pty {line('ssh-mldsa65', b'a type of tomorrow')}",
]

NO_TYPE = "is of no type that sshd knows; a key is a line such as 'ssh-ed25519 AAAA… comment'"
CUT = "ends in its middle: it was cut; copy the whole line again"
NOT_BASE64 = "is not whole base64: it was cut, or broken over two lines; copy the whole line again"
NO_POINT = "holds no point of the curve nistp256; copy the whole line again"

UNREADABLE = [
    ("", NO_TYPE),
    ("hunter2", NO_TYPE),
    ("ed25519 AAAA", NO_TYPE),
    (ED25519.removeprefix("ssh-ed25519 "), NO_TYPE),
    ('command="never ends ssh-ed25519', NO_TYPE),
    ("ssh-ed25519", "has no base64 behind its type; a key is a line such as 'ssh-ed25519 AAAA… comment'"),
    ("ssh-ed25519 AAAA…", NOT_BASE64),
    (ED25519[:-1], NOT_BASE64),
    (f"{ED25519[:40]} {ED25519[40:]}", CUT),
    ("ssh-ed25519 AAAA", CUT),
    (line("ssh-ed25519"), CUT),
    (
        line("ssh-ed25519", b"k" * 31),
        "is not 32 bytes long, as a key of Ed25519 is; copy the whole line again",
    ),
    (
        line("ssh-ed25519", b"k" * 32, b"k"),
        "goes on behind its end: two keys were put together; write a line for each",
    ),
    (
        ED25519.replace("ssh-ed25519", "ssh-rsa"),
        "says ssh-rsa and holds a key of ssh-ed25519; copy the whole line again",
    ),
    (
        f"ssh-rsa {base64.b64encode(field(b'hunter2')).decode()}",
        "says ssh-rsa and holds a key of another type; copy the whole line again",
    ),
    (rsa(512), "has 512 bits; sshd refuses RSA keys of less than 1024"),
    (line("ssh-rsa", b"\1\0\1"), CUT),
    (line("ecdsa-sha2-nistp256", b"nistp384", P256[1]), NO_POINT),
    (line("ecdsa-sha2-nistp256", b"nistp256", b"\2" + b"p" * 32), NO_POINT),
    (line("ecdsa-sha2-nistp256", b"nistp256", b""), NO_POINT),
    (line("sk-ssh-ed25519@openssh.com", b"k" * 32), CUT),
    (
        line("ssh-dss", b"p", b"q", b"g", b"y"),
        "is a DSA key, which OpenSSH has not taken since 7.0; make one of ssh-ed25519",
    ),
    (
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "is a private key, which nobody else may have; write the line of its .pub file",
    ),
    (
        "---- BEGIN SSH2 PUBLIC KEY ----",
        "is a key in the form of RFC 4716; ssh-keygen -i makes it a line such as 'ssh-ed25519 AAAA… comment'",
    ),
]


@pytest.mark.parametrize("key", READABLE)
def test_a_key_that_sshd_reads_has_no_fault(key: str) -> None:
    assert ssh_key_fault(key) is None


@pytest.mark.parametrize(("key", "sentence"), UNREADABLE)
def test_what_sshd_does_not_read_is_told_with_what_to_do(key: str, sentence: str) -> None:
    assert ssh_key_fault(key) == sentence


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_what_ssh_keygen_makes_has_no_fault(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(file)], check=True)
    assert ssh_key_fault(file.with_suffix(".pub").read_text()) is None
    assert ssh_key_fault(file.read_text()) is not None


@given(st.text() | st.sampled_from(READABLE).flatmap(lambda key: st.text().map(key.__add__)))
@patient
def test_no_text_is_more_than_a_sentence(text: str) -> None:
    fault = ssh_key_fault(text)
    assert fault is None or fault.isprintable()


@pytest.mark.parametrize("length", range(len(ED25519)))
def test_a_key_that_lacks_its_end_is_a_fault(length: int) -> None:
    assert ssh_key_fault(ED25519[:length]) is not None
