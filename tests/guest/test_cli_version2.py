"""The command as a process on a tty, with a server of version 2 at the other end."""

import contextlib
import stat
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.guest.conversation import RANDOM, USERDATA, Version2Server
from tests.guest.line import Guest, Pty


@pytest.fixture
def line() -> Iterator[Pty]:
    with contextlib.closing(Pty()) as line:
        yield line


@pytest.fixture
def seed_dir(tmp_path: Path) -> Path:
    return tmp_path / "seed"


def guest_on(line: Pty, seed_dir: Path, *options: str) -> "contextlib.closing[Guest]":
    return contextlib.closing(Guest(line, "--port", line.path, "--seed-dir", str(seed_dir), *options))


def test_all_documents_come_in_pieces_and_a_reboot_is_one_question(line: Pty, seed_dir: Path) -> None:
    server = Version2Server(USERDATA=RANDOM[:40_000], VENDORDATA=b"#cloud-config\nvendor: true\n")
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(server, requests=6)
        ended = guest.end()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert server.codes == ["METADATA", "NETWORKDATA", "USERDATA", "USERDATA", "USERDATA", "VENDORDATA"]
    assert (seed_dir / "user-data").read_bytes() == RANDOM[:40_000]
    vendor_data = seed_dir / "vendor-data"
    assert vendor_data.read_bytes() == b"#cloud-config\nvendor: true\n"
    assert stat.S_IMODE(vendor_data.stat().st_mode) == 0o600

    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in seed_dir.parent.rglob("*")}
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(server, requests=1)
        assert guest.end().returncode == 0
    assert server.codes[6:] == ["METADATA"]
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before} == before


def test_a_usual_definition_is_a_question_for_each_document(line: Pty, seed_dir: Path) -> None:
    user_data = b"#cloud-config\n" + b"# a line of thirty-two characters\n" * 119
    assert len(user_data) > 4000
    server = Version2Server(USERDATA=user_data, VENDORDATA=b"#cloud-config\n{}\n")
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(server, requests=4)
        assert guest.end().returncode == 0
    assert server.codes == ["METADATA", "NETWORKDATA", "USERDATA", "VENDORDATA"]


def test_what_is_new_comes_and_what_is_gone_goes(line: Pty, seed_dir: Path) -> None:
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(Version2Server(VENDORDATA=b"old"), requests=4)
        assert guest.end().returncode == 0
    server = Version2Server(NETWORKDATA=None, USERDATA=b"#!/bin/sh\n")
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(server, requests=2)
        assert guest.end().returncode == 0
    assert server.codes == ["METADATA", "USERDATA"]
    assert sorted(path.name for path in seed_dir.iterdir()) == ["meta-data", "user-data"]
    assert (seed_dir / "user-data").read_bytes() == b"#!/bin/sh\n"


@pytest.mark.parametrize(("status", "code"), [("not-found", 7), ("denied", 8), ("invalid", 4)])
@pytest.mark.parametrize("boot", [[], ["--boot"]])
def test_a_refusal_is_an_exit_code_at_once_also_at_boot_and_leaves_the_seed(
    line: Pty, seed_dir: Path, status: str, code: int, boot: List[str]
) -> None:
    server = Version2Server()
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(server, requests=3)
        assert guest.end().returncode == 0
    server.statuses["METADATA"] = status
    server.sentence = b"so says\r\n\x1b[31mthe server"
    with guest_on(line, seed_dir, *boot) as guest:
        guest.serve_version_2(server, requests=1)
        ended = guest.end()
    assert ended.returncode == code
    assert ended.stderr.startswith("vmw-cloudinit-guest: ")
    assert ended.stderr.endswith(": so says???[31mthe server; the seed of i-0042 stays\n")
    assert (seed_dir / "user-data").read_bytes() == USERDATA


def test_denied_user_data_is_no_new_seed(line: Pty, seed_dir: Path) -> None:
    server = Version2Server()
    server.statuses["USERDATA"] = "denied"
    with guest_on(line, seed_dir) as guest:
        guest.serve_version_2(server, requests=3)
        assert guest.end().returncode == 8
    assert not seed_dir.exists()
