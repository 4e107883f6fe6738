import io
import json
import stat
import sys
from pathlib import Path

import pytest

from tests.server.cli.commands import Commands, Done
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.instance import InstanceData

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGUga2V5OyBpdCBvcGVucyBubyBtYWNoaW5l operator@example.org"


class Terminal(io.StringIO):
    """A person who has typed all answers beforehand."""

    def isatty(self) -> bool:
        return True


class Site:
    """A directory of definitions, and the command."""

    def __init__(self, path: Path, command: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path / "instances"
        self.path.mkdir()
        self._command = command
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("HOME", str(path))

    def init(self, *arguments: str | Path, vm: str = "web-01") -> Done:
        return self._command("init", vm, "--directory", str(self.path), *map(str, arguments))

    def answer(self, *lines: str) -> None:
        self._monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))

    def instance(self, name: str = "web-01.yaml") -> InstanceData:
        return parse_definition((self.path / name).read_bytes(), name)

    def meta_data(self, name: str = "web-01.yaml") -> dict[str, object]:
        document: dict[str, object] = json.loads(nocloud.render_meta_data(self.instance(name)))
        return document


@pytest.fixture
def site(tmp_path: Path, command: Commands, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, command, monkeypatch)


def test_away_from_a_terminal_nothing_is_asked(site: Site) -> None:
    assert site.init() == (0, f"{site.path}/web-01.yaml is written\n", "")
    assert site.meta_data() == {"hostname": "web-01", "local-hostname": "web-01"}
    assert stat.S_IMODE((site.path / "web-01.yaml").stat().st_mode) == 0o600


def test_what_is_given_is_in_it(site: Site, tmp_path: Path) -> None:
    script, keys = tmp_path / "script", tmp_path / "keys"
    script.write_text("#!/bin/sh\n")
    keys.write_text(f"# mine\n{KEY}\n\n  {KEY} 2\n")
    done = site.init(
        *("--hostname", "web-01.example.org", "--instance-id", "i-0042"),
        *("--ssh-key", KEY, "--ssh-key", keys),
        *("--address", "192.0.2.10/24", "--address", "2001:db8::10/64", "--gateway", "192.0.2.1"),
        *("--nameserver", "192.0.2.53", "--nameserver", "192.0.2.54", "--search", "example.org"),
        *("--mac", "00:50:56:01:02:03", "--interface", "lan0", "--userdata", script),
        *("--vc-uuid", "5012ab34-cd56-4e78-9012-3456789abcde"),
    )
    assert done == (0, f"{site.path}/web-01.yaml is written\n", "")
    assert site.meta_data() == {
        "instance-id": "i-0042",
        "public-keys": [KEY, KEY, f"{KEY} 2"],
        "hostname": "web-01.example.org",
        "local-hostname": "web-01.example.org",
    }
    documents = nocloud.render(site.instance())
    assert documents.user_data == b"#!/bin/sh\n"
    assert b"192.0.2.54" in (documents.network_config or b"")
    match = site.instance().match
    assert str(match and match.vc_uuid) == "5012ab34-cd56-4e78-9012-3456789abcde"


def test_on_a_terminal_it_is_asked_for(site: Site) -> None:
    site.answer(
        "web-01.example.org", KEY, "192.0.2.10/24", "192.0.2.1", "192.0.2.53, 192.0.2.54", "example.org"
    )
    done = site.init()
    assert (done.exit_code, done.output) == (0, f"{site.path}/web-01.yaml is written\n")
    assert site.meta_data()["hostname"] == "web-01.example.org"
    assert b"192.0.2.54" in (nocloud.render_network_config(site.instance()) or b"")


def test_who_only_says_yes_gets_the_usual(site: Site, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa.pub").write_text("ssh-rsa BBBB\n")
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"{KEY}\n")
    site.answer("", "", "")
    assert site.init(vm="Web-01").exit_code == 0
    assert site.meta_data("Web-01.yaml") == {
        "public-keys": [KEY],
        "hostname": "web-01",
        "local-hostname": "web-01",
    }


