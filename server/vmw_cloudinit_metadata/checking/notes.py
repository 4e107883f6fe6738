"""What is found in one definition, put down with its place."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vmw_cloudinit_metadata.checking.claims import Claim
from vmw_cloudinit_metadata.checking.names import Pattern
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.checking.remarks import Remark
from vmw_cloudinit_metadata.checks import Path, path_text
from vmw_cloudinit_metadata.errors import Fault
from vmw_cloudinit_metadata.log import printable


class Checked(NamedTuple):
    """What was found in a definition."""

    faults: Sequence[Fault]
    warnings: Sequence[Fault] = ()
    claims: Sequence[Claim] = ()
    patterns: Sequence[Pattern] = ()


class Notes:
    """What is found in a definition, each once: many VMs of it have the same."""

    def __init__(self, path: str, places: Places) -> None:
        self.places = places
        self.faults: dict[Fault, None] = {}
        self.warnings: dict[Fault, None] = {}
        self.claims: list[Claim] = []
        self.patterns: list[Pattern] = []
        self._source = printable(path)
        self._of_vms: set[Fault] = set()

    def of_file(self, text: str, key: str = "", fault: bool = False) -> None:
        """Note what is said of the whole file."""
        self._add(Fault(self._source, 0, key, text), fault)

    def of_value(self, path: Path, text: str, fault: bool = False) -> None:
        """Note what is said of a value."""
        path = self.places.spelt(path)
        self._add(Fault(*self.places.of(path), path_text(path), text), fault)

    def of_vm(self, faults: Iterable[Fault], vm_name: str, fits_pattern: bool) -> None:
        """Note why a VM is not served; of those that have the same fault the first is named.

        Where it is a made-up one that fits a pattern, that may be meant: the pattern can be there for what
        named VMs have in common.
        """
        which = "a VM such as" if fits_pattern else "the VM"
        for fault in faults:
            if fault not in self._of_vms:
                self._of_vms.add(fault)
                text = f"{fault.text} (for {which} {printable(vm_name)})"
                self._add(fault._replace(text=text), fault=not fits_pattern)

    def of_network(self, sentence: str) -> None:
        """Note a warning that begins with its key."""
        key, _, text = sentence.partition(": ")
        self._add(Fault(*self.places.of_key(key), key, text), fault=False)

    def of_user_data(self, key: str, remark: Remark, data: bytes) -> None:
        """Note a remark on the user-data under a key."""
        place, way = self.places.of_remark(key, remark, data)
        shown = f"{key}.{remark.shown}" if remark.shown else key
        beside = "; ".join(filter(None, (way, remark.origin)))
        text = f"{remark.text} ({beside})" if beside else remark.text
        self._add(Fault(*place, shown, text), remark.serious)

    def checked(self) -> Checked:
        """Return all that was noted."""
        return Checked(list(self.faults), list(self.warnings), self.claims, self.patterns)

    def _add(self, found: Fault, fault: bool) -> None:
        (self.faults if fault else self.warnings)[found] = None
