"""What may be wrong with one value of an instance: each check returns the end of a sentence, or None.

Definitions (definition/) and instances that a driver made (instance.py) are held against the same checks.
No sentence quotes its value, which may be a secret.
"""

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


# Long enough not to be guessed, and what a URI holds as it stands: nobody has to escape it in vSphere.
TOKEN_LENGTHS = (8, 128)
_TOKEN = re.compile("[A-Za-z0-9._~+/=-]*")


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
