"""What the server answered, checked and ready to be written: bytes in, bytes out.

Network data, user-data and vendor-data are passed on as they came. What of an answer's way over the line can
be checked is in ``version1.py`` and ``version2.py``.
"""

import contextlib
import importlib
import json
from typing import Any, Callable, Dict, List, NamedTuple, Optional

# cloud-init reads meta-data as YAML. These characters are fine inside a JSON string, but YAML either
# refuses them (C1 controls, non-characters) or folds them into a space (its line breaks NEL, LS and PS).
_NOT_YAML = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFFFE, 0xFFFF)}

# What cloud-init uses up in the first boot of an instance, and may hold secrets.
SECRET = ("user-data", "vendor-data")


def _find_sha256() -> Any:
    """Return what hashlib would: importing that loads OpenSSL, a tenth of what a fetch costs in all."""
    for name in ("_sha256", "_sha2"):  # up to Python 3.11, and later
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).sha256
    return importlib.import_module("hashlib").sha256


_sha256 = _find_sha256()


class DocumentError(ValueError):
    """A document that cloud-init could not use; the text never quotes it."""


class Documents(NamedTuple):
    """The documents of one instance, as the bytes of the files to write; None where there is no file."""

    meta_data: bytes
    network_config: Optional[bytes]
    user_data: bytes
    vendor_data: Optional[bytes] = None

    @property
    def instance_id(self) -> str:
        """The instance-id that the meta-data carries."""
        return instance_id(self.meta_data)

    def files(self) -> Dict[str, Optional[bytes]]:
        """Return the contents by the names of their files, in the order of writing."""
        return {
            "user-data": self.user_data,
            "vendor-data": self.vendor_data,
            "network-config": self.network_config,
            # Last: it is what makes a seed of them.
            "meta-data": self.meta_data,
        }

    def blanked(self) -> "Documents":
        """Return them with the secret ones empty; one that there is not stays so."""
        vendor_data = None if self.vendor_data is None else b""
        return self._replace(user_data=b"", vendor_data=vendor_data)

    def __repr__(self) -> str:
        """Show sizes: the documents are secrets."""
        files = self.files().items()
        sizes = [f"{len(content)} bytes of {name}" for name, content in files if content is not None]
        return f"<Documents: {', '.join(sizes)}>"


def instance_id(meta_data: bytes) -> str:
    """Return the instance-id in the bytes of a meta-data file."""
    value: str = json.loads(meta_data.decode())["instance-id"]
    return value


def from_files(contents: Dict[str, Optional[bytes]]) -> Documents:
    """Return the documents of these files; user-data that is missing is empty: NoCloud requires it."""
    return Documents(
        contents["meta-data"] or b"",
        contents["network-config"],
        contents["user-data"] or b"",
        contents["vendor-data"],
    )


class Held(NamedTuple):
    """A document that the guest has: its etag, as it was served, and the bytes of its file."""

    etag: str
    content: bytes
    # A secret that was blanked is right for the instance that has used it, and for no other. None: for any.
    instance_id: Optional[str] = None

    def __repr__(self) -> str:
        """Show the size: the content is a secret."""
        return f"<Held {len(self.content)} bytes>"


def etag(content: bytes) -> str:
    """Return the etag of a document as it is served: 16 hexadecimal digits of its SHA-256."""
    return sha256(content)[:16]


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    digest: str = _sha256(content).hexdigest()
    return digest


def meta_data(payload: bytes) -> bytes:
    """Return the meta-data file for a METADATA answer.

    NoCloud wants ``instance-id`` a string, takes the name from ``local-hostname`` only, and SSH keys from a
    list ``public-keys``. Unknown keys are kept, since jinja templates in user-data may use them.

    Raises:
        DocumentError: not a JSON object with an instance-id, or a key of the wrong kind.
    """
    values = _json_object(payload)
    instance_id = _text(values, "instance-id")
    if not instance_id:
        raise DocumentError("the metadata has no instance-id")
    values["instance-id"] = instance_id
    name = _text(values, "local-hostname") or _text(values, "hostname")
    if name:
        values["local-hostname"] = name
    values["public-keys"] = _public_keys(values.get("public-keys"))
    return to_json(values, "metadata")


def to_json(values: Dict[str, Any], what: str) -> bytes:
    """Return values as one line of JSON that is the same in YAML, which cloud-init takes it for.

    Raises:
        DocumentError: they hold what UTF-8 has not; ``what`` they are is said.
    """
    try:
        # Not \uXXXX for everything: YAML does not join the two halves of a surrogate pair.
        text = json.dumps(values, ensure_ascii=False)
        return text.translate(_NOT_YAML).encode() + b"\n"
    except UnicodeEncodeError:
        raise DocumentError(f"the {what} holds half a surrogate pair") from None


def network_config(payload: bytes) -> Optional[bytes]:
    """Return the network-config file for a NETWORKDATA answer, or None for an empty one.

    An empty network-config must not be written: it crashes old releases of cloud-init. 0.0.8 sends YAML,
    others JSON.

    Raises:
        DocumentError: not text, so neither.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise DocumentError("the network data is not UTF-8") from None
    if "\0" in text:
        raise DocumentError("the network data holds a NUL")
    return payload if text.strip() else None


def user_data(payload: bytes) -> bytes:
    """Return the user-data file for a USERDATA answer: the same bytes, which may be text, gzip or none."""
    return payload


def vendor_data(payload: bytes) -> bytes:
    """Return the vendor-data file for a VENDORDATA answer: the same bytes."""
    return payload


class Kind(NamedTuple):
    """A document: its file, what packets call it, and the check that makes the file of an answer."""

    file: str
    code: str
    check: Callable[[bytes], Optional[bytes]]


META_DATA = Kind("meta-data", "METADATA", meta_data)
NETWORK_CONFIG = Kind("network-config", "NETWORKDATA", network_config)
USER_DATA = Kind("user-data", "USERDATA", user_data)
VENDOR_DATA = Kind("vendor-data", "VENDORDATA", vendor_data)


def _json_object(payload: bytes) -> Dict[str, Any]:
    try:
        values = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise DocumentError("the metadata is not JSON") from None
    if not isinstance(values, dict):
        raise DocumentError("the metadata is not a JSON object")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON, although Python reads it")


def _text(values: Dict[str, Any], key: str) -> str:
    """Return the value as a string without space around it; empty if it is absent or null."""
    value = values.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DocumentError(f"{key} in the metadata is neither a string nor a number")
    return str(value).strip()


def _public_keys(value: Any) -> List[str]:
    if value is None:
        return []
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise DocumentError("public-keys in the metadata is not a list of strings")
    return keys
