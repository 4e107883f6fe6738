"""The definitions of the table of seeds are good ones, and so are the examples."""

from pathlib import Path

import pytest

import vmw_cloudinit_metadata
from tests.support.seeds import Case, cases
from vmw_cloudinit_metadata.checking.definitions import Checker
from vmw_cloudinit_metadata.checking.report import Report, report
from vmw_cloudinit_metadata.drivers.file import FileDriver

EXAMPLES = Path(vmw_cloudinit_metadata.__file__).parent / "examples"

# What a case is about, and would be a fault elsewhere.
MEANT = {
    "userdata-parts": [
        "definition.yaml:43: userdata: its first line ends with CR LF, and no interpreter's name with CR;"
        " save it with LF alone (its line 1)"
    ],
}


def check(directory: Path) -> Report:
    driver = FileDriver({"directory": str(directory)})
    return report(map(Checker(driver, None, 120).check, driver.definitions()))


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case.name))
def test_the_definitions_of_a_seed_have_no_fault(case: Case, tmp_path: Path) -> None:
    directory = tmp_path / "instances"
    case.render(directory)
    faults = [str(fault).removeprefix(f"{directory}/") for fault in check(directory).faults]
    assert faults == MEANT.get(case.name, [])


def test_the_examples_have_nothing_to_complain_of() -> None:
    assert check(EXAMPLES) == Report(len(list(EXAMPLES.glob("*.yaml"))), [], [])
