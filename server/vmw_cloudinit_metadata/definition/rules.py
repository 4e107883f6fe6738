"""What the schema says of a definition that was read: definition.schema.json, which editors read too.

What a schema cannot say (a netmask's ones and zeros) is a format here. Each rule carries its own sentence, so
that an editor and the log say the same.
"""

import difflib
import functools
import importlib.resources
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmw_cloudinit_metadata import checks, network, userdata
from vmw_cloudinit_metadata.checks import Path, Problem, path_text
from vmw_cloudinit_metadata.definition.accept import Check, Compiler
from vmw_cloudinit_metadata.definition.source import Place
from vmw_cloudinit_metadata.errors import DefinitionError, Fault

if TYPE_CHECKING:
    import jsonschema

_FORMATS: dict[str, Callable[[object], str | None]] = {
    "mac": checks.mac_fault,
    "interface": checks.interface_fault,
    "address": checks.address_fault,
    "own-address": checks.own_address_fault,
    "destination": checks.destination_fault,
    "ipv4-netmask": checks.netmask_fault,
    "ssh-public-key": checks.public_key_fault,
    "user-data": checks.userdata_fault,
    "part-type": userdata.type_fault,
    "part-filename": userdata.filename_fault,
    "uuid": checks.uuid_fault,
    "time": checks.time_fault,
    "token": checks.token_fault,
}


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a definition."""
    file = importlib.resources.files(__package__).joinpath("definition.schema.json")
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def rule_faults(
    raw: Any,
    places: Mapping[Path, Place],
    varying: Collection[Path] = (),
    unquoted: Collection[Path] = (),
    partial: bool = False,
) -> Iterator[Fault]:
    """Yield what is wrong with the plain values of a definition, each with the place of its key.

    Args:
        raw: the values, as reader.py has them.
        places: where each stands.
        varying: of what is not known yet nothing is said.
        unquoted: of these the value is not quoted.
        partial: it is a part of a definition, and no fault that something is missing.
    """
    seen: dict[tuple[Path, str], bool] = {}  # whether a fault within the value may be why
    for error in () if _accepts()(raw) else _validator().iter_errors(raw):
        if partial and isinstance(error.instance, dict) and error.validator != "additionalProperties":
            continue
        for path, text in _sentences(error, unquoted):
            # Several rules about one value have one sentence.
            if path not in varying:
                seen.setdefault((path, text), error.validator == "anyOf")
    faulty = {path for path, _ in seen}
    for (path, text), follows in seen.items():
        if not (follows and _any_below(path, faulty)):
            yield Fault(*places[path], path_text(path), text)
    if not partial and isinstance(raw, dict) and ("network",) not in varying:
        for path, text in _network_problems(raw, unquoted):
            if path not in faulty and not _any_below(path, faulty):
                yield Fault(*_place(path, places), path_text(path), text)


def _any_below(path: Path, faulty: Collection[Path]) -> bool:
    """Tell whether something within a value has a fault: without what was mistyped, the rest is not whole."""
    return any(len(each) > len(path) and each[: len(path)] == path for each in faulty)


def _network_problems(raw: dict[str, Any], unquoted: Collection[Path]) -> Iterator[Problem]:
    """Yield what is wrong with the network beyond the schema: values that do not fit each other."""
    try:
        found = list(network.problems(network.from_raw(raw.get("network"))))
    except DefinitionError:
        return  # of none of its forms, or with an unknown key, which the schema has said better
    for path, text in found:
        value: Any = functools.reduce(_member, path, raw)
        quoted = isinstance(value, str) and path not in unquoted
        yield path, f"{_quoted(value)} {text}" if quoted else text


def _member(value: Any, step: str | int) -> Any:
    return value.get(step) if isinstance(value, dict) else value[step]


def _place(path: Path, places: Mapping[Path, Place]) -> Place:
    """Return where a value stands; of one that is missing, where it would."""
    while path not in places:
        path = path[:-1]
    return places[path]


@functools.cache
def _accepts() -> Check:
    return Compiler(schema(), _FORMATS).check(schema())


@functools.cache
def _validator() -> "jsonschema.protocols.Validator":
    # Only who has faults pays for it: a tenth of a second, and 4 MB in each process.
    import jsonschema

    checker = jsonschema.FormatChecker(formats=())
    for name, fault in _FORMATS.items():
        checker.checks(name)(functools.partial(_is_faultless, fault))
    draft = jsonschema.Draft202012Validator
    # To JSON schema 3.0 is a whole number.
    types = draft.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    extend: Any = jsonschema.validators.extend  # which is not typed
    validator: jsonschema.protocols.Validator = extend(draft, type_checker=types)(
        schema(), format_checker=checker
    )
    return validator


def _is_faultless(fault: Callable[[object], str | None], value: object) -> bool:
    # A format is about text; what is not text at all is the fault of another rule.
    return not isinstance(value, str) or fault(value) is None


def _sentences(error: "jsonschema.ValidationError", unquoted: Collection[Path]) -> Iterator[tuple[Path, str]]:
    path = tuple(error.absolute_path)
    rule: Any = error.schema
    value: Any = error.instance
    if error.validator == "additionalProperties":
        known = list(rule["properties"])
        for key in value:
            if key not in known:
                yield (*path, key), f"is not a known key{_suggestion(key, known)}"
    elif error.validator == "required":
        for key in rule["required"]:
            if key not in value:
                yield path, f"{key} is missing"
    else:
        text = rule["errorMessage"]
        if error.validator == "format":
            text = _FORMATS[rule["format"]](value)
        secret = rule.get("writeOnly") or path in unquoted
        if isinstance(value, str) and error.validator != "type" and not secret:
            text = f"{_quoted(value)} {text}"
        yield path, text


def _suggestion(key: str, known: list[str]) -> str:
    word = key.lower().replace("_", "-")
    # Of dhcp4 and dhcp6, which are as near to dhcp, the first in the schema; difflib takes the last.
    nearest = max(known, key=lambda each: difflib.SequenceMatcher(None, each, word).ratio())
    near = difflib.get_close_matches(word, [nearest])
    return f"; did you mean {nearest}?" if near else f" (known: {', '.join(known)})"


def _quoted(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:59] + "…")
