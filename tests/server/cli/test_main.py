import os
import subprocess
import sys

import click
import pytest

import vmw_cloudinit_metadata
from tests.support import command
from vmw_cloudinit_metadata.cli import main as cli_main
from vmw_cloudinit_metadata.errors import ListenError

COMMANDS = [
    *("run", "vsphere", "init", "validate", "show", "schema", "import"),
    *("reports", "rearm", "simulate", "demo"),
]


def test_the_version_is_told() -> None:
    result = command.server("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert vmw_cloudinit_metadata.__version__ in result.stdout


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = command.server("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout
    assert "Exit codes" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str) -> None:
    result = command.server(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: vmw-cloudinit-metadata {name}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["run", "extra"],
        ["run", "--uri", "", "--driver", "file"],
        ["run", "--uri", "u", "--driver", "file", "--listen", "13370"],
        ["run"],
        ["run", "--uri", "u"],
        ["run", "--no-such-option"],
        ["run", "--uri", "u", "--driver", "file", "--max-line", "many"],
        ["run", "--uri", "u", "--driver", "file", "--driver-opts", "{"],
        ["run", "--uri", "u", "--driver", "file", "--listen", "host:port"],
        ["run", "--uri", "u", "--driver", "file"],
        ["run", "--uri", "u", "--driver", "no.such.module:Class"],
        ["run", "--uri", "u", "--driver", "json:NoSuchClass"],
        ["run", "--uri", "u", "--driver", "json:JSONDecoder"],
        ["run", "--uri", "u", "--driver", "nosuchdriver"],
        ["validate"],
        ["validate", "/no/such/directory"],
        ["validate", "--driver", "json:JSONDecoder", "."],
        ["validate", "--format", "xml", "."],
        ["validate", "--line-seconds", "nan", "."],
        ["reports", "--format", "xml"],
        ["rearm"],
        ["simulate"],
        ["demo", "/no/such/directory"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_wrong_usage_is_one_line_on_standard_error_and_exit_code_2(arguments: list[str]) -> None:
    result = command.server(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("vmw-cloudinit-metadata")


def test_an_error_becomes_its_exit_code_in_one_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise ListenError("cannot listen on 192.0.2.1 port 1: because")

    monkeypatch.setattr(cli_main, "cli", fails)
    monkeypatch.setattr(sys, "argv", ["vmw-cloudinit-metadata"])
    with pytest.raises(SystemExit) as caught:
        cli_main.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "vmw-cloudinit-metadata: cannot listen on 192.0.2.1 port 1: because\n"


def test_an_error_nobody_foresaw_is_one_line_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise KeyError("hunter2")

    monkeypatch.setattr(cli_main, "cli", fails)
    monkeypatch.setattr(sys, "argv", ["vmw-cloudinit-metadata"])
    with pytest.raises(SystemExit) as caught:
        cli_main.main()
    error = capsys.readouterr().err
    assert caught.value.code == 70
    assert "KeyError in " in error
    assert "hunter2" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_drivers(shell: str) -> None:
    variable = "_VMW_CLOUDINIT_METADATA_COMPLETE"
    program = os.path.join(os.path.dirname(sys.executable), "vmw-cloudinit-metadata")

    def complete(**environment: str) -> str:
        return subprocess.run(
            [program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        ).stdout

    if shell != "bash":  # click asks the installed bash for its version
        assert variable in complete(**{variable: f"{shell}_source"})
    words = {"bash": "vmw-cloudinit-metadata run --driver f", "zsh": "vmw-cloudinit-metadata run --driver f"}
    if shell in words:
        given = {"COMP_WORDS": words[shell], "COMP_CWORD": "3", variable: f"{shell}_complete"}
        assert "file" in complete(**given)
