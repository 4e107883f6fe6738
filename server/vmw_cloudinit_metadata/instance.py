"""What a driver returns for a VM: metadata, network data and user-data.

The classes are mutable, and are built empty and filled by attributes, or from a dictionary, as drivers
written for 0.0.8 do. This module knows what makes an instance whole (``validate``); it does not know how an
instance is written down: the documents are nocloud.py's, the YAML files definition.py's.
"""

import copy
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from vmw_cloudinit_metadata.errors import DefinitionError

# What 0.0.8 serves when a definition has no user-data: cloud-init takes it, and does nothing.
DEFAULT_USERDATA = "#cloud-config\n{}"

# A response of version 1 is one line, and a reader drops a line of more than 4 MiB (vmw_cloudinit_wire);
# base64 makes 4,000,000 characters of this, which leaves room for the packet's code.
MAX_USERDATA = 3_000_000

Address = ipaddress.IPv4Address | str

# The second digit of a card's own address is even: an odd one addresses several cards.
_MAC = re.compile("[0-9a-f][02468ace](:[0-9a-f]{2}){5}", re.IGNORECASE)

# Narrower than what Linux takes (15 bytes, no slash, no colon): what no renderer of cloud-init has to quote.
_INTERFACE = re.compile("[A-Za-z][A-Za-z0-9._-]{0,14}")

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
NETWORK_KEYS = ("mac", "name", "address", "netmask", "gateway", "search", "nameservers")
INSTANCE_KEYS = ("metadata", "network", "userdata")


class InstanceMetadata:
    """Who the instance is: the known keys as attributes, any other key in ``extra``.

    ``instance_id`` and ``hostname`` are needed, the rest is optional. ``tags`` is a mapping or a list.
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
            ("instance-id", self.instance_id, True),
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


class InstanceNetworkData:
    """One network card with one static IPv4 address; addresses are text or ``ipaddress.IPv4Address``.

    ``address`` and ``netmask`` are needed, the rest is optional. ``mac`` says which card of the VM is meant,
    ``name`` what it is called in the guest: the card with that address is renamed.
    """

    def __init__(self, raw: Mapping[str, Any] | None = None) -> None:
        self.mac: str | None = None
        self.name: str | None = None
        self.address: Address | None = None
        self.netmask: Address | None = None
        self.gateway: Address | None = None
        self.search: list[str] = []
        self.nameservers: list[Address] = []
        raw = _mapping("network", raw)
        _refuse_unknown("network", raw, NETWORK_KEYS)
        for key, value in raw.items():
            if value is not None:
                setattr(self, key, value)
        if isinstance(self.search, str):
            self.search = self.search.split()

    def __repr__(self) -> str:
        return f"<InstanceNetworkData {self.address} netmask {self.netmask} gateway {self.gateway}>"

    def copy(self) -> "InstanceNetworkData":
        """Return network data that shares nothing that can be changed with this one."""
        other = copy.copy(self)
        other.search = list(self.search)
        other.nameservers = list(self.nameservers)
        return other

    def faults(self) -> Iterator[str]:
        """Yield a line ``network.KEY: what is wrong`` for each fault."""
        for key, value, check, needed in (
            ("mac", self.mac, mac_fault, False),
            ("name", self.name, interface_fault, False),
            ("address", self.address, address_fault, True),
            ("netmask", self.netmask, netmask_fault, True),
            ("gateway", self.gateway, address_fault, False),
        ):
            if value is None:
                if needed:
                    yield f"network.{key}: is missing"
            elif fault := check(value):
                yield f"network.{key}: {fault}"
        for name, values, check in (
            ("search", self.search, text_fault),
            ("nameservers", self.nameservers, address_fault),
        ):
            if not isinstance(values, list | tuple):
                yield f"network.{name}: is not a list"
                continue
            for number, value in enumerate(values):
                if fault := check(value):
                    yield f"network.{name}[{number}]: {fault}"


class InstanceData:
    """Everything one VM gets: ``metadata`` (needed), ``network`` (or None), ``userdata`` (text or bytes).

    ``metadata`` and ``network`` are None until they are assigned; a dictionary assigned to them is converted.
    User-data is served byte for byte and never shown in a repr.

    Raises:
        DefinitionError: a dictionary has an unknown key, or a part of it is no dictionary.
    """

    def __init__(self, raw: Mapping[str, Any] | None = None) -> None:
        raw = _mapping("instance", raw)
        _refuse_unknown("instance", raw, INSTANCE_KEYS)
        self.metadata = raw.get("metadata")
        self.network = raw.get("network")
        userdata = raw.get("userdata")
        self.userdata: str | bytes = DEFAULT_USERDATA if userdata is None else userdata

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
    def network(self) -> InstanceNetworkData | None:
        """The network card, or None: then the guest's image decides."""
        return self._network

    @network.setter
    def network(self, value: InstanceNetworkData | Mapping[str, Any] | None) -> None:
        if value is not None and not isinstance(value, InstanceNetworkData):
            value = InstanceNetworkData(value)
        self._network = value

    def __repr__(self) -> str:
        """Show what identifies the instance; user-data is a secret."""
        return f"<InstanceData {self.metadata!r} {self.network!r} user-data of {len(self.userdata)}>"

    def copy(self) -> "InstanceData":
        """Return an instance that shares nothing that can be changed with this one."""
        other = copy.copy(self)
        other._metadata = self._metadata and self._metadata.copy()
        other._network = self._network and self._network.copy()
        return other

    def validate(self) -> None:
        """Check that documents can be made of this instance.

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
        if self.network is not None:
            yield from self.network.faults()
        if fault := userdata_fault(self.userdata):
            yield f"userdata: {fault}"


def text_fault(value: object) -> str | None:
    """Return what is wrong with a value that must be text, or a whole number for it; None if nothing is."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return "is not text"
    if value == "":
        return "is empty"
    return None if _is_unicode(str(value)) else "is not Unicode text"


