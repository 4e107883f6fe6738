"""What is printed, and where to; who is told what is test_show_who.py's."""

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.server.cli.commands import Commands
from tests.server.cli.shown import SECRET, USUAL, Site
from vmw_cloudinit_metadata.cli.changes import FILES
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.served import ServedRecords
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot


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


def test_of_a_vm_that_fits_a_pattern_it_is_told_too(site: Site) -> None:
    site.define(USUAL + 'vms: ["web-*"]\n', "all.yaml")
    time = datetime(2026, 12, 1, tzinfo=UTC)
    before = Snapshot(parse_definition(USUAL.replace("exit", "true").encode(), "")).by_name
    ServedRecords(StateDirectory(site.state), lambda: time).note("web-07", "web-07", before, claimed=True)
    assert site.show("--diff", vm="web-07").output.endswith("+exit\n")


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
    done = site.show("--explain", driver="tests.server.cli.test_show_who:Own")
    assert (done.exit_code, done.error) == (
        2,
        "vmw-cloudinit-metadata: --explain is about files: only the file driver's definitions have places\n",
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


def test_only_what_is_made_of_the_uuid_needs_one(site: Site) -> None:
    site.define("metadata: {hostname: web-01}\nuserdata: '#!/bin/sh'\n")
    assert site.show("--document", "user-data").output == "#!/bin/sh"
    done = site.show("--document", "meta-data")
    assert (done.exit_code, done.output) == (1, "")
    assert "metadata.instance-id: is missing" in done.error


def test_of_cloud_config_each_key_is_explained(site: Site) -> None:
    site.define("userdata: {packages: [a], chpasswd: {expire: false}}\n", "_defaults.yaml")
    site.define("metadata: {instance-id: i, hostname: h}\nnetwork: {dhcp4: true}\nuserdata: {runcmd: [b]}\n")
    lines = [line.split() for line in site.show("--explain").output.splitlines()]
    assert [line for line in lines if line[0].startswith("userdata")] == [
        ["userdata.runcmd", "web-01.yaml:3"],
        ["userdata.packages", "_defaults.yaml:1"],
        ["userdata.chpasswd.expire", "_defaults.yaml:1"],
    ]
