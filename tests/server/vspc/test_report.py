import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata.errors import ReportError
from vmw_cloudinit_metadata.vspc.report import MAX_REPORT, Report

SECRET = "hunter2"

# A busy machine is no fault of what is tested.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ETAG = "0123456789abcdef"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0l root@web-01"

SEED = {
    "stage": "seed",
    "boot-id": "b4f0c4c6-0c32-4d0b-9e2b-8e7f3c1d2a10",
    "instance-id": "i-0042",
    "documents": {"metadata": ETAG, "networkdata": "-"},
    "seconds": 0.42,
    "retries": 3,
    "version": "0.1.0",
}
FINAL = {
    "stage": "final",
    "boot-id": "b4f0c4c6-0c32-4d0b-9e2b-8e7f3c1d2a10",
    "instance-id": "i-0042",
    "hostname": "web-01",
    "datasource": "DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud][dsmode=net]",
    "status": "error",
    "errors": ["('scripts_user', RuntimeError('Runparts: 1 failures'))"],
    "stages": {"init-local": 1.5, "init": 2, "modules-final": 30.25},
    "host-keys": [HOST_KEY],
}


def parse(**changes: Any) -> Report:
    return Report.parse(json.dumps({**SEED, **changes}).encode())


def test_a_report_of_the_seed_is_what_the_guest_said() -> None:
    report = Report.parse(json.dumps(SEED).encode())
    assert (report.stage, report.boot_id, report.instance_id) == ("seed", SEED["boot-id"], "i-0042")
    assert report.documents == {"metadata": ETAG, "networkdata": "-"}
    assert (report.seconds, report.retries, report.version) == (0.42, 3, "0.1.0")
    assert (report.hostname, report.errors, report.stages, report.host_keys) == (None, (), {}, ())


def test_a_report_of_the_end_is_what_the_guest_said() -> None:
    report = Report.parse(json.dumps(FINAL).encode())
    assert (report.stage, report.hostname, report.status) == ("final", "web-01", "error")
    assert report.errors == ("('scripts_user', RuntimeError('Runparts: 1 failures'))",)
    assert report.stages == {"init-local": 1.5, "init": 2.0, "modules-final": 30.25}
    assert report.host_keys == (HOST_KEY,)


@pytest.mark.parametrize("document", [SEED, FINAL])
def test_it_is_written_as_it_was_read(document: dict[str, Any]) -> None:
    report = Report.parse(json.dumps(document).encode())
    assert report.to_json() == document
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_stage_and_boot_are_all_that_is_needed() -> None:
    report = Report.parse(b'{"stage": "final", "boot-id": "0a"}')
    assert report == Report("final", "0a")
    assert report.to_json() == {"stage": "final", "boot-id": "0a"}


@pytest.mark.parametrize("key", ["stage", "boot-id"])
@pytest.mark.parametrize("without", [True, False], ids=["missing", "null"])
def test_without_them_it_is_none(key: str, without: bool) -> None:
    document: dict[str, Any] = {**SEED, key: None}
    if without:
        del document[key]
    with pytest.raises(ReportError, match=f"the report has no '{key}'"):
        Report.parse(json.dumps(document).encode())


def test_what_is_not_known_is_dropped_and_what_is_null_is_missing() -> None:
    assert parse(password=SECRET, version=None).to_json() == {
        key: value for key, value in SEED.items() if key != "version"
    }


def test_it_may_be_as_long_as_the_protocol_allows_and_no_longer() -> None:
    room = MAX_REPORT - len(json.dumps({**FINAL, "errors": [""]}))
    whole = json.dumps({**FINAL, "errors": ["x" * room]}).encode()
    assert len(whole) == MAX_REPORT
    assert Report.parse(whole).errors == ("x" * room,)
    with pytest.raises(ReportError, match=r"at most 4096 bytes, this one has 4097"):
        Report.parse(whole + b" ")


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff\xfe{}", b"{}{}", b"[" * MAX_REPORT, b'{"a":' * 800, b"1" * MAX_REPORT],
)
def test_what_is_no_json_is_no_report(payload: bytes) -> None:
    with pytest.raises(ReportError):
        Report.parse(payload)


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"stage"', b"1", b"NaN"])
def test_what_is_no_object_is_no_report(payload: bytes) -> None:
    with pytest.raises(ReportError, match="a report is a JSON object"):
        Report.parse(payload)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stage", "begin"),
        ("stage", ["seed"]),
        ("stage", {}),
        ("boot-id", "B4F0 " + SECRET),
        ("boot-id", "a" * 65),
        ("boot-id", ""),
        ("boot-id", 7),
        ("instance-id", "i-0042\n" + SECRET),
        ("instance-id", "\x1b[2J" + SECRET),
        ("instance-id", "\ud800"),
        ("instance-id", 42),
        ("documents", [SECRET]),
        ("documents", {"metadata": SECRET}),
        ("documents", {"metadata": None}),
        ("documents", {"../" + SECRET: ETAG}),
        ("seconds", -0.1),
        ("seconds", 1e300),
        ("seconds", float("nan")),
        ("seconds", float("inf")),
        ("seconds", 10**400),
        ("seconds", True),
        ("seconds", "1"),
        ("retries", -1),
        ("retries", 1.5),
        ("retries", False),
        ("retries", 10**400),
        ("version", {"a": SECRET}),
        ("hostname", "web\u202e01"),
        ("datasource", "a\tb"),
        ("status", ["done"]),
        ("errors", SECRET),
        ("errors", [SECRET, 1]),
        ("errors", {"a": SECRET}),
        ("stages", {"init\n": 1}),
        ("stages", {"init": SECRET}),
        ("stages", [1]),
        ("host-keys", HOST_KEY),
        ("host-keys", [HOST_KEY + "\n* ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0l"]),
        ("host-keys", ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0l two words"]),
        ("host-keys", ["-----BEGIN OPENSSH PRIVATE KEY-----"]),
        ("host-keys", ["ssh-rsa"]),
    ],
)
def test_a_value_that_is_wrong_names_its_key_and_stays_unsaid(key: str, value: Any) -> None:
    with pytest.raises(ReportError, match=f"the report's '{key}' is") as raised:
        parse(**{key: value})
    assert SECRET not in str(raised.value)


def test_errors_are_for_people_and_lose_what_a_terminal_would_obey() -> None:
    assert parse(errors=["first\nsecond\x1b[31m red"]).errors == ("first second [31m red",)


@patient
@given(st.binary(max_size=200))
def test_garbage_raises_one_error_only(payload: bytes) -> None:
    with pytest.raises(ReportError):
        Report.parse(payload)


# An alphabet of its own: drawing from all of Unicode takes hypothesis seconds to begin with.
texts = st.text("a0-= \n\x1b\u202eü\ud800", max_size=10)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=3)


@patient
@given(st.sampled_from([*SEED, *FINAL]), values)
def test_any_value_of_any_key_is_a_report_or_raises_that_error(key: str, value: Any) -> None:
    try:
        report = parse(**{key: value})
    except ReportError:
        return
    assert Report.from_json(report.to_json()) == report
    assert all(text.isprintable() for text in (report.hostname or "", *report.errors, *report.host_keys))
