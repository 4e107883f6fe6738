"""What was found in all definitions: in each by itself, and in all of them together."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vmw_cloudinit_metadata.checking.claims import Claim, Claims
from vmw_cloudinit_metadata.checking.names import Pattern
from vmw_cloudinit_metadata.checking.notes import Checked
from vmw_cloudinit_metadata.errors import Fault

# One mistake in 10,000 definitions is 10,000 lines. Whoever has more has taken a wrong directory.
MAX_FOUND = 100_000

# Each definition with patterns is held against each other one, which takes seconds for so many.
MAX_RIVALS = 1_000


class Report(NamedTuple):
    """What was found, in the order of files and lines."""

    definitions: int
    faults: list[Fault]
    warnings: list[Fault]


def report(checked: Iterable[Checked], beside: Iterable[Checked] = ()) -> Report:
    """Return what was found in definitions and ``beside`` them, and what they claim from one another."""
    definitions = 0
    # Each once: definitions share their defaults, and with them the faults.
    faults: dict[Fault, None] = {}
    warnings: dict[Fault, None] = {}
    claims = Claims()
    in_vms: list[Claim] = []
    patterns: list[Pattern] = []
    for each in checked:
        definitions += 1
        _note(faults, each.faults)
        _note(warnings, each.warnings)
        for claim in each.claims:
            _note(faults, filter(None, [claims.add(claim)]))
            if claim.kind == "vms":
                in_vms.append(claim)
        patterns += each.patterns
    for each in beside:
        _note(faults, each.faults)
        _note(warnings, each.warnings)
    _note(warnings, _overruled(in_vms, claims))
    _note(warnings, _rivals(patterns))
    return Report(definitions, sorted(faults), sorted(warnings))


def warning_line(warning: Fault) -> str:
    """Return a warning as compilers write it, so that editors know."""
    return str(warning._replace(key=f"warning: {warning.key}" if warning.key else "warning"))


def _note(noted: dict[Fault, None], found: Iterable[Fault]) -> None:
    for fault in found:
        if len(noted) < MAX_FOUND:
            noted[fault] = None


def _overruled(in_vms: Iterable[Claim], claims: Claims) -> Iterator[Fault]:
    """Yield the VMs in ``vms`` that get the definition whose file is called like them."""
    for claim in in_vms:
        if other := claims.of("file", claim.value):
            text = f"{claim.vm} has a definition of its own, {other.source}, and is served by that"
            yield Fault(claim.source, claim.line, claim.key, text)


def _rivals(patterns: list[Pattern]) -> Iterator[Fault]:
    """Yield the patterns of two definitions that one VM would fit."""
    for number, pattern in enumerate(patterns[:MAX_RIVALS]):
        for other in patterns[:number]:
            if other.source != pattern.source and (name := pattern.shared_name(other)):
                place = f"{other.source}:{other.line}"
                text = f"a VM {name} would fit a pattern in {place}, too, and be served by neither"
                yield Fault(pattern.source, pattern.line, "vms", text)
