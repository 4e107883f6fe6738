"""What every VM is told alike, encoded once: how a connection opens, what it asks then and answers.

When it is said is connection.py's.
"""

from typing import NamedTuple

from vmw_cloudinit_metadata.vspc import vmware_ext as ext
from vmw_cloudinit_metadata.vspc.telnet import Negotiation, Negotiator, Option, Suboption

# All of the table: both what we can generate and what we accept.
SUPPORTED = frozenset(ext.Command) - {ext.Command.GET_VM_LOCATION_UUID}


class Fixed(NamedTuple):
    """A message of option 232, and its bytes on the wire."""

    message: ext.Message
    data: bytes


def fixed(message: ext.Message) -> Fixed:
    """Encode a message."""
    return Fixed(message, bytes(Suboption(Option.VMWARE_EXT, ext.encode(message))))


KNOWN_SUBOPTIONS = fixed(ext.KnownSuboptions2(SUPPORTED))
WILL_PROXY = fixed(ext.WillProxy())
WONT_PROXY = fixed(ext.WontProxy())

# Who the VM is; the code of an answer is one below its question's.
QUESTIONS = tuple(map(fixed, (ext.GetVMVCUUID(), ext.GetVMName(), ext.GetVMBiosUUID())))


def _open() -> tuple[Negotiator, list[Negotiation]]:
    """Ask for what both sides are to perform; the rest of what a VM offers is refused."""
    agreed = Negotiator(
        ours=frozenset({Option.BINARY, Option.SUPPRESS_GO_AHEAD}),
        theirs=frozenset({Option.BINARY, Option.SUPPRESS_GO_AHEAD, Option.VMWARE_EXT}),
    )
    said = []
    for ask, option in (
        (Negotiator.offer, Option.BINARY),
        (Negotiator.offer, Option.SUPPRESS_GO_AHEAD),
        (Negotiator.request, Option.BINARY),
        (Negotiator.request, Option.SUPPRESS_GO_AHEAD),
        (Negotiator.request, Option.VMWARE_EXT),
    ):
        agreed, question = ask(agreed, option)
        said += [question] if question else []
    return agreed, said


# Proxies that wait for the VM are in production, and such that open; opening saves a round trip.
OPENED, OPENING = _open()
ENCODED_OPENING = b"".join(map(bytes, OPENING))
