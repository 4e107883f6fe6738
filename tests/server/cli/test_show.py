import json
import logging
import stat
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.server.cli.commands import Commands, Done
from vmw_cloudinit_metadata.cli import asking
from vmw_cloudinit_metadata.cli.changes import FILES
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.served import ServedRecords
from vmw_cloudinit_metadata.state.windows import Windows
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient

SECRET = "hunter2"
UUID = "5012ab34-cd56-4e78-9012-3456789abcde"
OTHER = "421e1d88-73cf-4d9f-9ae4-55ce6a5b220d"

USUAL = """\
metadata: {instance-id: i-0042, hostname: web-01}
network: {address: 192.0.2.10, netmask: 255.255.255.0}
userdata: |
  #!/bin/sh
  exit
"""


class Site:
    """A directory of definitions, one of state, and the command."""

    def __init__(self, path: Path, command: Commands) -> None:
        self.instances, self.state = path / "instances", path / "state"
        self._command = command
        for directory in (self.instances, self.state):
            directory.mkdir()

    def define(self, text: str, name: str = "web-01.yaml") -> None:
        (self.instances / name).parent.mkdir(exist_ok=True)
        (self.instances / name).write_text(text)

    def show(self, *arguments: str | Path, vm: str = "web-01", driver: str = "file", **options: Any) -> Done:
        opts = {"directory": str(self.instances), **options} if driver == "file" else options
        return self._command(
            *("show", vm, "--driver", driver, "--driver-opts", json.dumps(opts)),
            *("--state-directory", str(self.state), *map(str, arguments)),
        )

    def served(self, when: str, vm: str = "web-01") -> str:
        """Have the server serve what is defined; return the time as the command shows it."""
        time = datetime.fromisoformat(when).astimezone(UTC)
        text = (self.instances / f"{vm}.yaml").read_bytes()
        snapshot = Snapshot(parse_definition(text, ""))
        ServedRecords(StateDirectory(self.state), lambda: time).note(vm, vm, snapshot.by_name)
        return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"

    def own(self, *arguments: str, **options: Any) -> Done:
        """Ask the driver below."""
        return self.show(*arguments, driver=f"{__name__}:Own", **options)


class Own(Driver):
    """A driver of an operator's own, which does as it is told."""

    busy: ClassVar[int] = 0
    closed: ClassVar[int] = 0

    def parse_options(self, opts: dict[str, Any]) -> dict[str, Any]:
        return opts

    def get_instance(self, vm_client: VMClient) -> InstanceData | None:
        if Own.busy:
            Own.busy -= 1
            raise DriverBusyError("the inventory has not answered", retry=0)
        if self.options.get("raises"):
            raise ValueError(SECRET)
        if self.options.get("logs"):
            self.logger.warning("the inventory is %s", "old")
            self.logger.info("not said")
        if self.options.get("none"):
            return None
        if self.options.get("text"):
            return "text"  # type: ignore[return-value]
        return InstanceData({"metadata": {"instance-id": "i-1", "hostname": vm_client.vm_name}})

    def close(self) -> None:
        Own.closed += 1


class OwnClient(VMClient):
    async def write_metadata(self) -> None:
        return


class OwnWithClient(Own):
    def new_client(self, vm_name: str, writer: Any) -> VMClient:
        return OwnClient(vm_name, writer, self)


@pytest.fixture
def site(tmp_path: Path, command: Commands) -> Site:
    return Site(tmp_path, command)


# The documents


def test_all_documents_are_printed_for_a_person(site: Site) -> None:
    site.define(USUAL)
    done = site.show()
    assert (done.exit_code, done.error) == (0, "")
    served = Snapshot(parse_definition(USUAL.encode(), "")).by_name
    heads = [
        f"==> {name}: {len(document.content)} bytes, etag {document.etag} <=="
        for name, document in zip(FILES.values(), served.values(), strict=True)
        if document
    ]
    assert [line for line in done.output.splitlines() if "==>" in line] == [*heads, "==> no vendor-data <=="]
    assert done.output.endswith(f"{heads[2]}\n#!/bin/sh\nexit\n\n==> no vendor-data <==\n\n")


@pytest.mark.parametrize("name", ["metadata", "networkdata", "userdata", "vendordata"])
def test_a_document_alone_is_printed_as_the_server_serves_it(site: Site, name: str) -> None:
    text = USUAL + "vendordata: '#!/bin/true'\n"
    site.define(text)
    document = Snapshot(parse_definition(text.encode(), "")).by_name[name]
    assert document is not None
    assert site.show("--document", FILES[name]) == (0, document.content.decode(), "")


