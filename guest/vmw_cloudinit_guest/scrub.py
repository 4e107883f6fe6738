"""Scrub: once a boot has used user-data and vendor-data, blank them, and delete cloud-init's copies of them.

    state: begun -> seed: both blank -> cloud-init's copies deleted -> state: done

Killed at any step, the next boot has the same instance-id, network and keys as before, and scrubbing begins
again after it: the seed is blanked before the copies go, so that cloud-init makes none anew that matter, and
only the last step says that nothing is left. Once it has begun, fetch writes neither of them again for the
same instance (``fetch.py``).

What user-data itself has written elsewhere, and what its scripts have printed, is not found here.
"""

import glob
import os
import shutil
from typing import Dict, List, Optional

from vmw_cloudinit_guest import binding, documents, paths, seed
from vmw_cloudinit_guest.binding import Scrub, Standing, State, Written
from vmw_cloudinit_guest.cloudinit_result import Result
from vmw_cloudinit_guest.errors import SeedError

# Of every instance that this VM has been. obj.pkl goes first: with it cloud-init would write the others
# again, without it cloud-init reads the seed. What else there is stays, above all sem/, which says what has
# been done.
_COPIES = (
    "obj.pkl",
    "user-data.txt*",
    "vendor-data.txt*",
    "vendor-data2.txt*",
    "cloud-config.txt",
    "vendor-cloud-config.txt",
    "vendor2-cloud-config.txt",
    "scripts",
    "handlers",
    "boothooks",
)
_INSTANCES = "/var/lib/cloud/instances/*"
# All configuration in one file, user-data's included; written anew at each boot.
_COMBINED = "/run/cloud-init/combined-cloud-config.json"


def obstacle(directory: str, state: Optional[State], result: Result, root: str = "/") -> Optional[str]:
    """Return why this boot is not followed by scrubbing; None if it may be.

    Raises:
        SeedError: the seed cannot be read.
    """
    instance_id = seed.instance_id(directory)
    standing = binding.judge(instance_id is not None, state, binding.product_uuid(root))
    if standing is not Standing.OWN or state is None:
        return standing.value
    if not result.went_well:
        return f"cloud-init's status is {result.status!r}"
    if not result.datasource.startswith("DataSourceNoCloud"):
        return f"cloud-init has taken its data from {result.datasource or 'nowhere'}"
    if not result.instance_id == state.instance_id == instance_id:
        return f"cloud-init has taken this VM to be {result.instance_id or 'nobody'}, not the seed's instance"
    return None


def scrub(directory: str, state: State, root: str = "/") -> None:
    """Blank the seed and delete the copies; ``obstacle`` says whether that may be done.

    Raises:
        SeedError: something cannot be written or deleted.
    """
    contents = seed.contents(directory)
    blank = documents.from_files({name: contents.get(name) for name in seed.FILES}).blanked()
    begun = state._replace(documents=_blanked(state.documents), scrub=Scrub.BEGUN)
    seed.write(directory, blank, binding.to_bytes(begun))
    try:
        for path in copies(root):
            _delete(path)
    except OSError as error:
        raise SeedError(
            f"cannot delete {error.filename}, a copy of user-data: {error.strerror}; it is tried again "
            "after the next boot"
        ) from None
    seed.write(directory, blank, binding.to_bytes(begun._replace(scrub=Scrub.DONE)))


def copies(root: str = "/") -> List[str]:
    """Return where cloud-init keeps copies of user-data and vendor-data, in the order of their deletion."""
    found = []
    for pattern in _COPIES:
        found += sorted(glob.glob(os.path.join(paths.under(root, _INSTANCES), pattern)))
    combined = paths.under(root, _COMBINED)
    return [*found, combined] if os.path.lexists(combined) else found


def _blanked(written: Dict[str, Written]) -> Dict[str, Written]:
    """Return what is known of the documents, so that those that are blank now count as had.

    A reboot with nothing new is one round trip then, as before.
    """
    nothing = documents.sha256(b"")
    return {
        file: Written(each.etag, nothing if file in documents.SECRET else each.sha256)
        for file, each in written.items()
    }


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
