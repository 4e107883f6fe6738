"""What a driver returns for a VM: its documents' contents, and who gets them for how long.

The classes of 0.0.8 are mutable, and are built empty and filled by attributes, or from a dictionary, as its
drivers do; those it had not are frozen. This module knows what makes an instance whole (``validate``), with
the checks of checks.py; it does not know how an instance is written down: the documents are nocloud.py's, the
YAML files definition/'s. Nor does it decide: who is refused is vspc/access.py's.
"""

import copy
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vmw_cloudinit_metadata import network
from vmw_cloudinit_metadata.checks import (
    parse_time,
    parse_uuid,
    public_key_fault,
    text_fault,
    time_fault,
    token_fault,
    userdata_fault,
    uuid_fault,
)
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.network import InstanceNetworkData as InstanceNetworkData  # as in 0.0.8
from vmw_cloudinit_metadata.network import Network

# What 0.0.8 serves when a definition has no user-data: cloud-init takes it, and does nothing.
DEFAULT_USERDATA = "#cloud-config\n{}"

# The keys of a dictionary, in both spellings: dashes (the README of 0.0.8) and underscores (its code).
METADATA_KEYS = {
    "ami-id": "ami_id",
    "ami_id": "ami_id",
    "instance-id": "instance_id",
    "instance_id": "instance_id",
    "region": "region",
    "availability-zone": "availability_zone",
    "availability_zone": "availability_zone",
    "hostname": "hostname",
    "local-hostname": "hostname",
    "local_hostname": "hostname",
    "tags": "tags",
    "public-keys": "public_keys",
    "public_keys": "public_keys",
}
MATCH_KEYS = ("vc-uuid", "bios-uuid")
SERVE_KEYS = ("runs", "until", "until-reported")
INSTANCE_KEYS = ("metadata", "network", "userdata", "vendordata", "match", "token", "serve")


class InstanceMetadata:
    """Who the instance is: the known keys as attributes, any other key in ``extra``.

    ``hostname`` is needed, the rest is optional. ``tags`` is a mapping or a list.

    Attributes:
        instance_id: None: it is made of the VM's UUID when that is known.
        written_id: what an operator has said of it where a VM's claims are in it, "" if it is made of these
            alone. A claim must not open what a definition has closed. None: all of it.
    """

    def __init__(self, raw: Mapping[str, Any] | None = None) -> None:
        self.ami_id: str | None = None
        self.instance_id: str | None = None
        self.region: str | None = None
        self.availability_zone: str | None = None
        self.hostname: str | None = None
        self.tags: dict[str, Any] | list[Any] = {}
        self.public_keys: list[str] = []
        self.extra: dict[str, Any] = {}
        self.written_id: str | None = None
        for key, value in _mapping("metadata", raw).items():
            name = METADATA_KEYS.get(key)
            if name is None:
                self.extra[key] = value
            elif value is not None:
                setattr(self, name, value)

    def __repr__(self) -> str:
        """Show the identity only: other keys may be secrets."""
        return f"<InstanceMetadata instance_id={self.instance_id!r} hostname={self.hostname!r}>"

    def copy(self) -> "InstanceMetadata":
        """Return an instance that shares nothing that can be changed with this one."""
        other = copy.copy(self)
        other.tags = self.tags.copy()
        other.public_keys = list(self.public_keys)
        other.extra = copy.deepcopy(self.extra)
        return other

    def faults(self) -> Iterator[str]:
        """Yield a line ``metadata.KEY: what is wrong`` for each fault."""
        for key, value, needed in (
            ("instance-id", self.instance_id, False),
            ("hostname", self.hostname, True),
            ("ami-id", self.ami_id, False),
            ("region", self.region, False),
            ("availability-zone", self.availability_zone, False),
        ):
            if value is None:
                if needed:
                    yield f"metadata.{key}: is missing"
            elif fault := text_fault(value):
                yield f"metadata.{key}: {fault}"
        if not isinstance(self.tags, dict | list):
            yield "metadata.tags: is neither a mapping nor a list"
        if not isinstance(self.public_keys, list | tuple):
            yield "metadata.public-keys: is not a list"
            return
        for number, key in enumerate(self.public_keys):
            if fault := public_key_fault(key):
                yield f"metadata.public-keys[{number}]: {fault}"