def test_a_guest_of_version_1_gets_no_placeholder(site: Site) -> None:
    site.define(USUAL)
    assert '"@1"' in site.show("--document", "network-config").output
    done = site.show("--document", "network-config", "--packets", "1")
    assert json.loads(done.output)["config"][0]["name"] == "eth0"
    assert '"@1"' not in done.output + site.show("--packets", "1").output


def test_a_document_that_there_is_none_of_is_a_sentence(site: Site) -> None:
    site.define(USUAL)
    assert site.show("--document", "vendor-data") == (
        1,
        "",
        "vmw-cloudinit-metadata: web-01 has no vendor-data\n",
    )


def test_what_a_terminal_would_act_on_is_not_printed_for_a_person(site: Site) -> None:
    site.define(USUAL[: USUAL.index("userdata")] + 'userdata: "\\e[2J"\n')
    done = site.show()
    assert "(is no text; --document user-data prints it)" in done.output
    assert "\x1b" not in done.output
    assert site.show("--document", "user-data").output == "\x1b[2J"


def test_bytes_that_are_no_text_are_printed_as_they_are(site: Site) -> None:
    site.define(USUAL[: USUAL.index("userdata")] + "userdata: {encoding: base64, content: H4v/AA==}\n")
    options = ["--driver", "file", "--driver-opts", json.dumps({"directory": str(site.instances)})]
    program = [sys.executable, "-m", "vmw_cloudinit_metadata", "show", "web-01", *options]
    done = subprocess.run([*program, "--document", "user-data"], capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"\x1f\x8b\xff\0", b"")


# Who asks


def test_a_vm_without_a_definition_is_a_sentence(site: Site) -> None:
    done = site.show(vm="none")
    assert (done.exit_code, done.output) == (1, "")
    assert done.error.splitlines()[-1] == (
        "vmw-cloudinit-metadata: the driver has no instance for the VM none"
    )


def test_faults_are_told_once_and_nothing_is_printed(site: Site) -> None:
    site.define(
        f"metadata: {{instance-id: i, hostname: a, x: {SECRET}}}\nnetwork: {{address: 192.0.2.300}}\n"
    )
    done = site.show()
    assert (done.exit_code, done.output) == (1, "")
    assert done.error.count("192.0.2.300") == 1
    assert f"{site.instances}/web-01.yaml:2: network.address: " in done.error
    assert SECRET not in done.error


def test_an_instance_id_is_made_of_the_uuid(site: Site) -> None:
    site.define("metadata: {hostname: web-01}\n")
    done = site.show("--vc-uuid", UUID.replace("-", " "), "--document", "meta-data")
    assert json.loads(done.output)["instance-id"] == UUID
    done = site.show("--bios-uuid", OTHER.upper(), "--document", "meta-data")
    assert json.loads(done.output)["instance-id"] == OTHER


def test_without_a_uuid_a_person_sees_zeros_and_a_program_nothing(site: Site) -> None:
    site.define("metadata: {hostname: web-01}\n")
    done = site.show()
    assert f'"instance-id": "{uuid.UUID(int=0)}"' in done.output
    assert done.error == (
        "web-01: instance-id is made from the VM's UUID; zeros stand for it until --vc-uuid gives it\n"
    )
    for option in (["--document", "meta-data"], ["--output", str(site.state / "seed")], ["--diff"]):
        done = site.show(*option)
        assert (done.exit_code, done.output) == (1, "")
        assert done.error == (
            "vmw-cloudinit-metadata: metadata.instance-id: is missing, "
            "and the VM has not told a UUID to make it of: give --vc-uuid UUID\n"
        )


def test_who_would_be_denied_is_shown_it_and_told_why(site: Site) -> None:
    site.define(f"{USUAL}match: {{vc-uuid: {UUID}}}\ntoken: {SECRET}-{SECRET}\n")
    token = "web-01: served only to a VM whose service URI carries the definition's token: URI?token=TOKEN\n"
    done = site.show("--document", "user-data")
    assert done == (0, "#!/bin/sh\nexit\n", f"web-01: served only to the VM with the vc-uuid {UUID}\n{token}")
    done = site.show("--document", "user-data", "--vc-uuid", UUID)
    assert done == (0, "#!/bin/sh\nexit\n", token)
    done = site.show("--vc-uuid", OTHER)
    assert done.error == (
        f"web-01: the VM would be denied: its vc-uuid is {OTHER}, the definition is for {UUID}\n{token}"
    )
    pinned: dict[str, Any] = {"require-match": True}
    site.define(USUAL, "web-02.yaml")
    done = site.show(vm="web-02", **pinned)
    assert "web-02: the VM would be denied: its definition has no match" in done.error


