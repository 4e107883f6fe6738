"""The network data and this machine: its NICs are put into the document, and have to be there at later boots.

Which NIC is which is ``placeholders.py``'s, and which there are ``nics.py``'s business.
"""

from typing import Callable, Dict, Optional, Tuple

from vmw_cloudinit_guest import placeholders
from vmw_cloudinit_guest.nics import NICs

Say = Callable[[str], None]
# By what the document calls a NIC, the MAC address that was filled in; None where there was no such NIC.
Macs = Dict[str, Optional[str]]

# vSphere gives a VM ten cards at most.
_MAX_NAMED = 10


def filled(content: bytes, nics: NICs, before: Macs, warn: Say, trace: Say) -> Tuple[bytes, Macs]:
    """Return the document for this machine's NICs, and which it got; without placeholders, as it is.

    Args:
        content: the network-config as it was served.
        nics: what the machine has; waited for if the document has placeholders.
        before: what was filled in at an earlier boot.
        warn: takes a sentence for each NIC that is wanting.
        trace: takes a line for each NIC that is not.

    Raises:
        DocumentError: it cannot be written again.
    """
    needs = placeholders.needs(content)
    if needs is None:
        return content, {}
    in_bus_order = nics.in_bus_order(needs.nics, needs.names)
    for controller in nics.without_driver:
        warn(f"the network card at {controller} has no driver yet: it does not count")
    result = placeholders.fill(content, in_bus_order, before)
    for sentence in result.sentences:
        warn(sentence)
    for name, mac in result.macs.items():
        if mac:
            trace(f"{placeholders.shown(name)} is the network card {mac}")
    return result.content, result.macs


def still_fits(macs: Macs, nics: NICs, warn: Say) -> bool:
    """Return whether what was filled in is right: each NIC is there, and none was wanting."""
    if not macs:
        return True
    there = nics.have(mac for mac in macs.values() if mac)
    if not there:
        gone = [f"{placeholders.shown(name)} for {mac}" for name, mac in macs.items() if mac]
        meant = ", ".join(gone[:_MAX_NAMED] + ["…"] * (len(gone) > _MAX_NAMED))
        warn(
            f"this machine has no longer all network cards of the seed, {meant}: its network data is asked "
            "for again; cloud-init takes it with a new instance-id"
        )
    return there and None not in macs.values()
