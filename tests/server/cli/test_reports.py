import json
import os
from pathlib import Path

import click
import pytest

from tests.server.cli.commands import Commands, Done
from tests.server.state.kept import NOON, VC_UUID, kept, key
from vmw_cloudinit_metadata.cli.main import cli
from vmw_cloudinit_metadata.cli.reports import reports
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.known_hosts import fingerprints
from vmw_cloudinit_metadata.state.reports import KeptReport, Reports

WHEN = f"{NOON.astimezone():%Y-%m-%d %H:%M:%S}"


class Site:
    """A state directory with reports, and the command that prints them."""

    def __init__(self, path: Path, command: Commands) -> None:
        self.path = path
        self._command = command

    def keep(self, *these: KeptReport) -> None:
        for each in these:
            Reports(StateDirectory(self.path)).keep(each)

    def print(self, *arguments: str) -> Done:
        return self._command("reports", *arguments, "--state-directory", str(self.path))


@pytest.fixture
def site(tmp_path: Path, command: Commands) -> Site:
    return Site(tmp_path, command)


def test_without_a_vm_the_last_report_of_each_is_a_line(site: Site) -> None:
    site.keep(
        kept("web-01", "seed", seconds=0.4),
        kept("web-01", instance_id="i-0042", status="done"),
        kept("db", "seed", instance_id="i-1", seconds=12, retries=3),
    )
    assert site.print() == (
        0,
        "VM      INSTANCE  RECEIVED             STAGE  RESULT\n"
        f"db      i-1       {WHEN}  seed   seed ready in 12 s, 3 retries\n"
        f"web-01  i-0042    {WHEN}  final  cloud-init done\n",
        "",
    )


def test_with_a_vm_all_that_is_kept_of_it_is_told_in_detail(site: Site) -> None:
    site.keep(
        kept("web-01", "seed", documents={"meta-data": "0123456789abcdef", "vendor-data": "-"}),
        kept(
            "web-01",
            instance_id="i-0042",
            version="0.1.0",
            hostname="web-01",
            datasource="DataSourceNoCloud",
            status="error",
            errors=["first", "second"],
            stages={"init-local": 0.5, "modules-final": 12},
            host_keys=[key()],
        ),
        kept("web-02"),
    )
    done = site.print("web-01")
    (fingerprint,) = fingerprints(kept(host_keys=[key()]))
    assert (done.exit_code, done.error) == (0, "")
    assert done.output == (
        f"{WHEN}  seed  web-01, boot b0\n"
        "    result      seed ready\n"
        "    documents   meta-data 0123456789abcdef, vendor-data -\n"
        f"{WHEN}  final  web-01, boot b0\n"
        "    instance    i-0042\n"
        "    result      cloud-init error, 2 errors\n"
        "    errors      first\n"
        "                second\n"
        "    host name   web-01\n"
        "    datasource  DataSourceNoCloud\n"
        "    stages      init-local 0.5 s, modules-final 12 s\n"
        f"    host keys   {fingerprint}\n"
        "    guest       vmw-cloudinit-guest 0.1.0\n"
    )


def test_a_vm_is_found_by_its_name_or_by_that_of_its_definition(site: Site) -> None:
    site.keep(kept("vm-7", definition="web", host_keys=[key()]), kept("web-01"))
    told = f"{WHEN}  final  vm-7, boot b0\n    definition  web\n    result      cloud-init ended\n"
    assert site.print("vm-7").output.startswith(told)
    assert site.print("web").output.startswith(told)
    assert site.print("vm-7", "--format", "known-hosts").output == f"web,web-01.example.org {key()}\n"


@pytest.mark.parametrize(
    ("report", "result"),
    [
        (kept(), "cloud-init ended"),
        (kept(status="degraded done"), "cloud-init degraded done"),
        (kept(status="error", errors=["x"]), "cloud-init error, 1 error"),
        (kept(stage="seed"), "seed ready"),
        (kept(stage="seed", seconds=0.125, retries=0), "seed ready in 0.125 s"),
        (kept(stage="seed", seconds=9, retries=1), "seed ready in 9 s, 1 retry"),
    ],
)
def test_the_result_says_how_it_went(report: KeptReport, result: str, site: Site) -> None:
    site.keep(report)
    assert site.print().output.endswith(f"  {result}\n")


def test_a_name_that_would_play_tricks_on_a_terminal_is_escaped(site: Site) -> None:
    site.keep(kept("web\x1b[2J\n01", status="done"))
    for done in (site.print(), site.print("web\x1b[2J\n01"), site.print("--format", "json")):
        assert done.exit_code == 0
        assert "\x1b" not in done.output
    assert "'web\\x1b[2J\\n01'" in site.print().output


