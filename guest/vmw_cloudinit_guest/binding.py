"""Which machine a seed is for: a clone of a provisioned VM carries its parent's, and must not boot with it.

The state is a file of our own beside the seed directory, where cloud-init does not look; ``seed.py`` reads
and writes it. It names the machine by the UUID that the hypervisor gives a VM and gives no copy of it (on
vSphere uuid.bios, which stays through a vMotion).
"""

import enum
import json
import re
from typing import Any, Dict, NamedTuple, Optional

from vmw_cloudinit_guest import paths

_PRODUCT_UUID = "/sys/class/dmi/id/product_uuid"


class Written(NamedTuple):
    """One document that has been written."""

    etag: str  # as it was served
    sha256: str  # of the file, which may be another text: keys filled in, or a secret that was blanked


class Scrub(enum.Enum):
    """How far user-data and vendor-data of the instance have been scrubbed (``scrub.py``)."""

    NO = "no"
    BEGUN = "begun"
    DONE = "done"


class State(NamedTuple):
    """What is known about the latest answer."""

    product_uuid: Optional[str]  # of the machine that got it; None if that could not be known
    instance_id: str
    port: str
    fetched: int  # seconds since the epoch, by a clock that may be wrong early at boot
    # By file, where the server gave etags, which it does in version 2 of the packets.
    documents: Dict[str, Written] = {}  # noqa: RUF012 - nobody changes it
    scrub: Scrub = Scrub.NO
    # The MAC addresses that were filled into the network-config, by what it calls their NICs; None for a NIC
    # that there was not (``placeholders.py``).
    macs: Dict[str, Optional[str]] = {}  # noqa: RUF012 - nobody changes it


class Standing(enum.Enum):
    """What the seed is to this machine."""

    NO_SEED = "there is no seed"
    OWN = "the seed is this machine's"
    ANOTHERS = "the seed is another machine's"
    UNBOUND = "the seed is bound to no machine"


def product_uuid(root: str = "/") -> Optional[str]:
    """Return the machine's UUID as 32 hexadecimal digits in lower case.

    None if it cannot be known: where there is no DMI, where only root may read it, or where firmware gives
    one that stands for none (all digits the same).
    """
    try:
        with open(paths.under(root, _PRODUCT_UUID), "rb") as file:
            digits = file.read().decode("ascii", "replace").strip().replace("-", "").lower()
    except OSError:
        return None
    return digits if re.fullmatch("[0-9a-f]{32}", digits) and len(set(digits)) > 1 else None


def judge(has_seed: bool, state: Optional[State], machine: Optional[str]) -> Standing:
    """Return what a seed is to a machine.

    Where the machine is not known, a seed with a state is taken to be its own: unreadable is no mismatch, and
    a seed that is lost costs a VM its network and its host keys. A seed without a state was put there by hand
    or by another program: it is not ours to delete, nor a reason to wait less for an answer.
    """
    if state and state.product_uuid and machine and not _same(state.product_uuid, machine):
        # Also when the seed is gone: what is left of it is deleted, too, if that was broken off.
        return Standing.ANOTHERS
    if not has_seed:
        return Standing.NO_SEED
    if state and (machine is None or state.product_uuid):
        return Standing.OWN
    return Standing.UNBOUND


def _same(one: str, other: str) -> bool:
    """Compare; an upgrade of virtual hardware or of the kernel may swap the bytes of the first fields.

    SMBIOS 2.6 made the first three fields little-endian, and not everyone followed at the same time.
    """
    return other in (one, _swapped(one))


def _swapped(digits: str) -> str:
    value = bytes.fromhex(digits)
    return (value[3::-1] + value[5:3:-1] + value[7:5:-1] + value[8:]).hex()


def to_bytes(state: State) -> bytes:
    """Return the state as the bytes of its file."""
    documents = {file: written._asdict() for file, written in sorted(state.documents.items())}
    values = dict(state._asdict(), documents=documents, scrub=state.scrub.value)
    return json.dumps(values, indent=1).encode() + b"\n"


def from_bytes(content: Optional[bytes]) -> Optional[State]:
    """Return the state in the bytes of its file; None if there is none, or none that can be used."""
    try:
        values = json.loads((content or b"").decode())
        uuid, *texts = (values[key] for key in ("product_uuid", "instance_id", "port"))
        fetched = values["fetched"]
        documents, scrub, macs = (values.get(key) for key in ("documents", "scrub", "macs"))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    known = uuid is None or _is_hexadecimal(uuid, 32)
    if not known or not all(isinstance(text, str) for text in texts) or not isinstance(fetched, int):
        return None
    return State(uuid, texts[0], texts[1], fetched, _written(documents), _scrub(scrub), _macs(macs))


def _written(documents: Any) -> Dict[str, Written]:
    """Return what is known of the documents; one that is not understood is fetched again, and no more."""
    written = {}
    for file, values in documents.items() if isinstance(documents, dict) else ():
        known = values if isinstance(values, dict) else {}
        etag, sha256 = known.get("etag"), known.get("sha256")
        if _is_hexadecimal(etag, 16) and _is_hexadecimal(sha256, 64):
            written[file] = Written(str(etag), str(sha256))
    return written


def _scrub(value: Any) -> Scrub:
    """Return how far it has been scrubbed; what is not understood is begun anew after the next boot."""
    return next((step for step in Scrub if step.value == value), Scrub.NO)


def _macs(value: Any) -> Dict[str, Optional[str]]:
    """Return what was filled in; one that is not understood is taken for none, and looked for again."""
    filled = value.items() if isinstance(value, dict) else ()
    return {name: str(mac) if _is_mac(mac) else None for name, mac in filled}


def _is_mac(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){5}", value))


def _is_hexadecimal(value: Any, digits: int) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(f"[0-9a-f]{{{digits}}}", value))
