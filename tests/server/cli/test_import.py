import os
import stat
from pathlib import Path

import pytest

from tests.server.cli.commands import Commands, Done
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import MAX_DEFINITION, parse_definition

SECRET = "hunter2"
META_DATA = "instance-id: i-0042\nlocal-hostname: web-01\n"
OLD = """\
metadata: {ami_id: a, instance_id: i-0042, region: eu-1, availability_zone: eu-1a, hostname: web-01}  # mine
network: {address: 192.0.2.10, netmask: 255.255.255.0, gateway: 192.0.2.1, nameservers: [192.0.2.53]}
"""


class Site:
    """A directory of definitions, something beside it to import, and the command."""

    def __init__(self, path: Path, command: Commands) -> None:
        self.target = path / "instances"
        self.source = path / "source"
        self._command = command
        for directory in (self.target, self.source):
            directory.mkdir()

    def put(self, **files: str | bytes) -> None:
        for name, content in files.items():
            text = content.encode() if isinstance(content, str) else content
            (self.source / name.replace("_", "-")).write_bytes(text)

    def old(self, name: str, text: str) -> Path:
        path = self.source / name
        path.write_text(text)
        return path

    def run(self, *arguments: str | Path) -> Done:
        return self._command("import", *map(str, arguments), "--directory", str(self.target))

    def served(self, name: str = "web-01.yaml") -> nocloud.Documents:
        return nocloud.render(parse_definition((self.target / name).read_bytes(), name))

    def written(self) -> list[str]:
        return sorted(path.name for path in self.target.iterdir())


@pytest.fixture
def site(tmp_path: Path, command: Commands) -> Site:
    return Site(tmp_path, command)


def test_a_seed_becomes_a_definition_that_is_served_as_the_same(site: Site) -> None:
    site.put(meta_data=META_DATA, user_data="#!/bin/sh\nexit", vendor_data="#cloud-config\n{}\n")
    done = site.run("seed", site.source, "--vm", "web-01")
    assert done == (0, f"{site.target}/web-01.yaml is written\n", "")
    documents = site.served()
    assert (documents.user_data, documents.vendor_data) == (b"#!/bin/sh\nexit", b"#cloud-config\n{}\n")
    assert b'"instance-id": "i-0042"' in documents.meta_data


def test_a_pair_of_guestinfo_does_too(site: Site) -> None:
    site.put(
        metadata="local-hostname: web-01\ninstance-id: i-1\n", userdata="#!/bin/sh\n", vendor="#!/bin/true\n"
    )
    files = site.source / "metadata", site.source / "userdata"
    done = site.run("guestinfo", *files, "--vendordata", site.source / "vendor", "--vm", "a/b")
    assert done == (0, f"{site.target}/a%2fb.yaml is written\n", "")
    documents = site.served("a%2fb.yaml")
    assert (documents.user_data, documents.vendor_data) == (b"#!/bin/sh\n", b"#!/bin/true\n")
    assert site.run("guestinfo", files[0], "--vm", "web-02").exit_code == 0
    assert site.served("web-02.yaml").user_data == b""


def test_what_is_not_taken_over_is_said(site: Site) -> None:
    site.put(meta_data="instance-id: i-1\npublic_keys: [ssh-rsa A]\n")
    done = site.run("seed", site.source, "--vm", "web-01")
    assert done.error == (
        "web-01.yaml: public_keys is left out: cloud-init does not know it, only public-keys\n"
        "web-01.yaml: there is no local-hostname: the VM's name web-01 is taken for it\n"
    )


def test_what_could_not_be_served_is_not_written(site: Site) -> None:
    site.put(meta_data=f"instance-id: i-1\npassword: {SECRET}\n")
    done = site.run("seed", site.source, "--vm", "Web 01")
    assert done.exit_code == 1
    assert done.error.splitlines()[1:] == [
        "vmw-cloudinit-metadata: nothing is written, for it could not be served:",
        "Web 01.yaml:3: metadata.hostname: 'Web 01' is not a host name "
        "(text without spaces, of at most 253 characters)",
    ]
    assert site.written() == []


def test_no_file_is_overwritten_but_with_force(site: Site) -> None:
    site.put(meta_data=META_DATA)
    (site.target / "web-01.yaml").write_text("mine")
    done = site.run("seed", site.source, "--vm", "web-01")
    told = f"vmw-cloudinit-metadata: {site.target}/web-01.yaml exists already; --force replaces it\n"
    assert done == (1, "", told)
    assert (site.target / "web-01.yaml").read_text() == "mine"
    assert site.run("seed", site.source, "--vm", "web-01", "--force").exit_code == 0
    assert site.served().user_data == b""


def test_what_is_written_is_its_owner_s_alone(site: Site) -> None:
    site.put(meta_data=META_DATA)
    site.run("seed", site.source, "--vm", "web-01")
    assert stat.S_IMODE((site.target / "web-01.yaml").stat().st_mode) == 0o600


