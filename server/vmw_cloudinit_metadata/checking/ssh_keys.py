"""Whether sshd can read an SSH public key: its type, its base64, and what the base64 holds.

The line is one of authorized_keys (sshd(8)); the blob is that of RFC 4253, section 6.6, of RFC 5656 (ECDSA),
RFC 8709 (Ed25519), and OpenSSH's PROTOCOL.u2f (keys in hardware). No point is looked for on its curve: what
was cut, wrapped or put together wrongly is found without.
"""

import base64
import re
from collections.abc import Callable

_EXAMPLE = "'ssh-ed25519 AAAA… comment'"

# OpenSSH refuses shorter ones (SSH_RSA_MINIMUM_MODULUS_SIZE of sshkey.h).
_SHORTEST_RSA = 1024

# The options before a key: no space but within quotes.
_OPTIONS = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")+\s+')


class _BlobError(Exception):
    """What is wrong with a blob, as the end of a sentence."""


class _Blob:
    """The fields of a blob, taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def take(self) -> bytes:
        """Return the next field: a length of four bytes, and so many bytes."""
        size = int.from_bytes(self._rest[:4], "big")
        field = self._rest[4 : 4 + size]
        if len(self._rest) < 4 or len(field) < size:
            raise _BlobError("ends in its middle: it was cut; copy the whole line again")
        self._rest = self._rest[4 + size :]
        return field

    def end(self) -> None:
        """Check that nothing follows."""
        if self._rest:
            raise _BlobError("goes on behind its end: two keys were put together; write a line for each")


def _check_ed25519(blob: _Blob) -> None:
    if len(blob.take()) != 32:
        raise _BlobError("is not 32 bytes long, as a key of Ed25519 is; copy the whole line again")


def _check_rsa(blob: _Blob) -> None:
    blob.take()  # the exponent
    bits = int.from_bytes(blob.take(), "big").bit_length()
    if bits < _SHORTEST_RSA:
        raise _BlobError(f"has {bits} bits; sshd refuses RSA keys of less than {_SHORTEST_RSA}")


def _check_ecdsa(curve: bytes, size: int) -> Callable[[_Blob], None]:
    def check(blob: _Blob) -> None:
        # The point is not compressed (RFC 5656, section 3.1): 4, and two coordinates.
        name, point = blob.take(), blob.take()
        if name != curve or len(point) != 1 + 2 * size or point[0] != 4:
            raise _BlobError(f"holds no point of the curve {curve.decode()}; copy the whole line again")

    return check


def _in_hardware(check_key: Callable[[_Blob], None]) -> Callable[[_Blob], None]:
    def check(blob: _Blob) -> None:
        check_key(blob)
        blob.take()  # the application

    return check


def _check_dsa(blob: _Blob) -> None:
    raise _BlobError("is a DSA key, which OpenSSH has not taken since 7.0; make one of ssh-ed25519")


_P256 = _check_ecdsa(b"nistp256", 32)
_TYPES: dict[str, Callable[[_Blob], None]] = {
    "ssh-ed25519": _check_ed25519,
    "ssh-rsa": _check_rsa,
    "ecdsa-sha2-nistp256": _P256,
    "ecdsa-sha2-nistp384": _check_ecdsa(b"nistp384", 48),
    "ecdsa-sha2-nistp521": _check_ecdsa(b"nistp521", 66),
    "sk-ssh-ed25519@openssh.com": _in_hardware(_check_ed25519),
    "sk-ecdsa-sha2-nistp256@openssh.com": _in_hardware(_P256),
    "ssh-dss": _check_dsa,
}


def ssh_key_fault(line: str) -> str | None:
    """Return what is wrong with a line of authorized_keys, as the end of a sentence; None if sshd reads it.

    Options may stand before the key. Nothing of the line is quoted: it may be a private key.
    """
    line = line.strip()
    if "PRIVATE KEY" in line:
        return "is a private key, which nobody else may have; write the line of its .pub file"
    if line.startswith("---- BEGIN SSH2"):
        return f"is a key in the form of RFC 4716; ssh-keygen -i makes it a line such as {_EXAMPLE}"
    words = line.split(maxsplit=2)
    if words and words[0] not in _TYPES and not _is_key(words) and (options := _OPTIONS.match(line)):
        words = line[options.end() :].split(maxsplit=2)
    if not words or words[0] not in _TYPES:
        # A type that is newer than this table says in its blob what it is.
        return (
            None if _is_key(words) else f"is of no type that sshd knows; a key is a line such as {_EXAMPLE}"
        )
    if len(words) == 1:
        return f"has no base64 behind its type; a key is a line such as {_EXAMPLE}"
    return _blob_fault(words[0], words[1])


def _is_key(words: list[str]) -> bool:
    """Return whether the second word is the blob of a key of the type that the first one names."""
    try:
        return words[0].encode() == _Blob(base64.b64decode(words[1], validate=True)).take()
    except (IndexError, ValueError, _BlobError):
        return False


def _blob_fault(kind: str, text: str) -> str | None:
    try:
        blob = _Blob(base64.b64decode(text, validate=True))
    except ValueError:  # binascii.Error, or a character beyond ASCII
        return "is not whole base64: it was cut, or broken over two lines; copy the whole line again"
    try:
        held = blob.take().decode("ascii", "replace")
        if held != kind:
            other = f"of {held}" if held in _TYPES else "of another type"
            return f"says {kind} and holds a key {other}; copy the whole line again"
        _TYPES[kind](blob)
        blob.end()
    except _BlobError as error:
        return str(error)
    return None