def test_json_is_an_array_of_everything(site: Site) -> None:
    site.keep(kept("web-01", "seed"), kept("web-01", status="done", hostname="web-01"), kept("db-01"))
    done = site.print("--format", "json")
    printed = json.loads(done.output)
    assert [(each["vm"], each["report"]["stage"]) for each in printed] == [
        ("db-01", "final"),
        ("web-01", "seed"),
        ("web-01", "final"),
    ]
    assert printed[2] == {
        "vm": "web-01",
        "definition": "web-01",
        "vc-uuid": str(VC_UUID),
        "bios-uuid": None,
        "hostname": "web-01.example.org",
        "received": "2026-12-01T12:00:00+00:00",
        "claimed": False,
        "report": {"stage": "final", "boot-id": "b0", "status": "done", "hostname": "web-01"},
    }
    of_one = json.loads(site.print("db-01", "--format", "json").output)
    assert [each["vm"] for each in of_one] == ["db-01"]


def test_known_hosts_are_lines_for_ssh(site: Site) -> None:
    site.keep(kept("web-01", host_keys=[key()]), kept("db", defined="", host_keys=[key()]), kept("no-keys"))
    assert site.print("--format", "known-hosts") == (
        0,
        f"db {key()}\nweb-01,web-01.example.org {key()}\n",
        "",
    )
    assert site.print("db", "--format", "known-hosts").output == f"db {key()}\n"


def test_where_nobody_has_reported_there_is_nothing_to_print(site: Site) -> None:
    assert site.print() == (0, "", f"no VM has reported yet, as far as {site.path} knows\n")
    assert site.print("--format", "known-hosts") == (0, "", "")
    assert site.print("--format", "json") == (0, "[]\n", "")


def test_a_vm_that_has_not_reported_is_one_sentence(site: Site) -> None:
    done = site.print("web-01")
    assert (done.exit_code, done.output, done.error.count("\n")) == (1, "", 1)
    assert f": there is no report of the VM web-01 in {site.path}; 'vmw-cloudinit-metadata" in done.error


def test_a_directory_that_is_not_there_is_one_sentence(site: Site) -> None:
    site.path /= "gone"
    done = site.print()
    assert (done.exit_code, done.output) == (2, "")
    assert done.error.startswith("vmw-cloudinit-metadata: there is no state directory ")


def test_who_may_not_look_into_it_is_told_who_may(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.R_OK)
    done = site.print()
    assert (done.exit_code, done.output) == (2, "")
    assert done.error.endswith(f"{site.path} cannot be read by this user: be root, or the server's user\n")


def test_what_is_damaged_is_said_and_the_rest_is_printed(site: Site) -> None:
    site.keep(kept("a"), kept("b"))
    file = site.path / "reports" / "a.json"
    file.write_text("")
    sentence = f"vmw-cloudinit-metadata: {file} is damaged\n"
    done = site.print("--format", "json")
    assert (done.exit_code, done.error) == (1, sentence)
    assert [each["vm"] for each in json.loads(done.output)] == ["b"]
    assert site.print("a") == (1, "", sentence)


# Which directory


def test_the_directory_is_that_of_the_server_s_configuration(
    site: Site, command: Commands, tmp_path: Path
) -> None:
    site.keep(kept("web-01"))
    config = tmp_path / "config.toml"
    config.write_text(f'uri = "u"\nno-such-key = 1\nstate-directory = "{tmp_path}"\n')
    assert "web-01" in command("reports", "--config", str(config)).output
    assert command("reports", "--config", str(config), "--state-directory", "/gone").exit_code == 2


def test_the_directory_may_stand_in_the_environment(
    site: Site, command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.keep(kept("web-01"))
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_STATE_DIRECTORY", str(site.path))
    assert "web-01" in command("reports").output


def test_by_default_it_is_the_service_s() -> None:
    context = reports.make_context("reports", [], parent=click.Context(cli))
    assert context.params["state_directory"].path == Path("/var/lib/vmw-cloudinit-metadata")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("state-directory = 1", 'state-directory: must be a string: "…"'),
        ("[", "not TOML"),
    ],
)
def test_a_fault_of_the_configuration_is_one_sentence(
    text: str, sentence: str, command: Commands, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(text)
    done = command("reports", "--config", str(tmp_path / "config.toml"))
    assert (done.exit_code, done.error.count("\n")) == (2, 1)
    assert sentence in done.error


def test_a_configuration_that_says_nothing_of_it_leaves_the_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('uri = "u"')
    arguments = ["--config", str(tmp_path / "config.toml")]
    context = reports.make_context("reports", arguments, parent=click.Context(cli))
    assert context.params["state_directory"].path == Path("/var/lib/vmw-cloudinit-metadata")


def test_a_shell_completes_the_vms_that_have_reported(site: Site) -> None:
    site.keep(kept("web-01"), kept("vm-7", definition="web-02"), kept("db-01"))
    assert completed(site.path, "web") == ["web-01", "web-02"]
    assert completed(site.path, "vm") == ["vm-7"]
    assert completed(site.path / "gone", "") == []


def completed(directory: Path, incomplete: str) -> list[str]:
    context = reports.make_context(
        "reports", ["--state-directory", str(directory)], parent=click.Context(cli), resilient_parsing=True
    )
    (argument,) = (each for each in reports.params if isinstance(each, click.Argument))
    return [item.value for item in argument.shell_complete(context, incomplete)]
