import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from tests.server.state.kept import kept
from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.records import MAX_RECORD
from vmw_cloudinit_metadata.state.reports import MAX_REPORTS, Reports
from vmw_cloudinit_metadata.vspc.report import MAX_REPORT, Report


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(StateDirectory(tmp_path))


def test_a_report_is_read_as_it_was_kept(reports: Reports) -> None:
    full = kept(
        instance_id="i-1",
        documents={"meta-data": "0123456789abcdef", "vendor-data": "-"},
        seconds=0.25,
        retries=2,
        version="0.1.0",
        hostname="web-01",
        datasource="DataSourceNoCloud",
        status="error",
        errors=["büro", "second"],
        stages={"init-local": 0.5},
        host_keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"],
    )
    least = kept(stage="seed", defined="")
    reports.keep(full)
    reports.keep(least)
    assert reports.of("web-01") == [full, least]


def test_a_vm_that_has_not_reported_has_none(reports: Reports) -> None:
    assert reports.of("web-01") == []
    assert list(reports.all()) == []


def test_one_of_the_same_boot_and_stage_replaces_the_earlier(reports: Reports) -> None:
    first, seed, again, next_boot = (
        kept(status="running"),
        kept(stage="seed"),
        kept(status="done", minutes=1),
        kept(boot_id="b1", minutes=2),
    )
    for each in (first, seed, again, next_boot):
        reports.keep(each)
    assert reports.of("web-01") == [seed, again, next_boot]


def test_the_last_ones_of_each_vm_are_kept(reports: Reports) -> None:
    for number in range(MAX_REPORTS + 3):
        reports.keep(kept(boot_id=f"b{number}"))
    reports.keep(kept("web-02"))
    assert [each.report.boot_id for each in reports.of("web-01")] == [f"b{number}" for number in range(3, 11)]
    assert [[each.vm_name for each in of_one] for of_one in reports.all() if isinstance(of_one, list)] == [
        ["web-01"] * MAX_REPORTS,
        ["web-02"],
    ]


def test_of_too_many_vms_that_one_goes_that_was_silent_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmw_cloudinit_metadata.state.reports.MAX_VMS", 2)
    reports = Reports(StateDirectory(tmp_path))
    for age, name in enumerate("ab"):
        reports.keep(kept(name))
        os.utime(tmp_path / "reports" / f"{name}.json", (1000 - age, 1000 - age))
    reports.keep(kept("c"))
    assert [len(reports.of(name)) for name in "abc"] == [1, 0, 1]


def test_names_that_are_made_up_push_out_no_reports_of_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmw_cloudinit_metadata.state.reports.MAX_VMS", 2)
    reports = Reports(StateDirectory(tmp_path))
    own = kept("web-01")
    reports.keep(own)
    for number in range(5):
        made_up = dataclasses.replace(kept(f"made-up-{number}"), claimed=True)
        reports.keep(made_up)
    assert reports.of("web-01") == [own]
    assert reports.find("made-up-4") == [[made_up]]
    assert len(list(reports.all())) == 3


def test_reports_are_those_of_a_definition_whatever_a_vm_calls_itself(reports: Reports) -> None:
    own, claimed, other = kept("db-01"), kept("db-01", definition="evil"), kept("b", definition="c")
    for each in (own, claimed, other):
        reports.keep(each)
    assert reports.of("db-01") == [own]
    assert reports.find("db-01") == [[own]]
    assert reports.find("evil") == [[claimed]]


def test_a_vm_that_is_called_otherwise_than_its_definition_is_found_by_either_name(reports: Reports) -> None:
    one, two = kept("vm-7", definition="web"), kept("vm-7", definition="db")
    for each in (one, two, kept("vm-8", definition="mail")):
        reports.keep(each)
    assert reports.find("vm-7") == [[two], [one]]
    assert reports.find("web") == [[one]]
    assert reports.find("vm-9") == []


@pytest.mark.parametrize(
    "document",
    [
        {"errors": ["é" * 2000]},
        {"errors": [""] * 1000},
        {"errors": ["\U0001f600" * 1000]},
        {"stages": {chr(0x4E00 + number): 0 for number in range(400)}},
    ],
    ids=["accents", "many", "emoji", "stages"],
)
def test_eight_reports_of_the_largest_size_fit_into_a_file(
    tmp_path: Path, reports: Reports, document: dict[str, Any]
) -> None:
    payload = json.dumps({"stage": "final", "boot-id": "b0", **document}, ensure_ascii=False).encode()
    assert MAX_REPORT * 0.8 < len(payload) <= MAX_REPORT
    report = Report.parse(payload)
    for number in range(MAX_REPORTS):
        boot = dataclasses.replace(report, boot_id=f"b{number}")
        reports.keep(dataclasses.replace(kept(), report=boot))
    assert len(reports.of("web-01")) == MAX_REPORTS
    assert (tmp_path / "reports" / "web-01.json").stat().st_size < MAX_RECORD / 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"name": "web-01"}',
        '{"name": "web-01", "reports": null}',
        '{"name": "web-01", "reports": [1]}',
        '{"name": "web-01", "reports": [{"vm": "web-01"}]}',
        '{"name": "web-01", "reports": [{"vm": "web-01", "definition": "web-01", "vc-uuid": null, '
        '"bios-uuid": "x", "hostname": "", "received": "2026-12-01T12:00:00+00:00", '
        '"report": {"stage": "final", "boot-id": "b0"}}]}',
        '{"name": "web-01", "reports": [{"vm": "web-01", "definition": "web-01", "vc-uuid": null, '
        '"bios-uuid": null, "hostname": "", "received": "2026-12-01T12:00:00+00:00", '
        '"report": {"stage": "final"}}]}',
    ],
)
def test_damaged_reports_are_an_error_and_new_ones_take_their_place(
    tmp_path: Path, reports: Reports, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    reports.keep(kept("web-02"))
    (tmp_path / "reports" / "web-01.json").write_text(text)
    with pytest.raises(StateError, match=r"/reports/web-01\.json is damaged"):
        reports.of("web-01")
    damaged, healthy = reports.all()
    assert str(damaged).endswith("/reports/web-01.json is damaged")
    assert isinstance(healthy, list)
    with caplog.at_level(logging.WARNING):
        reports.keep(kept())
    assert "web-01.json is damaged: its reports are lost" in caplog.text
    assert reports.of("web-01") == [kept()]


def test_a_report_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"cannot write .*/gone/reports: No such file or directory"):
        Reports(StateDirectory(tmp_path / "gone")).keep(kept())
