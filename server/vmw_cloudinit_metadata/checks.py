"""What may be wrong with one value of an instance: each check returns the end of a sentence, or None.

Definitions (definition/) and instances that a driver made (instance.py) are held against the same checks.
No sentence quotes its value, which may be a secret.
"""

import contextlib
import functools
import ipaddress
import re
import uuid
from datetime import UTC, datetime

# A response of version 1 is one line, and a reader drops a line of more than 4 MiB (vmw_cloudinit_wire);
# base64 makes 4,000,000 characters of this, which leaves room for the packet's code.
MAX_USERDATA = 3_000_000

# The second digit of a card's own address is even: an odd one addresses several cards.
_MAC = re.compile("[0-9a-f][02468ace](:[0-9a-f]{2}){5}", re.IGNORECASE)

# Narrower than what Linux takes (15 bytes, no slash, no colon): what no renderer of cloud-init has to quote.
_INTERFACE = re.compile("[A-Za-z][A-Za-z0-9._-]{0,14}")


# RFC 791 wants a link to carry 68 bytes; a device's own limit is a number of 16 bits.
_MTUS = range(68, 65536)
_METRICS = range(2**32)

# The way from the top of a definition or an instance to a value: keys of mappings, and numbers in lists.
Path = tuple[str | int, ...]

# What is wrong there: the end of a sentence.
Problem = tuple[Path, str]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Long enough not to be guessed, and what a URI holds as it stands: nobody has to escape it in vSphere.
TOKEN_LENGTHS = (8, 128)
_TOKEN = re.compile("[A-Za-z0-9._~+/=-]*")


def path_text(path: Path) -> str:
    """Return a path as people write it: ``network.nameservers[1]``; on one line, whatever the keys hold."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if step.isprintable() else repr(step)[1:-1]
            text += f".{name}" if text else name
    return text


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
    """Return what is wrong with the IPv4 or IPv6 address of a machine, or None."""
    address = parse_address(value)
    if address is None:
        return _no_address(value)
    # What IPv6 has reserved holds ::1, and much that may be assigned yet.
    reserved = address.version == 4 and address.is_reserved
    if address.is_unspecified or address.is_multicast or reserved:
        return "is not the address of one machine"
    return None


def own_address_fault(value: object) -> str | None:
    """Return what is wrong with a card's own address, as ``parse_own_address`` reads it, or None."""
    address, slash, _ = str(value).partition("/")
    if fault := address_fault(address if slash else value):
        return fault
    if parse_own_address(value) is None:
        longest = 128 if ":" in address else 32
        return f"has no prefix length from 1 to {longest} behind its slash"
    return None


def destination_fault(value: object) -> str | None:
    """Return what is wrong with where a route leads, as ``parse_destination`` reads it, or None."""
    if value == "default" or parse_destination(value) is not None:
        return None
    if isinstance(value, str) and "/" in value and "%" not in value:
        with contextlib.suppress(ValueError):
            return f"is not a network; write {ipaddress.ip_network(value, strict=False)}"
    return "is neither a network such as 198.51.100.0/24 nor default"


def mtu_fault(value: object) -> str | None:
    """Return what is wrong with an MTU in bytes, or None."""
    return None if type(value) is int and value in _MTUS else "is not a whole number from 68 to 65535"


def metric_fault(value: object) -> str | None:
    """Return what is wrong with the metric of a route, or None."""
    return None if type(value) is int and value in _METRICS else "is not a whole number from 0 to 4294967295"


def truth_fault(value: object) -> str | None:
    """Return what is wrong with a truth value, or None."""
    return None if isinstance(value, bool) else "is neither true nor false"


def netmask_fault(value: object) -> str | None:
    """Return what is wrong with an IPv4 netmask, or None: ones, then zeros."""
    mask = parse_address(value)
    if isinstance(mask, ipaddress.IPv4Address):
        zeros = int(mask) ^ 0xFFFFFFFF
        if zeros & (zeros + 1) == 0 and zeros != 0xFFFFFFFF:
            return None
    return "is not a netmask such as 255.255.255.0"


def token_fault(value: object) -> str | None:
    """Return what is wrong with a shared secret, or None; never quotes it."""
    if not isinstance(value, str):
        return "is not text"
    least, most = TOKEN_LENGTHS
    if not _TOKEN.fullmatch(value):
        return "has a character other than letters, digits and - . _ ~ + / ="
    if not least <= len(value) <= most:
        return f"is not {least} to {most} characters long"
    return None


def uuid_fault(value: object) -> str | None:
    """Return what is wrong with a UUID, or None."""
    return "is not a UUID" if parse_uuid(value) is None else None


def time_fault(value: object) -> str | None:
    """Return what is wrong with a moment, or None."""
    return "is not a time such as 2030-12-31T18:00:00Z" if parse_time(value) is None else None


def parse_uuid(value: object) -> uuid.UUID | None:
    """Return the UUID of a text in any usual writing, also ``42 1c … 22 0d`` as in a .vmx file; or None."""
    if isinstance(value, uuid.UUID):
        return value
    if not isinstance(value, str):
        return None
    digits = re.sub(r"[\s{}-]", "", value)
    return uuid.UUID(digits) if re.fullmatch("[0-9A-Fa-f]{32}", digits) else None


def parse_time(value: object) -> datetime | None:
    """Return the moment of a text in ISO 8601, or None; without a zone it is UTC, without a time 00:00."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def parse_address(value: object) -> Address | None:
    """Return the address of a text or of an ``ipaddress`` object, or None."""
    # ip_address() takes numbers too: 192 would be 0.0.0.192; and an interface behind a %.
    if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address) or "%" in str(value):
        return None
    text = str(value)
    return _parse_text(text) if len(text) <= _LONGEST_ADDRESS else None


# Six groups of IPv6 and an IPv4 address behind them.
_LONGEST_ADDRESS = 45


# Each rule about an address reads it again, four or five times in a definition: half of what the rules take.
@functools.lru_cache(maxsize=256)
def _parse_text(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def parse_own_address(value: object) -> tuple[Address, int | None] | None:
    """Return a card's own address and its prefix length, None where it has none; or None."""
    # An ``ipaddress`` interface is an address, too.
    if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        return None
    text, slash, prefix = str(value).partition("/")
    address = parse_address(text)
    if address is None or not slash:
        return None if address is None else (address, None)
    # No 0: that would be all addresses, and no +1 or Arabic digits, which int() takes.
    if not re.fullmatch("[1-9][0-9]{0,2}", prefix) or int(prefix) > address.max_prefixlen:
        return None
    return address, int(prefix)


def parse_destination(value: object) -> Network | None:
    """Return the network that a route leads to; a text without a prefix length is one machine's; or None."""
    if not isinstance(value, str | ipaddress.IPv4Network | ipaddress.IPv6Network):
        return None
    # 198.51.100.0/255.255.255.0 is a network to Python, and to no route command.
    if not re.fullmatch("[0-9A-Fa-f:.]+(/[0-9]{1,3})?", str(value)):
        return None
    try:
        return ipaddress.ip_network(str(value))
    except ValueError:
        return None


def _no_address(value: object) -> str:
    if isinstance(value, str) and ":" in value:
        return "is not an IPv6 address"
    if isinstance(value, str) and re.fullmatch(r"[0-9][0-9./]*", value):
        return "is not an IPv4 address"
    return "is neither an IPv4 nor an IPv6 address"


def _is_unicode(text: str) -> bool:
    # Half a surrogate pair is a str, but no text that could be written to a file or a line.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
