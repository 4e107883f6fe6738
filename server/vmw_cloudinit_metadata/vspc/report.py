"""A guest's report: what became of the documents it was given, checked before anyone believes it.

A report is a claim like all that a VM says, and its texts end on an operator's terminal and in a file for
ssh: what is kept has known keys, known types, bounded sizes and no control characters. This module does not
keep reports, and does not know how they travel.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vmw_cloudinit_metadata.errors import ReportError

# The protocol's own limit (wire, Reports): 5.5 KiB in base64, half a second at 115200 baud.
MAX_REPORT = 4096

# A boot takes minutes; whoever claims years has a broken clock, and a number that fits no column.
MAX_SECONDS = 10_000_000
MAX_RETRIES = 1_000_000

STAGES = ("seed", "final")

_BOOT_ID = re.compile("[0-9a-f-]{1,64}")
_DOCUMENT = re.compile("[a-z-]{1,32}")
_ETAG = re.compile("[0-9a-f]{16}|-")
# A public key as ssh-keygen writes it. Nothing else may get into a file of known hosts.
_HOST_KEY = re.compile(r"[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{16,}={0,2}( [!-~]{1,128})?")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Report:
    """What a guest says of one stage of one boot. All but ``stage`` and ``boot_id`` may be missing.

    Attributes:
        stage: ``seed``, the documents are written, or ``final``, cloud-init has ended.
        boot_id: the kernel's, which tells boots apart.
        documents: the name of each document in the seed, and its etag.
        seconds: how long the fetch took; ``retries``: how often it asked again.
        version: the guest program's.
        status, datasource, errors: cloud-init's own words.
        stages: seconds that each stage of cloud-init took.
        host_keys: SSH host keys, public, a line each.
    """

    stage: str
    boot_id: str
    instance_id: str | None = None
    documents: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    retries: int | None = None
    version: str | None = None
    hostname: str | None = None
    datasource: str | None = None
    status: str | None = None
    errors: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    host_keys: tuple[str, ...] = ()

    @classmethod
    def parse(cls, payload: bytes) -> "Report":
        """Read a report as it came: JSON, an object, of at most ``MAX_REPORT`` bytes.

        Raises:
            ReportError: it is none; which key is at fault is said, its value is not.
        """
        if len(payload) > MAX_REPORT:
            raise ReportError(f"a report has at most {MAX_REPORT} bytes, this one has {len(payload)}")
        try:
            document = json.loads(payload)
        except (ValueError, RecursionError):
            raise ReportError("a report is JSON in UTF-8") from None
        return cls.from_json(document)

    @classmethod
    def from_json(cls, document: Any) -> "Report":
        """Check what ``to_json`` has returned, or a guest has sent; keys that are not known are dropped.

        Raises:
            ReportError: it is no report.
        """
        if not isinstance(document, dict):
            raise ReportError("a report is a JSON object")
        values = {}
        for key, check in _CHECKS.items():
            if (value := document.get(key)) is not None:
                try:
                    values[key.replace("-", "_")] = check(value)
                except ReportError as fault:
                    raise ReportError(f"the report's {key!r} {fault}") from None
        for key in ("stage", "boot-id"):
            if key.replace("-", "_") not in values:
                raise ReportError(f"the report has no {key!r}")
        return cls(**values)

    @property
    def result(self) -> str:
        """How it went, in a few words."""
        if self.stage == "final":
            errors = f", {len(self.errors)} error{'s' * (len(self.errors) > 1)}" if self.errors else ""
            return f"cloud-init {self.status or 'ended'}{errors}"
        seconds = "" if self.seconds is None else f" in {self.seconds:g} s"
        # Written, or right already: which, it does not say.
        retries = f", {self.retries} retr{'y' if self.retries == 1 else 'ies'}" if self.retries else ""
        return f"seed ready{seconds}{retries}"

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes: the keys of the wire, without those that are missing."""
        document = {key: getattr(self, key.replace("-", "_")) for key in _CHECKS}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in document.items()
            if value is not None and value not in ((), {})
        }


def _stage(value: object) -> str:
    if value not in STAGES:
        raise ReportError("is neither 'seed' nor 'final'")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ReportError("is not text on one line")
    return value


def _prose(value: object) -> str:
    """Take text that a program has written for people: its line ends and colours become blanks."""
    if not isinstance(value, str):
        raise ReportError("is not text")
    return "".join(character if character.isprintable() else " " for character in value)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ReportError(f"is not {what}")
        return value

    return check


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReportError("is not a number of seconds")
    # Not in this range is not-a-number, too.
    if not 0 <= value <= MAX_SECONDS:
        raise ReportError("is no time that a boot can take")
    return round(float(value), 3)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RETRIES:
        raise ReportError("is not a count")
    return value


def _list(check: Callable[[object], _T]) -> Callable[[object], tuple[_T, ...]]:
    def check_all(value: object) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise ReportError("is not a list")
        return tuple(check(each) for each in value)

    return check_all


def _mapping(
    check_key: Callable[[object], str], check: Callable[[object], _T]
) -> Callable[[object], dict[str, _T]]:
    def check_all(value: object) -> dict[str, _T]:
        if not isinstance(value, dict):
            raise ReportError("is not a mapping")
        return {check_key(key): check(each) for key, each in value.items()}

    return check_all


_CHECKS: dict[str, Callable[[object], Any]] = {
    "stage": _stage,
    "boot-id": _matching(_BOOT_ID, "a boot id"),
    "instance-id": _text,
    "documents": _mapping(_matching(_DOCUMENT, "a document's name"), _matching(_ETAG, "an etag")),
    "seconds": _seconds,
    "retries": _count,
    "version": _text,
    "hostname": _text,
    "datasource": _text,
    "status": _text,
    "errors": _list(_prose),
    "stages": _mapping(_text, _seconds),
    "host-keys": _list(_matching(_HOST_KEY, "a public key of SSH")),
}
