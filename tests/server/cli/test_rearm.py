from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from tests.server.cli.commands import Commands
from vmw_cloudinit_metadata.cli.main import cli
from vmw_cloudinit_metadata.cli.rearm import rearm
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.windows import Windows

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def ask(directory: Path, run: str, *, source: str = "web-01", vm_name: str = "web-01") -> bool:
    """Whether a run is served that asks for the only one there is."""
    instance = InstanceData({"metadata": {"instance-id": "i-1", "hostname": "h"}})
    instance.serve, instance.source = ServingWindow(runs=1), source
    return Windows(StateDirectory(directory), lambda: NOON).admit(instance, vm_name, run) is None


@pytest.mark.parametrize("name", ["web-01", "the-vm"])
def test_a_window_is_re_armed_by_the_name_of_the_vm_or_the_definition(
    name: str, command: Commands, tmp_path: Path
) -> None:
    assert [ask(tmp_path, run, vm_name="the-vm") for run in "ab"] == [True, False]
    done = command("rearm", name, "--state-directory", str(tmp_path))
    when = f"{NOON.astimezone():%Y-%m-%d %H:%M:%S}"
    assert done == (0, f"web-01 is re-armed; 1 run was counted, the last one at {when}\n", "")
    assert [ask(tmp_path, run) for run in "cd"] == [True, False]


def test_it_may_be_re_armed_before_it_is_used(command: Commands, tmp_path: Path) -> None:
    ask(tmp_path, "a")
    for output in ("1 run was counted, the last one at ", "no run was counted"):
        done = command("rearm", "web-01", "--state-directory", str(tmp_path))
        assert done.output.startswith(f"web-01 is re-armed; {output}")


def test_a_damaged_window_is_made_anew(command: Commands, tmp_path: Path) -> None:
    ask(tmp_path, "a")
    (tmp_path / "windows" / "web-01.json").write_text("{")
    done = command("rearm", "web-01", "--state-directory", str(tmp_path))
    assert done == (0, "web-01 is re-armed; its record was damaged\n", "")
    assert ask(tmp_path, "b")


def test_a_name_without_a_window_is_one_sentence(command: Commands, tmp_path: Path) -> None:
    done = command("rearm", "web\n01", "--state-directory", str(tmp_path))
    sentence = "no window of 'web\\n01': no VM or definition of that name was served in one yet"
    assert done == (1, "", f"vmw-cloudinit-metadata: {tmp_path}/windows has {sentence}\n")


def test_a_directory_that_is_not_there_is_one_sentence(command: Commands, tmp_path: Path) -> None:
    done = command("rearm", "web-01", "--state-directory", str(tmp_path / "gone"))
    sentence = f"there is no state directory {tmp_path}/gone: name the server's with --state-directory DIR"
    assert done == (2, "", f"vmw-cloudinit-metadata: {sentence}\n")
    assert not (tmp_path / "gone").exists()


def test_a_vm_is_needed(command: Commands) -> None:
    done = command("rearm")
    assert done.exit_code == 2
    assert "Missing argument 'VM'" in done.error


def test_a_shell_completes_the_names_that_can_be_re_armed(tmp_path: Path) -> None:
    ask(tmp_path, "a", source="web-01", vm_name="büro")
    ask(tmp_path, "a", source="db-01", vm_name="db-01")
    assert completed(tmp_path, "") == ["büro", "db-01", "web-01"]
    assert completed(tmp_path, "we") == ["web-01"]
    assert completed(tmp_path / "gone", "") == []


def completed(directory: Path, incomplete: str) -> list[str]:
    context = rearm.make_context(
        "rearm", ["--state-directory", str(directory)], parent=click.Context(cli), resilient_parsing=True
    )
    (argument,) = (each for each in rearm.params if isinstance(each, click.Argument))
    return [item.value for item in argument.shell_complete(context, incomplete)]
