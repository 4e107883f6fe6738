"""Who may connect to a server at all, and which VMs it serves: limits, allow-list and tokens of the server.

What a single definition demands is access.py's. Neither says who connects: an address can be another's on a
network that lets it, and a token is known to whoever may read the VM's settings in vSphere.
"""

import ipaddress
import logging
import re
import resource
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from vmw_cloudinit_metadata.checks import token_fault
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.log import Throttle
from vmw_cloudinit_metadata.vspc.access import same_secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# An old and a new one while they are rotated, or one a site; each costs a comparison a connection.
MAX_TOKENS = 64

# Descriptors that are not connections: listeners, logs, the definitions that are being read.
RESERVED_DESCRIPTORS = 64

# Who is refused tries again, and every VM of a site may be: of each reason there is a line so often.
REFUSAL_SECONDS = 10.0

_logger = logging.getLogger(__name__)

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """Return the network of ``192.0.2.0/24``, ``2001:db8::/32`` or of a single address.

    IPv4's addresses as IPv6 has them (``::ffff:192.0.2.0/120``) are IPv4's.

    Raises:
        ConfigurationError: it is none of these.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ConfigurationError(f"'{text}' is not a network such as 192.0.2.0/24 or 2001:db8::/32") from None
    address = text.partition("/")[0]
    if "/" in text and ipaddress.ip_address(address) != network.network_address:
        raise ConfigurationError(f"'{text}' is not a network: write {network}, or {address} alone")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = int(network.network_address) & 0xFFFFFFFF
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network


def is_allowed(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks; what is no address is in none."""
    parsed = _parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


def is_loopback(address: str) -> bool:
    """Return whether only this machine can connect to an address."""
    parsed = _parse_address(address)
    return parsed is not None and parsed.is_loopback


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Tokens:
    """The shared secrets of a server: a VM's service URI must carry one of them."""

    def __init__(self, tokens: Sequence[str] = (), file: Path | None = None) -> None:
        """Take tokens as they are, or those of a file, a line each; ``#`` begins a comment.

        Raises:
            ConfigurationError: one is no token, the file cannot be read or holds none; no token is quoted.
        """
        self._file = file
        self._tokens = tuple(tokens) if file is None else self._read(file)
        for token in self._tokens:
            if fault := token_fault(token):
                raise ConfigurationError(f"the token {fault}")

    def __bool__(self) -> bool:
        """Return whether a token is demanded at all."""
        return bool(self._tokens)

    def __repr__(self) -> str:
        return f"<Tokens {len(self._tokens)}>"

    @property
    def first(self) -> str:
        """Return the token to give to VMs: the new one stands first while tokens are rotated."""
        return self._tokens[0]

    def accept(self, given: str) -> bool:
        """Return whether a VM with this token is served; it takes as long whatever the token is."""
        fits = [same_secret(token, given) for token in self._tokens]
        return not fits or any(fits)

    def reload(self) -> None:
        """Read the file again, for connections to come; if it cannot be used, all stays as it was.

        Raises:
            ConfigurationError: it cannot be used.
        """
        if self._file is not None:
            self._tokens = self._read(self._file)

    @staticmethod
    def _read(file: Path) -> tuple[str, ...]:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigurationError(f"cannot read {file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{file}: not UTF-8 text") from None
        tokens = []
        for number, line in enumerate(lines, 1):
            if token := re.sub(r"(^|\s)#.*", "", line).strip():
                if fault := token_fault(token):
                    raise ConfigurationError(f"{file}:{number}: the token {fault}")
                tokens.append(token)
        if not tokens:
            raise ConfigurationError(f"{file}: holds no token; one a line")
        if len(tokens) > MAX_TOKENS:
            raise ConfigurationError(f"{file}: holds {len(tokens)} tokens; at most {MAX_TOKENS} are accepted")
        return tuple(tokens)


class Admission:
    """Count the connections of a server, by address, and refuse those over a limit or from elsewhere.

    Attributes:
        most: connections at once.
    """

    def __init__(self, allow: Sequence[Network], most: int, most_per_address: int | None) -> None:
        self.most = most
        self._allow = allow
        self._most_per_address = most_per_address
        self._by_address: Counter[str] = Counter()
        self._count = 0
        self._refusals: defaultdict[str, Throttle] = defaultdict(lambda: Throttle(REFUSAL_SECONDS))

    def admit(self, address: str) -> bool:
        """Count a connection in, or refuse it, which is logged."""
        if self._allow and not is_allowed(address, self._allow):
            kind, reason = "address", f"{address} is in no network that --allow names"
        elif self._count >= self.most:
            kind, reason = "limit", f"{self.most} connections are open, which is the limit"
        elif self._most_per_address and self._by_address[address] >= self._most_per_address:
            kind = "limit"
            reason = f"{self._most_per_address} connections of {address} are open, which is the limit"
        else:
            self._count += 1
            self._by_address[address] += 1
            return True
        if count := self.count_refusal(kind):
            _logger.warning("refused %d connection%s: %s", count, "s" if count > 1 else "", reason)
        return False

    def dismiss(self, address: str) -> None:
        """Count a connection out."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def count_refusal(self, kind: str) -> int:
        """Count a connection that is refused for a reason of this kind; return how many to log now, or 0."""
        return self._refusals[kind].count()


def most_connections() -> int:
    """Return how many connections this process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1 << 20) if soft == resource.RLIM_INFINITY else max(1, soft - RESERVED_DESCRIPTORS)
