"""SSH host keys that VMs have reported, as lines of a file of known hosts (its format is in sshd(8)).

Whoever uses these lines trusts a VM with a name. So a key stands beside the name of the VM's definition and
the host name in it, not beside any that the VM claims, as one does whose definition is for all names that fit
a pattern; and nothing gets into a line that is not a name, a type or a key.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence

from vmw_cloudinit_metadata.state.reports import KeptReport

# What OpenSSH makes, but for DSA, which it has given up.
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)

# A name in DNS, or an address; no pattern, mark or hash of the file's own format looks like that.
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")


def known_hosts(reports: Sequence[KeptReport]) -> Iterator[str]:
    """Yield a line for each host key of a VM, from the last of its reports that has any."""
    last = next((kept for kept in reversed(reports) if kept.report.host_keys and not kept.claimed), None)
    if last is not None and (names := _names(last)):
        for kind, blob in _keys(last):
            yield f"{','.join(names)} {kind} {base64.b64encode(blob).decode()}"


def fingerprints(kept: KeptReport) -> Iterator[str]:
    """Yield the type and the SHA-256 fingerprint of each host key, as ssh shows them to who connects."""
    for kind, blob in _keys(kept):
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        yield f"{kind} SHA256:{digest}"


def _names(kept: KeptReport) -> list[str]:
    """Return the definition's name, its host name, and the reported one if that is short for it."""
    names = [kept.definition, kept.hostname]
    if kept.report.hostname == kept.hostname.partition(".")[0]:
        names.append(kept.report.hostname)
    return [name for name in dict.fromkeys(names) if _HOST.fullmatch(name)]


def _keys(kept: KeptReport) -> Iterator[tuple[str, bytes]]:
    """Yield type and bytes of each host key that says itself that it is of that type (RFC 4253, 6.6)."""
    for text in kept.report.host_keys:
        kind, _, rest = text.partition(" ")
        try:
            blob = base64.b64decode(rest.partition(" ")[0], validate=True)
        except binascii.Error:
            continue
        if kind in KEY_TYPES and blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
            yield kind, blob