def test_the_definitions_of_0_0_8_are_taken_as_they_are(site: Site) -> None:
    site.old("web-01.yaml", OLD)
    site.old("web-02.yaml", OLD.replace("i-0042", "0123"))
    site.old("notes.txt", "")
    done = site.run("0.0.8", site.source)
    assert done == (
        0,
        f"{site.target}/web-01.yaml is written\n{site.target}/web-02.yaml is written\n",
        f"written anew, to be served as before: {site.source}/web-02.yaml: "
        "YAML 1.1 reads a value otherwise than it looks\n",
    )
    assert (site.target / "web-01.yaml").read_text() == OLD
    assert b'"instance-id": "83"' in site.served("web-02.yaml").meta_data


def test_those_that_cannot_be_served_are_told_and_no_reason_to_stop(site: Site) -> None:
    site.old("bad.yaml", f"metadata: {{password: {SECRET}}}\n")
    site.old("_x.yaml", OLD)
    site.old("web-01.yaml", OLD)
    site.old("zz.yaml", "x" * (MAX_DEFINITION + 1))
    done = site.run("0.0.8", site.source)
    assert (done.exit_code, site.written()) == (1, ["web-01.yaml"])
    assert SECRET not in done.error
    told = done.error.splitlines()
    assert told[0] == (
        f"vmw-cloudinit-metadata: {site.source}/_x.yaml: is left out: "
        "here a name that begins with _ is no VM's"
    )
    assert told[1].startswith(f"vmw-cloudinit-metadata: {site.source}/bad.yaml:1: ")
    assert told[-1] == f"vmw-cloudinit-metadata: {site.source}/zz.yaml is longer than 4 MiB"


def test_they_may_be_imported_again(site: Site) -> None:
    site.old("web-01.yaml", OLD)
    assert site.run("0.0.8", site.source).exit_code == 0
    site.old("web-02.yaml", OLD)
    assert site.run("0.0.8", site.source).output == f"{site.target}/web-02.yaml is written\n"
    site.old("web-01.yaml", OLD.replace("i-0042", "i-0043"))
    site.old("web-03.yaml", OLD)
    done = site.run("0.0.8", site.source)
    assert (done.exit_code, site.written()) == (1, ["web-01.yaml", "web-02.yaml"])
    assert done.error.endswith("web-01.yaml exists already; --force replaces it\n")
    assert site.run("0.0.8", site.source, "--force").exit_code == 0
    assert site.written() == ["web-01.yaml", "web-02.yaml", "web-03.yaml"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["seed", "SOURCE"], "import seed needs --vm NAME: which VM it is for"),
        (["seed", "SOURCE", "b", "--vm", "a"], "import seed takes DIR, and no more"),
        (
            ["guestinfo", "a", "b", "c", "--vm", "a"],
            "import guestinfo takes METADATA [USERDATA], and no more",
        ),
        (["0.0.8", "SOURCE", "--vm", "a"], "takes all definitions of a directory; --vm is for the others"),
        (
            ["seed", "SOURCE", "--vm", "a", "--vendordata", "f"],
            "--vendordata is for guestinfo; a seed has its own",
        ),
        (["seed", "SOURCE", "--vm", "a"], "source has no meta-data, which every seed has"),
        (["seed", "SOURCE", "--vm", "_a"], "_a is no name of a VM that could have a definition"),
        (["guestinfo", "SOURCE/none", "--vm", "a"], "source/none: No such file or directory"),
        (["0.0.8", "SOURCE"], "source has no definitions: no file NAME.yaml"),
        (["0.0.8", "SOURCE/none"], "source/none is not a directory"),
        (["ovf", "SOURCE"], "'ovf' is not one of 'seed', 'guestinfo', '0.0.8'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(site: Site, arguments: list[str], sentence: str) -> None:
    done = site.run(*(each.replace("SOURCE", str(site.source)) for each in arguments))
    assert (done.exit_code, done.output) == (2, "")
    assert sentence in done.error
    assert "Traceback" not in done.error


def test_where_to_write_may_stand_in_the_server_s_file(site: Site, command: Commands, tmp_path: Path) -> None:
    site.put(meta_data=META_DATA)
    config = tmp_path / "config.toml"
    config.write_text(f'uri = "x"\ndriver = "file"\n[driver-opts]\ndirectory = "{site.target}"\n')
    arguments = ("import", "seed", str(site.source), "--vm", "web-01")
    assert command(*arguments, "--config", str(config)).exit_code == 0
    assert site.written() == ["web-01.yaml"]
    done = command(*arguments)
    assert (done.exit_code, done.error) == (
        2,
        "vmw-cloudinit-metadata: where definitions are is not said: give --directory DIR, or --config FILE\n",
    )
    done = command(*arguments, "--directory", str(config))
    assert done.error == f"vmw-cloudinit-metadata: {config} is not a directory\n"


def test_a_seed_that_cannot_be_read_is_a_sentence(site: Site) -> None:
    if os.geteuid() == 0:
        site.put(meta_data="\0")
        assert "meta-data:1: " in site.run("seed", site.source, "--vm", "a").error
    else:
        site.put(meta_data=META_DATA)
        (site.source / "meta-data").chmod(0)
        assert "Permission denied" in site.run("seed", site.source, "--vm", "a").error