def test_the_uuid_that_match_demands_is_the_vm_s(site: Site) -> None:
    site.define(f"metadata: {{hostname: web-01}}\nmatch: {{bios-uuid: {OTHER}}}\n")
    assert json.loads(site.show("--document", "meta-data").output)["instance-id"] == OTHER


# Serving windows


def test_a_closed_window_is_told(site: Site) -> None:
    site.define(f"{USUAL}serve: {{runs: 1}}\n")
    assert site.show().error == ""
    instance = parse_definition(USUAL.encode(), "")
    instance.serve, instance.source = ServingWindow(runs=1), "web-01"
    windows = Windows(StateDirectory(site.state))
    windows.admit(instance, "web-01", "00000001")
    for _ in range(2):
        done = site.show("--document", "user-data")
        assert done.output == "#!/bin/sh\nexit\n"
        assert done.error == (
            "web-01: user-data is not served to this VM any more: it was served as often as it may be; "
            "the operator can re-arm it by 'vmw-cloudinit-metadata rearm web-01'\n"
        )
    windows.rearm("web-01")
    assert site.show().error == ""


def test_a_window_that_nobody_knows_is_told_too(site: Site) -> None:
    site.define(f"{USUAL}serve: {{runs: 1}}\n")
    site.state.rmdir()
    done = site.show()
    assert done.exit_code == 0
    assert done.error.startswith(
        "web-01: how far its serving window is used up is not known: there is no state directory"
    )


# What is new


def test_what_is_new_is_told_line_by_line(site: Site) -> None:
    site.define(USUAL)
    before = site.served("2026-12-01 12:00:00")
    site.define(USUAL.replace("exit", f"echo {SECRET}"))
    assert site.show("--diff") == (
        0,
        "--- user-data\n+++ user-data\n@@ -1,2 +1,2 @@\n #!/bin/sh\n"
        f"-(1 line, of which digests alone are kept)\n+echo {SECRET}\n",
        "",
    )
    site.define(USUAL)
    told = f"nothing is new: web-01 has been served the same since {before}\n"
    assert site.show("--diff") == (0, "", told)


def test_who_was_never_served_has_nothing_to_compare_with(site: Site) -> None:
    site.define(USUAL)
    told = f"vmw-cloudinit-metadata: web-01 has not been served yet, as far as {site.state} knows\n"
    assert site.show("--diff") == (1, "", told)
    site.state.rmdir()
    assert site.show("--diff").exit_code == 2


# As a seed


def test_the_documents_can_be_written_as_a_seed(site: Site, tmp_path: Path) -> None:
    site.define(USUAL)
    seed = tmp_path / "seed"
    assert site.show("--output", seed, "--packets", "1") == (0, "", "")
    assert stat.S_IMODE(seed.stat().st_mode) == 0o700
    assert sorted(path.name for path in seed.iterdir()) == ["meta-data", "network-config", "user-data"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in seed.iterdir()} == {0o600}
    assert (seed / "user-data").read_text() == "#!/bin/sh\nexit\n"


def test_a_seed_takes_no_other_s_place_but_with_force(site: Site, tmp_path: Path) -> None:
    site.define(USUAL)
    (tmp_path / "vendor-data").write_text("mine")
    done = site.show("--output", tmp_path)
    assert (done.exit_code, done.error) == (
        1,
        f"vmw-cloudinit-metadata: {tmp_path}/vendor-data exists already; --force replaces it\n",
    )
    assert not (tmp_path / "meta-data").exists()
    assert site.show("--output", tmp_path, "--force", "--packets", "1").exit_code == 0
    assert not (tmp_path / "vendor-data").exists()
    assert (tmp_path / "meta-data").exists()
    done = site.show("--output", tmp_path / "none" / "seed")
    assert (
        done.error == f"vmw-cloudinit-metadata: cannot make {tmp_path}/none/seed: No such file or directory\n"
    )


