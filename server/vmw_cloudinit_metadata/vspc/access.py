"""Whether a VM may have the instance its driver returned: pins and token, against what the VM claims.

Pure: what is done about a refusal is vm_client.py's. It is no proof of who asks either, only of what they
know: a UUID is as much a claim as a name is, but harder to guess.
"""

import hmac
import uuid
from dataclasses import dataclass
from typing import Protocol

from vmw_cloudinit_metadata.instance import InstanceData

# One for all reasons: a stranger learns nothing from it that brings them nearer.
SENTENCE = "the definition of that name is not for this VM; see the server's log"


class Claims(Protocol):
    """What a VM says of itself, as far as it matters here; a VMClient is one."""

    vm_vc_uuid: uuid.UUID | None
    vm_bios_uuid: uuid.UUID | None
    vm_token: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an instance is not served, to each of those who ask; neither text holds a token."""

    sentence: str  # for the guest's console
    log: str  # for the operator: what differed


def refusal(instance: InstanceData, vm: Claims) -> Refusal | None:
    """Return why the VM does not get the instance, or None: it does."""
    differences = []
    if instance.denied is not None:
        differences.append(instance.denied)
    if instance.match is not None:
        for name, pin, claim in (
            ("vc-uuid", instance.match.vc_uuid, vm.vm_vc_uuid),
            ("bios-uuid", instance.match.bios_uuid, vm.vm_bios_uuid),
        ):
            if pin is not None and pin != claim:
                differences.append(f"its {name} is {claim or 'not known'}, the definition is for {pin}")
    if instance.token is not None and not same_secret(instance.token, vm.vm_token):
        given = (
            "another token than the definition's" if vm.vm_token else "no token, the definition demands one"
        )
        differences.append(f"its service URI carries {given}")
    if not differences:
        return None
    return Refusal(SENTENCE, f"denied: {'; '.join(differences)}")


def same_secret(one: str, other: str) -> bool:
    """Compare in a time that does not tell how much of them is the same."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(secret: str) -> bytes:
    return secret.encode(errors="surrogatepass")  # what a peer sent may be any text