@dataclass(frozen=True, slots=True)
class InstanceMatch:
    """The VM that an instance is for: it is served to no VM that claims another UUID, or none."""

    vc_uuid: uuid.UUID | None = None
    bios_uuid: uuid.UUID | None = None

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> "InstanceMatch":
        """Return the pins of a dictionary; a UUID is ``uuid.UUID`` or text in any usual writing.

        Raises:
            DefinitionError: it has an unknown key, or a value that is no UUID.
        """
        raw = _mapping("match", raw)
        _refuse_unknown("match", raw, MATCH_KEYS)
        for key, value in raw.items():
            if fault := uuid_fault(value):
                raise DefinitionError(f"match.{key}: {fault}")
        return cls(parse_uuid(raw.get("vc-uuid")), parse_uuid(raw.get("bios-uuid")))

    def faults(self) -> Iterator[str]:
        """Yield a line for each fault: pins that pin nothing would serve everyone."""
        if self.vc_uuid is None and self.bios_uuid is None:
            yield "match: names neither vc-uuid nor bios-uuid"
        for key, value in (("vc-uuid", self.vc_uuid), ("bios-uuid", self.bios_uuid)):
            if not isinstance(value, uuid.UUID | None):
                yield f"match.{key}: is not a UUID"


@dataclass(frozen=True, slots=True)
class ServingWindow:
    """How long user-data and vendor-data are served: until the first of these limits is reached."""

    runs: int | None = None  # so many runs of a guest
    until: datetime | None = None  # until then; it has a time zone
    until_reported: bool = False  # until the guest has reported that its first boot is done

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> "ServingWindow":
        """Return the window of a dictionary; ``until`` is a datetime or text in ISO 8601, UTC without a zone.

        Raises:
            DefinitionError: it has an unknown key, or an ``until`` that is no time.
        """
        raw = _mapping("serve", raw)
        _refuse_unknown("serve", raw, SERVE_KEYS)
        if (until := raw.get("until")) is not None and (fault := time_fault(until)):
            raise DefinitionError(f"serve.until: {fault}")
        return cls(raw.get("runs"), parse_time(until), raw.get("until-reported", False))

    def faults(self) -> Iterator[str]:
        """Yield a line for each fault: a window without a limit would stay open."""
        if self.runs is None and self.until is None and not self.until_reported:
            yield "serve: has none of runs, until and until-reported: true"
        if self.runs is not None and (type(self.runs) is not int or self.runs < 1):
            yield "serve.runs: is not a whole number from 1"
        if self.until is not None and (not isinstance(self.until, datetime) or self.until.tzinfo is None):
            yield "serve.until: is not a time with its zone"
        if not isinstance(self.until_reported, bool):
            yield "serve.until-reported: is neither true nor false"


