"""For which VMs a definition is, as the name of its file or its ``vms`` say it; and names that no VM has."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vmw_cloudinit_metadata.checking.claims import Claim
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.definition import Definition, VMFacts, VMs
from vmw_cloudinit_metadata.drivers.names import escaped, unescaped
from vmw_cloudinit_metadata.log import printable

# vSphere's own limit.
LONGEST_NAME = 80


class Pattern(NamedTuple):
    """The patterns in ``vms`` of a definition, and where that stands."""

    vms: VMs
    samples: list[str]  # names that fit them, and that it does not name itself
    source: str
    line: int

    def shared_name(self, other: "Pattern") -> str | None:
        """Return a name, if a sample is one, that fits these patterns and those of another definition."""
        names = [name for name in self.samples if other.vms.rank(name) == 1]
        names += [name for name in other.samples if self.vms.rank(name) == 1]
        return printable(names[0]) if names else None


def sample_vms(definition: Definition, path: str) -> list[VMFacts]:
    """Return VMs that a definition is for: those that it names, and two for each of its patterns.

    What they say are their UUIDs is made up, and of each VM another.
    """
    if definition.vms is None:
        return [_made_up(Path(path).stem)]
    vms = definition.vms.samples()
    others = [_another(vm.name, definition.vms) for vm in vms if definition.vms.rank(vm.name) == 1]
    return [*vms, *(_made_up(name) for name in others if name)]


def name_claim(path: str) -> Claim:
    """Return the name of the VM that a definition's file is called after."""
    name = Path(path).stem
    return Claim("file", escaped(name), printable(name), printable(path), 0, "")


def name_claims(vms: VMs, samples: Sequence[VMFacts], places: Places) -> Iterator[Claim]:
    """Yield the names of VMs in ``vms``."""
    for vm in samples:
        if vms.rank(vm.name) == 2:
            yield Claim("vms", escaped(vm.name), printable(vm.name), *places.of(("vms", vm.name)), "vms")


def patterns_of(vms: VMs, samples: Sequence[VMFacts], places: Places) -> list[Pattern]:
    """Return the patterns in ``vms``, if there are any, in a list."""
    names = [vm.name for vm in samples if vms.rank(vm.name) == 1]
    return [Pattern(vms, names, *places.of(("vms",)))] if names else []


def file_name_warning(path: str) -> str | None:
    """Return why no VM is found that a file is called after, as the end of a sentence; None if one may be."""
    name = Path(path).stem
    try:
        name.encode()
    except UnicodeEncodeError:
        return "is called what no VM can be: its name is not UTF-8; rename it"
    if escaped(name) != name:
        return f"is called what no VM is: vSphere writes {printable(escaped(name))}; rename it to that"
    if len(unescaped(name)) > LONGEST_NAME:
        return f"is called what no VM can be: their names have at most {LONGEST_NAME} characters; rename it"
    return None


def _made_up(name: str) -> VMFacts:
    text = ascii(name)  # the name of a file may be no text
    return VMFacts(name, uuid.uuid5(uuid.NAMESPACE_URL, text), uuid.uuid5(uuid.NAMESPACE_DNS, text))


def _another(name: str, vms: VMs) -> str | None:
    """Return another name that fits a pattern, if one differs in a single character."""
    candidates = (name[:at] + new + name[at + 1 :] for at in reversed(range(len(name))) for new in "23ab")
    return next((each for each in candidates if each != name and vms.rank(each) == 1), None)
