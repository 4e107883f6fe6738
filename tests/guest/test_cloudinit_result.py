import json
from pathlib import Path
from typing import Any, Dict, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest.machine import Machine
from vmw_cloudinit_guest import cloudinit_result
from vmw_cloudinit_guest.cloudinit_result import INSTANCE_ID, RESULT, STATUS, Result

DATASOURCE = "DataSourceNoCloud [seed=/var/lib/cloud/seed/nocloud][dsmode=net]"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def stage(start: Any = None, finished: Any = None, *errors: str, **more: Any) -> Dict[str, Any]:
    return dict({"start": start, "finished": finished, "errors": list(errors)}, **more)


# As cloud-init 22.4 writes it, which counts from the epoch.
STAGES: Dict[str, Any] = {
    "init-local": stage(1795402434.5487587, 1795402434.7156353),
    "init": stage(1795402435.0974119, 1795402435.4172623),
    "modules-init": stage(),
    "modules-config": stage(1795402436.0186632, 1795402436.069848),
    "modules-final": stage(1795402436.5105133, 1795402436.5499468),
    "stage": None,
    "datasource": DATASOURCE,
}


def left(machine: Machine, errors: Optional[Any] = (), **stages: Any) -> Result:
    """Leave what cloud-init does at the end of a boot, and read it; with None it has not come that far."""
    named = {name.replace("_", "-"): value for name, value in stages.items()}
    machine.write(STATUS, json.dumps({"v1": dict(STAGES, **named)}))
    if errors is not None:
        machine.write(RESULT, json.dumps({"v1": {"datasource": DATASOURCE, "errors": list(errors)}}))
    machine.write(INSTANCE_ID, "i-0042\n")
    return cloudinit_result.read(machine.root)


def test_a_boot_that_went_well(machine: Machine) -> None:
    result = left(machine)
    assert result == Result(
        "done",
        DATASOURCE,
        "i-0042",
        [],
        {"init-local": 0.167, "init": 0.32, "modules-config": 0.051, "modules-final": 0.039},
    )
    assert result.went_well


def test_stages_take_as_long_by_the_epoch_as_by_the_time_since_the_start(machine: Machine) -> None:
    # Since 24.2.
    assert left(machine, init=stage(4.25, 6.5)).stages["init"] == 2.25


@pytest.mark.parametrize(
    "times", [(1795402436.5, 1795402430.0), (10.0, 1795402430.0), (None, 1.0), ("1", 2.0), ([], 2.0)]
)
def test_a_stage_in_which_the_clock_was_set_or_that_has_no_times_takes_no_seconds(
    machine: Machine, times: Any
) -> None:
    assert "init" not in left(machine, init=stage(*times)).stages


# As found in result.json of cloud-init 22.4, on Python 3.11 and 3.6, with what it quotes.
QUOTING = [
    "('scripts_user', RuntimeError('Runparts: 1 failures (hunter2) in 1 attempted commands'))",
    "('chpasswd', ProcessExecutionError(\"Stdin: root:hunter2\\nExit code: 1\"))",
    "('runcmd', TypeError('Failed to shellify [hunter2]',))",
    "Unhandled non-multipart (text/x-not-multipart) userdata: 'hunter2...'",
    "('hunter2')",
]


def test_an_error_is_told_by_stage_module_and_type_and_nothing_that_it_quotes(machine: Machine) -> None:
    result = left(machine, errors=QUOTING, modules_final=stage(1.0, 2.0, *QUOTING))
    assert result.status == "error"
    assert result.errors == [
        "modules-final: scripts_user: RuntimeError",
        "modules-final: chpasswd: ProcessExecutionError",
        "modules-final: runcmd: TypeError",
        "modules-final: see cloud-init status --long in the VM",
        "modules-final: see cloud-init status --long in the VM",
    ]
    assert not result.went_well


def test_what_cloud_init_recovered_from_is_counted_and_no_error(machine: Machine) -> None:
    # 23.4 and later: `cloud-init status` calls it "degraded done".
    recovered = {"WARNING": ["failed: hunter2", "again"], "DEPRECATED": ["x"], "hunter2": ["x"], "ERROR": 1}
    result = left(machine, init=stage(1.0, 2.0, recoverable_errors=recovered))
    assert result.status == "degraded"
    assert result.went_well
    assert result.errors == ["init: 2 WARNING in cloud-init.log", "init: 1 DEPRECATED in cloud-init.log"]


def test_a_boot_that_has_not_come_to_its_end(machine: Machine) -> None:
    result = left(machine, errors=None)
    assert (result.status, result.went_well) == ("running", False)
    assert result.datasource == DATASOURCE


def test_errors_of_a_result_without_a_status_are_an_error(machine: Machine) -> None:
    machine.write(RESULT, json.dumps({"v1": {"datasource": None, "errors": ["hunter2"]}}))
    assert cloudinit_result.read(machine.root) == Result("error", "", "", [], {})


def test_a_boot_without_cloud_init(machine: Machine) -> None:
    assert cloudinit_result.read(machine.root) == Result("not run", "", "", [], {})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["v1", "init", "errors", "start", "finished", "recoverable_errors", "datasource"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(status=ANYTHING, result=ANYTHING)
def test_files_that_make_no_sense_tell_nothing_and_raise_nothing(
    tmp_path_factory: pytest.TempPathFactory, status: Any, result: Any
) -> None:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.write(STATUS, json.dumps(status))
    machine.write(RESULT, json.dumps(result))
    read = cloudinit_result.read(machine.root)
    assert read.status in ("not run", "running", "error", "done", "degraded")
    assert all(isinstance(error, str) for error in read.errors)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100000, '{"v1": []}', "\udcff"])
def test_a_broken_file_is_as_good_as_none(machine: Machine, content: str) -> None:
    machine.path(STATUS).parent.mkdir(parents=True)
    machine.path(STATUS).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert cloudinit_result.read(machine.root).status == "not run"
