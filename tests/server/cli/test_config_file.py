"""Where a setting may stand, and what wins; `run` as far as its parameters, without running it."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support import command
from vmw_cloudinit_metadata.cli.config_file import file_options
from vmw_cloudinit_metadata.cli.main import cli
from vmw_cloudinit_metadata.cli.run import run
from vmw_cloudinit_metadata.errors import ConfigurationError

NEEDED = 'uri = "u"\ndriver = "file"\n'
FLAGS = ["--uri", "u", "--driver", "file"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def parameters(*arguments: str) -> dict[str, Any]:
    """What the arguments, the environment and the file make of the options."""
    return run.make_context("run", list(arguments), parent=click.Context(cli)).params


# Precedence: flag, environment, file, default

# An option, its value in each place as a text, in the file as TOML, and what becomes of default and texts.
SETTINGS = [
    ("uri", "flag", "environment", '"file"', [None, "flag", "environment", "file"]),
    ("log-level", "debug", "warning", '"error"', ["info", "debug", "warning", "error"]),
    ("max-line", "2001", "2002", "2003", [65536, 2001, 2002, 2003]),
    ("max-connections", "1", "2", "3", [None, 1, 2, 3]),
    ("stop-timeout", "1", "2.5", "3", [5.0, 1.0, 2.5, 3.0]),
    ("listen", "a:1", "b:1 [::1]:2", '["c:1"]', [(), (("a", 1),), (("b", 1), ("::1", 2)), (("c", 1),)]),
    (
        *("allow", "192.0.2.1", "192.0.2.2 ::1", '["192.0.2.3"]'),
        [(), *(tuple(map(ip_network, each.split())) for each in ("192.0.2.1", "192.0.2.2 ::1", "192.0.2.3"))],
    ),
    ("driver-opts", '{"a": 1}', '{"a": 2}', "{ a = 3 }", [{}, {"a": 1}, {"a": 2}, {"a": 3}]),
]


@pytest.mark.parametrize(
    ("key", "flag", "variable", "toml", "values"), SETTINGS, ids=[setting[0] for setting in SETTINGS]
)
def test_a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default(
    key: str,
    flag: str,
    variable: str,
    toml: str,
    values: list[Any],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, variable_name = key.replace("-", "_"), "VMW_CLOUDINIT_METADATA_" + key.replace("-", "_").upper()
    default, from_flag, from_environment, from_file = values
    needed = [f"--{each}=x" for each in ("uri", "driver") if each != key]
    file.write_text(f"{key} = {toml}\n")
    if default is not None:
        assert parameters(*needed)[name] == default
    assert parameters(*needed, "--config", str(file))[name] == from_file
    assert parameters(*needed, f"--{key}", flag, "--config", str(file))[name] == from_flag
    monkeypatch.setenv(variable_name, variable)
    assert parameters(*needed)[name] == from_environment
    assert parameters(*needed, "--config", str(file))[name] == from_environment
    assert parameters(*needed, f"--{key}", flag)[name] == from_flag
    assert parameters(*needed, f"--{key}", flag, "--config", str(file))[name] == from_flag


def test_every_option_may_stand_in_the_file() -> None:
    options = {option.opts[0] for option in run.params} - {"--config", "--help"}
    assert options == {f"--{key}" for key in file_options(run)}


def test_the_file_itself_may_be_named_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(NEEDED)
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_CONFIG", str(file))
    assert parameters()["uri"] == "u"


def test_the_order_of_flags_does_not_matter(file: Path) -> None:
    file.write_text("max-line = 2000\n")
    assert parameters("--max-line", "3000", *FLAGS, "--config", str(file))["max_line"] == 3000


def test_without_a_file_none_is_looked_for() -> None:
    assert parameters(*FLAGS)["max_line"] == 65536


def test_driver_options_are_a_table_however_it_is_written(file: Path) -> None:
    for text in (
        'driver-opts = { directory = "/srv" }',
        'driver-opts.directory = "/srv"',
        '[driver-opts]\ndirectory = "/srv"',
    ):
        file.write_text(NEEDED + text)
        assert parameters("--config", str(file))["driver_opts"] == {"directory": "/srv"}


# Faults


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max-lines = 1", "max-lines: there is no such key; the keys are uri, driver, "),
        ("max_line = 2000", "max_line: there is no such key"),
        ('config = "other.toml"', "config: there is no such key"),
        ("help = true", "help: there is no such key"),
        ("uri = 5", 'uri: must be a string: "…"'),
        ('driver = ["file"]', "driver: must be a string"),
        ("log-level = 1", "log-level: must be a string"),
        ('listen = ":13370"', "listen: must be a list of strings"),
        ("listen = [13370]", "listen: must be a list of strings"),
        ('max-line = "2000"', "max-line: must be a whole number"),
        ("max-line = 2000.0", "max-line: must be a whole number"),
        ("max-connections = true", "max-connections: must be a whole number"),
        ('stop-timeout = "5"', "stop-timeout: must be a number"),
        ("stop-timeout = false", "stop-timeout: must be a number"),
        ("""driver-opts = '{"directory": "/srv"}'""", "driver-opts: must be a table"),
        ("max-line = 5", "max-line: 5 is not in the range x>=1024"),
        ("max-connections = 0", "max-connections: 0 is not in the range x>=1"),
        ("stop-timeout = inf", "stop-timeout: inf is not in the range"),
        ("stop-timeout = nan", "stop-timeout: nan is not a number of seconds"),
        ('log-level = "loud"', "log-level: 'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        ('listen = ["host:port"]', "listen: 'host:port' is not HOST:PORT"),
        ('allow = "192.0.2.0/24"', "allow: must be a list of strings"),
        ('allow = ["esx-01"]', "allow: 'esx-01' is not a network such as 192.0.2.0/24 or 2001:db8::/32"),
        ("token = 12345678", "token: must be a string"),
        ('token = "hunter2"', "token: it is not 8 to 128 characters long"),
        ("uri = u", "not TOML: Invalid value (at line 1, column 7)"),
        ("uri =", "not TOML: "),
        ('uri = "u"\nuri = "v"', "not TOML: "),
        ("a = " + "[" * 5000, "not TOML: nested too deeply"),
    ],
    ids=lambda text: text[:30],
)
def test_a_fault_is_one_sentence_with_file_and_key(text: str, sentence: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        parameters(*FLAGS, "--config", str(file))
    message = str(raised.value)
    assert message.startswith(f"{file}: {sentence}")
    assert "\n" not in message
    assert not message.endswith(".")


def test_a_file_that_is_not_utf_8_is_one_sentence(file: Path) -> None:
    file.write_bytes(b'uri = "\xff"')
    with pytest.raises(ConfigurationError, match=r"config\.toml: not UTF-8, as TOML is$"):
        parameters("--config", str(file))


def test_a_file_that_cannot_be_read_is_one_sentence(file: Path) -> None:
    for path, reason in ((file, "No such file or directory"), (file.parent, "Is a directory")):
        with pytest.raises(ConfigurationError, match=f"^cannot read {path}: {reason}$"):
            parameters("--config", str(path))


def test_a_fault_of_the_file_counts_even_if_a_flag_wins(file: Path) -> None:
    file.write_text("max-line = 5\n")
    with pytest.raises(ConfigurationError, match="max-line: 5 is not in the range"):
        parameters(*FLAGS, "--max-line", "3000", "--config", str(file))


@pytest.mark.parametrize("text", ['driver-opts = "hunter2"', '[driver-opts]\npassword = "hunter2'])
def test_a_fault_does_not_quote_the_drivers_options(text: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        parameters("--config", str(file))
    assert "hunter2" not in str(raised.value)


def test_a_program_says_it_and_exits_with_2(file: Path) -> None:
    file.write_text("max-lines = 1\n")
    done = command.server("run", "--config", str(file))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"vmw-cloudinit-metadata: {file}: max-lines: there is no such key")


def test_what_stands_nowhere_is_missing(file: Path) -> None:
    file.write_text('uri = "u"\n')
    with pytest.raises(click.MissingParameter) as raised:
        parameters("--config", str(file))
    assert "--driver" in raised.value.format_message()


def test_faults_of_flags_and_variables_do_not_quote_the_drivers_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(click.BadParameter) as raised:
        parameters(*FLAGS, "--driver-opts", '{"password": "hunter2"')
    assert "hunter2" not in raised.value.format_message()
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_DRIVER_OPTS", json.dumps("hunter2"))
    with pytest.raises(click.BadParameter) as raised:
        parameters(*FLAGS)
    assert "hunter2" not in raised.value.format_message()


TOKEN = "correct-horse"


def test_a_token_may_stand_in_the_environment_and_in_the_file_and_not_on_the_command_line(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(f'token = "{TOKEN}-file"\n')
    assert parameters(*FLAGS)["token"] is None
    assert parameters(*FLAGS, "--config", str(file))["token"] == f"{TOKEN}-file"
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_TOKEN", TOKEN)
    assert parameters(*FLAGS, "--config", str(file))["token"] == TOKEN
    with pytest.raises(click.BadParameter) as raised:
        parameters(*FLAGS, "--token", TOKEN)
    assert raised.value.format_message() == (
        "Invalid value for '--token': every user of a machine can read its command lines; use --token-file."
    )


@pytest.mark.parametrize("token", ["hunter2", "hunter2&hunter2"])
def test_a_fault_of_a_token_does_not_quote_it(
    token: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(f'token = "{token}"\n')
    with pytest.raises(ConfigurationError) as from_file:
        parameters(*FLAGS, "--config", str(file))
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_TOKEN", token)
    with pytest.raises(click.BadParameter) as from_environment:
        parameters(*FLAGS)
    assert "hunter2" not in str(from_file.value) + from_environment.value.format_message()
