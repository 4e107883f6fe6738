"""Faults as they are told: a bounded number, in the order of the files, and without a word of a secret."""

import re
from collections.abc import Sequence

from vmw_cloudinit_metadata.errors import DefinitionError, Fault

# Garbage can have a fault on every line; a person reads the first screens.
MAX_FAULTS = 100

# Nothing inside these is named in a fault, for keys inside user-data are user-data: but for the number of a
# part, and the keys of a source.
_SECRET = re.compile(
    r"(?:token|(?:userdata|vendordata)(?:\[\d+\])?(?:\.(?:file|content|encoding|type|filename))?)(?=[.\[]|$)"
)


def error_of(faults: Sequence[Fault], source: str) -> DefinitionError:
    """Return the error that tells the faults of a definition; those of ``source`` itself come first."""
    faults = told(faults, source)
    return DefinitionError("\n".join(map(str, faults)), faults=faults)


def told(faults: Sequence[Fault], source: str) -> list[Fault]:
    """Return the faults as they are told: in order, each once."""
    in_order = sorted(faults, key=lambda fault: (fault.source != source, *fault[:3]))
    each = list(dict.fromkeys(map(_without_secret, in_order)))
    more = len(each) - MAX_FAULTS
    return each[:MAX_FAULTS] + ([Fault(source, 0, "", f"and {more:,} more faults")] if more > 0 else [])


def _without_secret(fault: Fault) -> Fault:
    secret = _SECRET.match(fault.key)
    return fault._replace(key=secret[0]) if secret else fault