def public_key_fault(value: object) -> str | None:
    """Return what is wrong with the text of an SSH public key, or None; never quotes it."""
    if not isinstance(value, str):
        return "is not text"
    if not value.strip():
        return "is empty"
    if len(value.strip().splitlines()) > 1:
        return "is more than one line; a key is one"
    return None if _is_unicode(value) else "is not Unicode text"


def userdata_fault(value: object) -> str | None:
    """Return what is wrong with user-data, or None; never quotes it."""
    if not isinstance(value, str | bytes):
        return "is neither text nor bytes"
    if isinstance(value, str) and not _is_unicode(value):
        return "is not Unicode text"
    size = len(value if isinstance(value, bytes) else value.encode())
    if size > MAX_USERDATA:
        return f"is {size:,} bytes long; a serial line's answer carries {MAX_USERDATA:,}"
    return None


def mac_fault(value: object) -> str | None:
    """Return what is wrong with the MAC address of one network card, or None."""
    if isinstance(value, str) and _MAC.fullmatch(value):
        return None
    return "is not the MAC address of a card, such as 00:50:56:01:02:03"


def interface_fault(value: object) -> str | None:
    """Return what is wrong with the name of a network interface, or None."""
    if isinstance(value, str) and _INTERFACE.fullmatch(value):
        return None
    return "is not the name of an interface, such as eth0 (at most 15 letters, digits and . _ -)"


def address_fault(value: object) -> str | None:
    """Return what is wrong with the IPv4 address of a machine, or None."""
    address = _ipv4(value)
    if address is None:
        return "is not an IPv4 address"
    if address.is_unspecified or address.is_multicast or address.is_reserved:
        return "is not the address of one machine"
    return None


def netmask_fault(value: object) -> str | None:
    """Return what is wrong with an IPv4 netmask, or None: ones, then zeros."""
    mask = _ipv4(value)
    if mask is not None:
        zeros = int(mask) ^ 0xFFFFFFFF
        if zeros & (zeros + 1) == 0 and zeros != 0xFFFFFFFF:
            return None
    return "is not a netmask such as 255.255.255.0"


def _ipv4(value: object) -> ipaddress.IPv4Address | None:
    # IPv4Address() takes numbers too: 192 would be 0.0.0.192.
    if not isinstance(value, str | ipaddress.IPv4Address):
        return None
    try:
        return ipaddress.IPv4Address(value)
    except ValueError:
        return None


def _is_unicode(text: str) -> bool:
    # Half a surrogate pair is a str, but no text that could be written to a file or a line.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
