import pytest

from vmw_cloudinit_metadata.checking import report as report_module
from vmw_cloudinit_metadata.checking.claims import Claim
from vmw_cloudinit_metadata.checking.names import Pattern
from vmw_cloudinit_metadata.checking.notes import Checked
from vmw_cloudinit_metadata.checking.report import Report, report
from vmw_cloudinit_metadata.definition import Definition, Source
from vmw_cloudinit_metadata.errors import Fault

FIRST, SECOND = Fault("a.yaml", 2, "", "x"), Fault("a.yaml", 10, "", "x")


def test_what_was_found_is_sorted_by_file_and_line_and_stands_once() -> None:
    checked = [Checked([SECOND], [FIRST]), Checked([Fault("_defaults.yaml", 1, "", "x"), SECOND, FIRST])]
    assert report(checked, [Checked([FIRST], [SECOND, FIRST])]) == Report(
        2, [Fault("_defaults.yaml", 1, "", "x"), FIRST, SECOND], [FIRST, SECOND]
    )
    assert report([]) == Report(0, [], [])


def test_claims_are_held_against_one_another() -> None:
    checked = [
        Checked([], claims=[Claim("mac", "00:50:56:01:02:03", vm, f"{vm}.yaml", 2, "network.mac")])
        for vm in "ab"
    ]
    (fault,) = report(checked).faults
    assert str(fault).startswith("b.yaml:2: network.mac: 00:50:56:01:02:03 is given to b and to a (a.yaml:2)")


@pytest.mark.parametrize("number", [0, 1])
def test_a_vm_in_vms_that_has_a_definition_of_its_own_is_a_warning(number: int) -> None:
    checked = [
        Checked([], claims=[Claim("vms", "a", "a", "group.yaml", 3, "vms")]),
        Checked([], claims=[Claim("file", "a", "a", "a.yaml", 0, "")]),
    ]
    found = report(checked[number:] + checked[:number])
    assert (found.faults, [str(warning) for warning in found.warnings]) == (
        [],
        ["group.yaml:3: vms: a has a definition of its own, a.yaml, and is served by that"],
    )


def pattern(source: str, text: str, *samples: str) -> Pattern:
    made = Definition(Source(source, f"vms: ['{text}']\nmetadata: {{hostname: a}}\n".encode()))
    assert made.vms is not None
    return Pattern(made.vms, list(samples), source, 1)


def test_patterns_of_two_definitions_that_one_vm_fits_are_a_warning() -> None:
    patterns = [
        pattern("a.yaml", "web-*", "web-1"),
        pattern("b.yaml", "*-1", "x-1"),
        pattern("c.yaml", "db", "d"),
    ]
    found = report([Checked([], patterns=[each]) for each in patterns])
    assert [str(warning) for warning in found.warnings] == [
        "b.yaml:1: vms: a VM web-1 would fit a pattern in a.yaml:1, too, and be served by neither"
    ]


def test_of_more_than_anybody_reads_the_first_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "MAX_FOUND", 3)
    found = report([Checked([Fault("a.yaml", line, "", "x") for line in range(9)])])
    assert [fault.line for fault in found.faults] == [0, 1, 2]


def test_patterns_beyond_a_thousand_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "MAX_RIVALS", 2)
    patterns = [pattern(f"{name}.yaml", "web-*", "web-1") for name in "abc"]
    found = report([Checked([], patterns=[each]) for each in patterns])
    assert [warning.source for warning in found.warnings] == ["b.yaml"]