def test_placeholders_in_a_seed_are_told(site: Site, tmp_path: Path) -> None:
    site.define(USUAL)
    assert site.show("--output", tmp_path / "seed") == (
        0,
        "",
        "web-01: network-config says @1 for a card that the guest fills in; --packets 1 is without\n",
    )


# Where it comes from


def test_each_key_is_told_with_its_file_and_line(site: Site) -> None:
    site.define("network: {gateway: 192.0.2.1}\n", "_defaults.yaml")
    site.define("metadata:\n  region: eu-1\n", "rack/_defaults.yaml")
    site.define(USUAL, "rack/web-01.yaml")
    done = site.show("--explain")
    assert (done.exit_code, done.error) == (0, "")
    assert sorted(done.output.splitlines()) == [
        "metadata.hostname     rack/web-01.yaml:1",
        "metadata.instance-id  rack/web-01.yaml:1",
        "metadata.region       rack/_defaults.yaml:2",
        "network.address       rack/web-01.yaml:2",
        "network.gateway       _defaults.yaml:1",
        "network.netmask       rack/web-01.yaml:2",
        "userdata              rack/web-01.yaml:3",
    ]


def test_what_no_file_gives_is_told_too(site: Site) -> None:
    site.define("metadata: {hostname: web-01}\n")
    assert site.show("--explain").output == (
        "metadata.hostname     web-01.yaml:1\n"
        "metadata.instance-id  made from the VM's UUID, since no file gives it\n"
        "network               not given: the guest's image decides\n"
        "userdata              not given: cloud-init is served one that does nothing\n"
    )


def test_only_files_have_places(site: Site) -> None:
    done = site.own("--explain")
    assert (done.exit_code, done.error) == (
        2,
        "vmw-cloudinit-metadata: --explain is about files: only the file driver's definitions have places\n",
    )


# Other drivers


def test_any_driver_is_asked_and_closed(site: Site) -> None:
    Own.closed = 0
    assert json.loads(site.own("--document", "meta-data").output)["hostname"] == "web-01"
    assert Own.closed == 1


def test_a_driver_that_is_busy_is_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Own, "busy", 3)
    assert site.own().exit_code == 0
    monkeypatch.setattr(asking, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(Own, "busy", 2)
    assert site.own() == (1, "", "vmw-cloudinit-metadata: the inventory has not answered\n")


def test_what_a_driver_does_wrong_is_a_sentence_without_a_secret(site: Site) -> None:
    done = site.own(raises=True)
    assert done.exit_code == 1
    assert done.error.startswith("vmw-cloudinit-metadata: the driver raised ValueError in ")
    assert SECRET not in done.error
    assert site.own(none=True).error == (
        "vmw-cloudinit-metadata: the driver has no instance for the VM web-01\n"
    )
    assert site.own(text=True).error == (
        "vmw-cloudinit-metadata: the driver returned a str, not an InstanceData\n"
    )


def test_what_a_driver_logs_is_told_from_warnings_on(site: Site) -> None:
    handlers = list(logging.getLogger().handlers)
    assert site.own(logs=True).error == "vmw-cloudinit-metadata: the inventory is old\n"
    assert logging.getLogger().handlers == handlers


def test_a_client_of_the_driver_s_own_may_send_something_else(site: Site) -> None:
    done = site.show(driver=f"{__name__}:OwnWithClient")
    assert done.error == (
        "web-01: this driver's VMs are answered by a client of its own, which may send something else\n"
    )


# Usage


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--diff", "--explain"], "are four ways to print; give one"),
        (["--document", "user-data", "--output", "x"], "are four ways to print; give one"),
        (["--vc-uuid", "5012"], "it is not a UUID"),
        (["--document", "userdata"], "'userdata' is not one of"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(site: Site, arguments: list[str], sentence: str) -> None:
    done = site.show(*arguments)
    assert (done.exit_code, done.output) == (2, "")
    assert sentence in done.error


def test_which_driver_may_stand_in_the_server_s_file(site: Site, command: Commands, tmp_path: Path) -> None:
    site.define(USUAL)
    config = tmp_path / "config.toml"
    config.write_text(
        f'uri = "x"\ndriver = "file"\nstate-directory = "{site.state}"\n'
        f'[driver-opts]\ndirectory = "{site.instances}"\n'
    )
    assert command("show", "web-01", "--config", str(config), "--document", "user-data").exit_code == 0
    done = command("show", "web-01", "--config", str(config), "--diff")
    assert f"as far as {site.state} knows" in done.error