class InstanceData:
    """Everything one VM gets: ``metadata`` is needed, the rest is optional.

    ``metadata`` and ``network`` are None until they are assigned; a dictionary assigned to them is converted.
    User-data and vendor-data (text or bytes) are served byte for byte; they and the token are never shown in
    a repr.

    Attributes:
        userdata: cloud-init does nothing with what it is by default.
        vendordata: the same for the operator's defaults, over which user-data wins; None: there is none.
        match: the VM this is for; None: whoever has the name.
        token: what the VM's service URI must carry as ``?token=``; None: nothing.
        serve: how long user-data and vendor-data are served; None: for ever.
        source: what names the definition whatever the VM claims; the driver's to set, and never sent.
        claimed: what this says depends on a name that the VM claims, as where a definition is for all that
            fit a pattern. What is kept of such VMs, as many as anyone makes up, displaces nothing else, and
            nobody is told to trust them; the driver's to set.
        source_claimed: the name of the definition is one of those itself; the driver's to set.
        denied: why nobody gets this, for the operator's log; the driver's to set. None: it is served.

    Raises:
        DefinitionError: a dictionary has an unknown key, or a part of it is not of its form.
    """

    def __init__(self, raw: Mapping[str, Any] | None = None) -> None:
        raw = _mapping("instance", raw)
        _refuse_unknown("instance", raw, INSTANCE_KEYS)
        match, userdata, serve = raw.get("match"), raw.get("userdata"), raw.get("serve")
        self.metadata = raw.get("metadata")
        self.network = raw.get("network")
        self.userdata: str | bytes = DEFAULT_USERDATA if userdata is None else userdata
        self.vendordata: str | bytes | None = raw.get("vendordata")
        self.match: InstanceMatch | None = None if match is None else InstanceMatch.from_mapping(match)
        self.token: str | None = raw.get("token")
        self.serve: ServingWindow | None = None if serve is None else ServingWindow.from_mapping(serve)
        self.source: str | None = None
        self.claimed = False
        self.source_claimed = False
        self.denied: str | None = None

    @property
    def metadata(self) -> InstanceMetadata | None:
        """Who the instance is."""
        return self._metadata

    @metadata.setter
    def metadata(self, value: InstanceMetadata | Mapping[str, Any] | None) -> None:
        if value is not None and not isinstance(value, InstanceMetadata):
            value = InstanceMetadata(value)
        self._metadata = value

    @property
    def network(self) -> Network | None:
        """A network card, a list of them, a whole network-config, or None: then the guest's image decides."""
        return self._network

    @network.setter
    def network(self, value: Network | Mapping[str, Any] | Sequence[Any] | None) -> None:
        self._network = network.from_raw(value)

    def __repr__(self) -> str:
        """Show what identifies the instance; user-data is a secret."""
        return f"<InstanceData {self.metadata!r} {self.network!r} user-data of {len(self.userdata)}>"

    def copy(self) -> "InstanceData":
        """Return an instance that shares nothing that can be changed with this one."""
        other = copy.copy(self)
        other._metadata = self._metadata and self._metadata.copy()
        other._network = network.copy(self._network)
        return other

    def for_vm(self, vc_uuid: uuid.UUID | None, bios_uuid: uuid.UUID | None) -> "InstanceData":
        """Return this instance as the VM with these UUIDs gets it, with an ``instance-id`` if it has none.

        It is the VC UUID, which vCenter keeps through migrations and restores, else the BIOS UUID; as text in
        lower case. The rest is shared with this one.

        Raises:
            DefinitionError: it has none, and neither UUID is known.
        """
        if self.metadata is None or self.metadata.instance_id is not None:
            return self
        known = vc_uuid or bios_uuid
        if known is None:
            raise DefinitionError(
                "metadata.instance-id: is missing, and the VM has not told a UUID to make it of"
            )
        metadata = copy.copy(self.metadata)
        metadata.instance_id, metadata.written_id = str(known), ""
        other = copy.copy(self)
        other._metadata = metadata
        return other

    def validate(self) -> None:
        """Check that documents can be made of this instance, and that it says for whom they are.

        Raises:
            DefinitionError: every fault, one a line, without values: they may be secrets.
        """
        if faults := list(self._faults()):
            raise DefinitionError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        if self.metadata is None:
            yield "metadata: is missing"
        else:
            yield from self.metadata.faults()
        yield from network.faults(self.network)
        for key, value, check, needed in (
            ("userdata", self.userdata, userdata_fault, True),
            ("vendordata", self.vendordata, userdata_fault, False),
            ("token", self.token, token_fault, False),
        ):
            if (needed or value is not None) and (fault := check(value)):
                yield f"{key}: {fault}"
        # What a driver has assigned may be anything; what is not understood must not be served to everyone.
        for key, part, kind in (("match", self.match, InstanceMatch), ("serve", self.serve, ServingWindow)):
            if isinstance(part, kind):
                yield from part.faults()
            elif part is not None:
                yield f"{key}: is a {type(part).__name__}, not {kind.__name__}"


def _mapping(name: str, raw: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise DefinitionError(f"{name}: is a {type(raw).__name__}, not a mapping")
    return raw


def _refuse_unknown(name: str, raw: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = [str(key) for key in raw if key not in known]
    if unknown:
        raise DefinitionError(f"{name}: no such key: {', '.join(unknown)} (known: {', '.join(known)})")
