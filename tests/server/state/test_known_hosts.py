"""Lines for ssh: what ssh itself makes of them is asked where ssh is installed."""

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.server.state.kept import kept, key
from vmw_cloudinit_metadata.state.known_hosts import KEY_TYPES, fingerprints, known_hosts

ED25519 = key()


def lines(
    defined: str = "",
    hostname: str | None = None,
    *,
    vm_name: str = "web-01",
    keys: tuple[str, ...] = (ED25519,),
) -> list[str]:
    """The lines for a VM with a host name in its definition, and another in its report."""
    reported: dict[str, Any] = {} if hostname is None else {"hostname": hostname}
    return list(known_hosts([kept(vm_name, defined=defined, host_keys=list(keys), **reported)]))


def names(defined: str, hostname: str | None = None, *, vm_name: str = "web-01") -> list[str]:
    return [line.partition(" ")[0] for line in lines(defined, hostname, vm_name=vm_name)]


def test_a_line_is_names_type_and_key() -> None:
    assert lines("web-01.example.org") == [f"web-01,web-01.example.org {ED25519}"]


def test_a_comment_behind_the_key_is_left_out() -> None:
    assert lines(keys=(f"{ED25519} root@web-01",)) == [f"web-01 {ED25519}"]


def test_each_key_has_a_line() -> None:
    keys = tuple(key(kind) for kind in KEY_TYPES)
    assert lines(keys=keys) == [f"web-01 {each}" for each in keys]


def test_a_name_is_that_of_the_definition_and_the_host_name_in_it_once() -> None:
    assert names("web-01") == ["web-01"]
    assert names("a.example.org", vm_name="web-01") == ["web-01,a.example.org"]


def test_a_vm_whose_definition_is_for_all_names_of_a_pattern_has_no_line() -> None:
    claimed = dataclasses.replace(kept("db-01", defined="db-01", host_keys=[ED25519]), claimed=True)
    assert list(known_hosts([claimed])) == []
    assert list(fingerprints(claimed)) != []


def test_what_a_vm_calls_itself_is_no_name() -> None:
    evil = kept("db-01", definition="evil", defined="", host_keys=[ED25519])
    assert list(known_hosts([evil])) == [f"evil {ED25519}"]


def test_a_reported_name_counts_as_far_as_it_is_the_definition_s() -> None:
    assert names("a.example.org", "a.example.org") == ["web-01,a.example.org"]
    assert names("a.example.org", "a") == ["web-01,a.example.org,a"]
    assert names("a.example.org", "bank.example.org") == ["web-01,a.example.org"]
    assert names("", "bank.example.org") == ["web-01"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "My VM",
            "*",
            "web-0?",
            "!web-01",
            "@cert-authority",
            "|1|salt|hash",
            "#",
            "a,b",
            "[web-01]:22",
        ),
        *("web-01\n", "web\n01 ssh-rsa", "-a", "a-", ".", "büro", "a" * 254),
    ],
)
def test_what_is_no_host_name_gets_no_line(name: str) -> None:
    assert names("", vm_name=name) == []
    assert names("web-01.example.org", vm_name=name) == ["web-01.example.org"]


@pytest.mark.parametrize(
    "bad",
    [
        key("ssh-dss"),
        key("ssh-ed25519-cert-v01@openssh.com"),
        key("ssh-rsa").replace("ssh-rsa ", "ssh-ed25519 "),
        "ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5A",
    ],
)
def test_what_is_no_key_gets_no_line(bad: str) -> None:
    assert lines(keys=(bad, ED25519)) == [f"web-01 {ED25519}"]
    assert len(list(fingerprints(kept(host_keys=[bad, ED25519])))) == 1


def test_the_last_report_with_keys_counts() -> None:
    old, new = key(rest=b"old"), key(rest=b"new")
    reports = [kept(host_keys=[old]), kept(host_keys=[new]), kept(stage="seed")]
    assert list(known_hosts(reports)) == [f"web-01,web-01.example.org {new}"]


def test_a_vm_that_has_reported_no_keys_has_no_line() -> None:
    assert list(known_hosts([kept()])) == []
    assert list(known_hosts([])) == []


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_ssh_takes_the_lines_and_shows_the_same_fingerprint(tmp_path: Path) -> None:
    ssh_keygen = ["ssh-keygen", "-q"]
    for kind in ("ed25519", "ecdsa", "rsa"):
        subprocess.run([*ssh_keygen, "-t", kind, "-N", "", "-f", tmp_path / kind], check=True)
    public = [(tmp_path / f"{kind}.pub").read_text().strip() for kind in ("ed25519", "ecdsa", "rsa")]
    one = kept(host_keys=public)
    hosts = tmp_path / "known_hosts"
    hosts.write_text("".join(f"{line}\n" for line in known_hosts([one])))
    found = subprocess.run(
        ["ssh-keygen", "-l", "-F", "web-01.example.org", "-f", hosts],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = [line for line in found.splitlines() if "SHA256:" in line]
    assert len(shown) == 3
    for line, fingerprint in zip(shown, fingerprints(one), strict=True):
        assert fingerprint.split()[1] in line
