"""The files in packaging/guest, held against each other and against what the guest says of them."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.guest.conversation import USERDATA, Version2Server
from tests.guest.line import Guest, Pty
from vmw_cloudinit_guest import defeats, paths
from vmw_cloudinit_guest.after_boot import REPORT_SECONDS
from vmw_cloudinit_guest.client import PROGRESS_SECONDS
from vmw_cloudinit_guest.config import LONGEST_TIMEOUT

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging/guest"
SCRIPTS = [
    *("vmw-cloudinit-guest", "clean.d/vmw-cloudinit-guest"),
    *("vmw-cloudinit-guest.openrc", "vmw-cloudinit-guest-report.openrc"),
]
PRIVATE = "/usr/share/vmw-cloudinit-guest"


def run(command: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def unit(name: str = paths.UNIT) -> dict[str, list[str]]:
    """Return a unit's settings, each with the values of all its lines."""
    lines = (PACKAGING / name).read_text().splitlines()
    values: dict[str, list[str]] = {}
    for key, value in (line.split("=", 1) for line in lines if line[:1] not in ("", "#", "[")):
        values.setdefault(key, []).append(value)
    return values


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_executable_and_one_that_sh_understands(script: str) -> None:
    path = PACKAGING / script
    assert os.access(str(path), os.X_OK)
    assert run(["sh", "-n", str(path)]).stdout == ""


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_nothing_to_say_of_a_script(script: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("there is no shellcheck")
    assert run(["shellcheck", "--shell=sh", str(PACKAGING / script)]).stdout == ""


def test_the_unit_runs_only_where_it_is_enabled_and_before_cloud_init() -> None:
    settings = unit()
    assert settings["DefaultDependencies"] == ["no"]
    assert settings["Before"] == ["cloud-init-local.service", "shutdown.target"]
    assert settings["ConditionPathExists"] == ["!/etc/cloud/cloud-init.disabled", paths.DROP_IN_LINK]
    assert settings["ConditionVirtualization"] == ["vm"]
    (mount,) = settings["RequiresMountsFor"]
    assert paths.SEED_DIRECTORY.startswith(f"{mount}/")
    assert settings["WantedBy"] == ["cloud-init.target"]


def test_the_report_s_unit_runs_under_the_same_conditions_after_cloud_init_and_holds_up_nothing() -> None:
    settings, first = unit(paths.REPORT_UNIT), unit()
    for key in ("ConditionPathExists", "ConditionVirtualization", "WantedBy"):
        assert settings[key] == first[key]
    assert settings["After"] == ["cloud-final.service"]
    assert "Before" not in settings
    # cloud-init.target comes after what it wants: a oneshot would make it, and the boot, wait for the answer.
    assert settings["Type"] == ["simple"]
    assert settings["ExecStart"] == ["/usr/bin/vmw-cloudinit-guest report --boot"]


def test_systemd_waits_longer_than_a_report_takes() -> None:
    (minutes,) = unit(paths.REPORT_UNIT)["RuntimeMaxSec"]
    assert minutes.endswith("min")
    assert int(minutes[:-3]) * 60 > 3 * REPORT_SECONDS


def test_systemd_waits_longer_than_any_time_that_can_be_configured() -> None:
    (minutes,) = unit()["TimeoutStartSec"]
    assert minutes.endswith("min")
    assert int(minutes[:-3]) * 60 > LONGEST_TIMEOUT + 3 * PROGRESS_SECONDS


def test_the_preset_enables_the_units_by_their_names() -> None:
    preset = (PACKAGING / "80-vmw-cloudinit-guest.preset").read_text()
    assert preset == f"enable {paths.UNIT}\nenable {paths.REPORT_UNIT}\n"


def test_the_drop_in_has_the_one_line_and_comments() -> None:
    lines = (PACKAGING / os.path.basename(paths.DROP_IN)).read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [defeats.DATASOURCE_LIST]


def test_the_openrc_service_has_the_unit_s_conditions_and_order() -> None:
    text = (PACKAGING / "vmw-cloudinit-guest.openrc").read_text()
    assert re.search(r"^    after localmount$", text, re.MULTILINE)
    assert re.search(r"^    before net cloud-init-ds-identify cloud-init-local$", text, re.MULTILINE)
    for value in unit()["ConditionPathExists"]:
        assert value.lstrip("!") in text
    assert unit()["ExecStart"][0] in text


def test_the_openrc_service_of_the_report_has_the_same_conditions_and_holds_up_nothing() -> None:
    text = (PACKAGING / "vmw-cloudinit-guest-report.openrc").read_text()
    assert re.search(r"^    after cloud-final$", text, re.MULTILINE)
    for value in unit(paths.REPORT_UNIT)["ConditionPathExists"]:
        assert value.lstrip("!") in text
    program, arguments = unit(paths.REPORT_UNIT)["ExecStart"][0].split(" ", 1)
    assert f"start-stop-daemon --start --background --exec {program} -- {arguments}\n" in text


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """The program as the packages install it, in other places."""
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("there is no /usr/bin/python3")
    private = tmp_path / "share"
    for package in ("vmw_cloudinit_guest", "vmw_cloudinit_wire"):
        shutil.copytree(str(ROOT / "guest" / package), str(private / package))
    wrapper = tmp_path / "wrapper"
    wrapper.write_text((PACKAGING / "vmw-cloudinit-guest").read_text().replace(PRIVATE, str(private)))
    return wrapper


def test_the_wrapper_runs_the_private_copy_whatever_the_environment_says(
    wrapper: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "argparse.py").write_text("raise SystemExit('imported from PYTHONPATH')")
    status = run(["sh", str(wrapper), "status", "--root", str(tmp_path)], PYTHONPATH=str(trap))
    assert status.returncode == 1
    assert status.stdout.startswith("next boot:   does not ask\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["fetch", "--port", "/dev/null", "--seed-dir", "/nowhere/seed"],
            6,
            r".*null is not a serial port.*\n",
        ),
        (["fetch", "--timeout", "soon"], 2, r".*not a number of seconds above 0; see .*--help'\n"),
        (["--version"], 0, r"vmw-cloudinit-guest \S+\n"),
        (["fetch", "--help"], 0, r"usage: (.*\n)+  128 \+ N .*(.*\n)+"),
    ],
)
def test_the_wrapper_says_all_there_is_to_say_and_ends_with_the_program_s_exit_code(
    wrapper: Path, arguments: list[str], code: int, said: str
) -> None:
    ended = run(["sh", str(wrapper), *arguments])
    assert ended.returncode == code
    assert re.fullmatch(said, ended.stdout)