def test_what_is_wrong_is_told_and_asked_for_again(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "id"
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n")
    site.answer(
        "web 01", "web-01", str(secret), "", "192.0.2.300/24", "192.0.2.10/24", "?", "192.0.2.1", "", ""
    )
    done = site.init()
    assert done.exit_code == 0
    told = [line for line in done.error.splitlines() if ": " in line]
    assert any("metadata.hostname: 'web 01' is not a host name" in line for line in told)
    assert any("is a private key, which stays where it is; give the .pub" in line for line in told)
    assert any("network.address: " in line for line in told)
    assert any("network.gateway: " in line for line in told)
    assert "hunter2" not in done.error
    assert b'"192.0.2.1"' in (nocloud.render_network_config(site.instance()) or b"")


def test_what_is_given_is_not_asked_for(site: Site) -> None:
    site.answer("web-01")
    assert site.init("--ssh-key", KEY, "--dhcp").exit_code == 0
    site.answer()
    assert site.init("--yes", vm="web-02").exit_code == 0


def test_a_name_that_is_no_host_name_is_not_offered_as_one(site: Site) -> None:
    site.answer("", "ok", "", "")  # and is asked for until it is there
    assert site.init(vm="Büro 1").exit_code == 0
    assert site.meta_data("Büro 1.yaml")["hostname"] == "ok"
    for vm in ("Büro 2", "büro/2", "web_2"):
        done = site.init("--yes", vm=vm)
        assert (done.exit_code, done.output) == (2, "")
        assert f"{vm} is no host name; give one with --hostname NAME" in done.error


def test_no_file_is_overwritten_but_with_force(site: Site) -> None:
    (site.path / "web-01.yaml").write_text("mine")
    site.answer()  # before anything is asked
    done = site.init()
    assert (done.exit_code, done.error) == (
        1,
        f"vmw-cloudinit-metadata: {site.path}/web-01.yaml exists already; --force replaces it\n",
    )
    assert (site.path / "web-01.yaml").read_text() == "mine"
    assert site.init("--force", "--yes").exit_code == 0
    assert site.meta_data()["hostname"] == "web-01"


def test_what_could_not_be_served_is_not_written_and_told_before_anything_is_asked(site: Site) -> None:
    for answers in (False, True):
        if answers:
            site.answer()
        done = site.init("--address", "192.0.2.300/24", "--vc-uuid", "5012")
        assert (done.exit_code, done.output) == (1, "")
        told = done.error.splitlines()
        assert told[0] == "vmw-cloudinit-metadata: nothing is written, for it could not be served:"
        assert any(line.startswith("network.address: ") for line in told)
        assert any(line.startswith("match.vc-uuid: '5012' is not a UUID") for line in told)
        assert list(site.path.iterdir()) == []


def test_a_key_file_must_hold_public_keys(site: Site, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("# nothing\n")
    assert "empty has no key in it" in site.init("--ssh-key", empty).error
    empty.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n")
    done = site.init("--ssh-key", empty)
    assert (done.exit_code, "hunter2" in done.error) == (2, False)


def test_what_is_neither_a_key_nor_a_file_is_not_written(site: Site, tmp_path: Path) -> None:
    done = site.init("--ssh-key", "~/.ssh/id_ed25519.pub")
    assert done.exit_code == 2
    assert "there is no file ~/.ssh/id_ed25519.pub, nor is that a key such as " in done.error
    assert "the key ends in its middle" in site.init("--ssh-key", KEY[:60] + " comment").error
    (tmp_path / "cut").write_text(f"{KEY}\n{KEY[:60]}\n")
    assert "a key in" in (error := site.init("--ssh-key", tmp_path / "cut").error)
    assert "ends in its middle: it was cut" in error
    assert list(site.path.iterdir()) == []
    site.answer("", "notakey", KEY, "")
    assert "there is no file notakey" in site.init().error
    assert site.meta_data()["public-keys"] == [KEY]


def test_a_person_may_stop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.answer("web-01")  # and then the end of the file
    assert site.init().exit_code == 130
    assert list(site.path.iterdir()) == []


def test_what_defaults_of_the_directory_add_is_told(site: Site) -> None:
    (site.path / "_defaults.yaml").write_text("vendordata: '#!/bin/sh'\n")
    done = site.init()
    assert (done.exit_code, done.output) == (0, f"{site.path}/web-01.yaml is written\n")
    assert done.error == (
        "defaults of the directory add to it: 'vmw-cloudinit-metadata show web-01 --explain' tells which\n"
    )


def test_what_keeps_it_from_being_served_there_is_told(site: Site) -> None:
    (site.path / "rack").mkdir()
    (site.path / "rack" / "web-01.yaml").write_text("metadata: {hostname: a}\n")
    done = site.init()
    assert (done.exit_code, done.output) == (1, f"{site.path}/web-01.yaml is written\n")
    assert f"{site.path}/rack/web-01.yaml" in done.error
    assert "what else is there keeps it from being served" in done.error


def test_defaults_come_from_the_server_s_directory_on(site: Site, command: Commands, tmp_path: Path) -> None:
    (site.path / "_defaults.yaml").write_text("network: {address: 192.0.2.300}\n")
    (site.path / "rack").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'driver-opts.directory = "{site.path}"\n')
    done = command("init", "web-01", "--directory", str(site.path / "rack"), "--config", str(config))
    assert (done.exit_code, done.output) == (1, f"{site.path}/rack/web-01.yaml is written\n")
    assert "192.0.2.300" in done.error


def test_what_it_writes_passes_validate(site: Site, command: Commands, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    site.init()
    site.init("--dhcp", "--ssh-key", KEY, "--mac", "00:50:56:01:02:03", vm="web-02")
    site.init("--address", "192.0.2.10/24", "--gateway", "192.0.2.1", "--userdata", script, vm="web-03")
    done = command("validate", str(site.path))
    assert (done.exit_code, done.error) == (0, "")
    assert done.output.splitlines()[-1].startswith("3 definitions, 0 faults, 0 warnings")


def test_what_is_doubtful_is_written_and_told(site: Site) -> None:
    done = site.init("--address", "192.0.2.10/24", "--gateway", "198.51.100.1")
    assert (done.exit_code, done.output) == (0, f"{site.path}/web-01.yaml is written\n")
    warning = (
        f"{site.path}/web-01.yaml:16: warning: network.gateway: 198.51.100.1 is outside the card's networks"
    )
    assert done.error.startswith(warning)
