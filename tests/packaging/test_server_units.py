"""The server's units and its sample configuration: they fit the program, each other, and systemd's checks."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from vmw_cloudinit_metadata.cli.config_file import file_options
from vmw_cloudinit_metadata.cli.main import cli
from vmw_cloudinit_metadata.cli.run import run

PACKAGING = Path(__file__).parents[2] / "packaging/server"
SAMPLE = PACKAGING / "config.toml"
SERVICE = PACKAGING / "vmw-cloudinit-metadata.service"
SOCKET = PACKAGING / "vmw-cloudinit-metadata.socket"

# Keys without a fixed default: the sample shows what they may look like.
EXAMPLES = {
    *("allow", "token", "token-file", "tls-cert", "tls-key"),
    *("state-directory", "max-connections", "max-connections-per-address"),
}
# The service cannot start without them, and they have no default.
SET = {"uri", "driver", "driver-opts"}


def uncommented() -> str:
    """The sample with every key that is commented out taken in. Other comments have a blank after the #."""
    return re.sub(r"^#(?=[a-z])", "", SAMPLE.read_text(), flags=re.MULTILINE)


def test_the_sample_holds_every_key_and_no_other() -> None:
    assert set(tomllib.loads(uncommented())) == set(file_options(run))


def test_the_sample_sets_what_has_no_default_and_nothing_else() -> None:
    assert set(tomllib.loads(SAMPLE.read_text())) == SET


def test_what_is_commented_out_in_the_sample_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(uncommented())
    whole, bare = (
        run.make_context("run", ["--config", str(path)], parent=click.Context(cli)).params
        for path in (tmp_path / "config.toml", SAMPLE)
    )
    names = {option.name for key, option in file_options(run).items() if key not in EXAMPLES | {"listen"}}
    assert {name: whole[name] for name in names} == {name: bare[name] for name in names}
    assert whole["listen"] == (("", 13370),)


def test_every_key_of_the_sample_has_a_comment_of_its_own() -> None:
    paragraphs = uncommented().split("\n\n")[1:]  # the first is about the file
    for paragraph in paragraphs:
        *comment, key = paragraph.strip().split("\n")
        assert comment
        assert all(line.startswith("# ") for line in comment), key
        assert not key.startswith("#")


def test_the_service_runs_with_the_sample_where_it_is_installed() -> None:
    (command,) = re.findall(r"^ExecStart=(.*)$", SERVICE.read_text(), re.MULTILINE)
    assert command == "/usr/bin/vmw-cloudinit-metadata run --config /etc/vmw-cloudinit-metadata/config.toml"


@pytest.mark.system
def test_systemd_finds_the_service_hardened() -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--json=short", "--no-pager", "--threshold=15"]
    done = subprocess.run([*command, str(SERVICE)], capture_output=True, text=True, check=False)
    findings = json.loads(done.stdout)
    weaknesses = {each["name"] or each["json_field"] for each in findings if each["set"] is False}
    # --threshold is ten times the exposure that is shown: 1.5.
    assert done.returncode == 0, weaknesses


@pytest.mark.system
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    # With a program that exists, and in one directory, so that the socket finds its service.
    for unit in (SERVICE, SOCKET):
        text = unit.read_text().replace("/usr/bin/vmw-cloudinit-metadata", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