def test_the_wrapper_fetches_over_a_tty(wrapper: Path, tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    with contextlib.closing(Pty()) as line:
        command = ["sh", str(wrapper)]
        with contextlib.closing(
            Guest(line, "--port", line.path, "--seed-dir", str(seed), command=command)
        ) as guest:
            guest.serve_version_2(Version2Server(), requests=3)
            ended = guest.end()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"seed for i-0042 written from .*\n", ended.stdout)
    assert (seed / "user-data").read_bytes() == USERDATA


def test_the_script_for_clean_is_silent_where_the_package_is_gone(tmp_path: Path) -> None:
    script = tmp_path / "script"
    text = (PACKAGING / "clean.d/vmw-cloudinit-guest").read_text()
    script.write_text(text.replace("/usr/bin/", f"{tmp_path}/"))
    assert "/usr/bin/vmw-cloudinit-guest seal" in text
    gone = run(["sh", str(script)])
    assert (gone.returncode, gone.stdout) == (0, "")
    (tmp_path / "vmw-cloudinit-guest").write_text('#!/bin/sh\necho "$@"\nexit 5\n')
    (tmp_path / "vmw-cloudinit-guest").chmod(0o755)
    there = run(["sh", str(script)])
    assert (there.returncode, there.stdout) == (5, "seal\n")
