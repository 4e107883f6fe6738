"""One definition: what keeps a VM from being served by it, what of it is doubtful, and what it claims."""

import codecs
import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence

from vmw_cloudinit_metadata import network, nocloud
from vmw_cloudinit_metadata.checking.claims import claims_of
from vmw_cloudinit_metadata.checking.cloudinit import CloudInit
from vmw_cloudinit_metadata.checking.metadata import check_metadata
from vmw_cloudinit_metadata.checking.names import (
    file_name_warning,
    name_claim,
    name_claims,
    patterns_of,
    sample_vms,
)
from vmw_cloudinit_metadata.checking.notes import Checked, Notes
from vmw_cloudinit_metadata.checking.places import Places
from vmw_cloudinit_metadata.checking.remarks import Remark
from vmw_cloudinit_metadata.checking.ssh_keys import ssh_key_fault
from vmw_cloudinit_metadata.checking.unfilled import unfilled_fields
from vmw_cloudinit_metadata.checking.userdata import check_user_data
from vmw_cloudinit_metadata.checks import Path
from vmw_cloudinit_metadata.definition import MAX_DEFINITION, Definition, Source, VMFacts
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.loading import DEFAULTS
from vmw_cloudinit_metadata.drivers.reading import read_whole
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError, Fault, MetadataError
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.network import Network, NetworkConfig
from vmw_cloudinit_metadata.userdata import line_seconds

# Of so many different user-data it is kept what was remarked: most definitions of a site share theirs.
_MAX_KEPT = 1_000

# A person reads the first ones of one text, as of a definition's faults.
_MAX_REMARKS = 100


class Checker:
    """Checks the definitions of a driver, one after the other."""

    def __init__(self, driver: FileDriver, cloud_init: CloudInit | None, max_seconds: float) -> None:
        self._driver = driver
        self._cloud_init = cloud_init
        self._max_seconds = max_seconds
        self._by_name = "name" in driver.options.find_by
        self._kept: dict[bytes, list[Remark]] = {}

    def check(self, path: str) -> Checked:
        """Check the definition in a file: for each VM that it names, and for two that fit each pattern."""
        text = _text(path)
        unfilled = list(unfilled_fields(Source(printable(path), text)))
        try:
            definition = self._driver.load(path)
        except (DefinitionError, DriverBusyError) as error:
            # With its faults it still is the definition of the VM of its name.
            claims = [name_claim(path)] if self._by_name else ()
            return Checked(_faults_of(error, path), unfilled, claims)
        notes = Notes(path, Places(definition.places(), lambda: self._sources(path)))
        vms = sample_vms(definition, path)
        self._check_finding(path, definition, vms, notes)
        notes.warnings.update(dict.fromkeys(unfilled))
        if text.startswith(codecs.BOM_UTF8):
            notes.of_file("begins with a byte order mark, which not all programs pass over; save it without")
        # What does not vary is looked at once for all.
        for group in [[vm] for vm in vms] if definition.varies else [vms]:
            self._check_instance(path, definition, group, notes)
        return notes.checked()

    def _check_finding(self, path: str, definition: Definition, vms: Sequence[VMFacts], notes: Notes) -> None:
        """Check by what the driver finds a definition."""
        if definition.vms is not None:
            notes.claims += name_claims(definition.vms, vms, notes.places)
            notes.patterns += patterns_of(definition.vms, vms, notes.places)
        elif self._by_name:
            notes.claims.append(name_claim(path))
            if text := file_name_warning(path):
                notes.of_file(text)
        if not notes.places.has("match"):
            if self._driver.options.require_match:
                notes.of_file("is missing; require-match serves nobody without", key="match", fault=True)
            elif not self._by_name:
                notes.of_file("is missing; find-by looks for nothing else", key="match", fault=True)

    def _check_instance(
        self, path: str, definition: Definition, vms: Sequence[VMFacts], notes: Notes
    ) -> None:
        """Check the instance that these VMs have in common."""
        try:
            instance = definition.instance(vms[0])
        except (DefinitionError, DriverBusyError) as error:
            name = vms[0].name
            fits_pattern = definition.vms is not None and definition.vms.rank(name) == 1
            notes.of_vm(_faults_of(error, path), name, fits_pattern)
            return
        if instance.metadata is not None:
            for number, key in enumerate(instance.metadata.public_keys):
                if text := ssh_key_fault(key):
                    notes.of_value(("metadata", "public-keys", number), text, fault=True)
            for at, text in check_metadata(instance.metadata):
                notes.of_value(at, text)
        self._check_user_data("userdata", nocloud.render_user_data(instance), notes)
        self._check_user_data("vendordata", nocloud.render_vendor_data(instance), notes)
        self._check_network(instance.network, notes)
        for vm in vms:
            notes.claims += claims_of(vm.name, instance, notes.places)

    def _check_user_data(self, key: str, data: bytes | None, notes: Notes) -> None:
        if data is None or not notes.places.has(key):
            return  # what is served where there is none was not written by whom these words are for
        seconds = line_seconds(len(data))
        if seconds > self._max_seconds:
            size = f"is {len(data):,} bytes long, {seconds:.0f} s on a serial line of 115200 baud"
            notes.of_value((key,), f"{size}; a guest at its first boot waits {self._max_seconds:g} s")
        for remark in self._remarks(data):
            notes.of_user_data(key, remark, data)

    def _check_network(self, given: Network | None, notes: Notes) -> None:
        for sentence in network.warnings(given):
            notes.of_network(sentence)
        if self._cloud_init is not None and isinstance(given, NetworkConfig):
            top: Path = ("network", given.wrapper) if given.wrapper else ("network",)
            for objection in self._cloud_init.check_network_config(given.document(placeholders=True)):
                notes.of_value((*top, *objection.path), f"{objection.text} ({self._cloud_init.name})")

    def _remarks(self, data: bytes) -> list[Remark]:
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest not in self._kept:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[digest] = _first(list(check_user_data(data, self._cloud_init)))
        return self._kept[digest]

    def _sources(self, path: str) -> Iterator[Source]:
        """Yield the files that a definition is made of: itself, then the defaults, the nearest first."""
        root = self._driver.options.directory
        directory = os.path.dirname(path)
        paths = [path, f"{directory}/{DEFAULTS}"]
        while directory != root and len(directory) > len(root):
            directory = os.path.dirname(directory)
            paths.append(f"{directory}/{DEFAULTS}")
        for each in paths:
            with contextlib.suppress(OSError, MetadataError):  # there is none, or no longer
                yield Source(printable(each), read_whole(root, each)[1])


def _first(remarks: list[Remark]) -> list[Remark]:
    if len(remarks) > _MAX_REMARKS:
        more = Remark(f"and {len(remarks) - _MAX_REMARKS:,} more", remarks[-1].serious)
        return [*remarks[:_MAX_REMARKS], more]
    return remarks


def _text(path: str) -> bytes:
    """Return what is in the file of a definition; nothing where that cannot be read, which is a fault.

    What is served is read with care, which takes a second for 10,000; this is for a look alone.
    """
    with contextlib.suppress(OSError):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return file.read(MAX_DEFINITION)
    return b""


def _faults_of(error: DefinitionError | DriverBusyError, path: str) -> Sequence[Fault]:
    if isinstance(error, DefinitionError) and error.faults:
        return error.faults
    # It names the file by itself.
    return [Fault(printable(path), 0, "", str(error).removeprefix(printable(path)).lstrip(": "))]
