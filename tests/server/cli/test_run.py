"""``run`` as a process; what it serves is tested in tests/server/vspc and tests/end_to_end."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import command


@contextlib.contextmanager
def running(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "vmw_cloudinit_metadata", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listening_port(process: "subprocess.Popen[str]") -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"listening on .*:(\d+)$", line):
            return int(found[1])
    raise AssertionError("it ended without listening")


def run_arguments(directory: Path, listen: str, driver: str = "file") -> list[str]:
    options = json.dumps({"directory": str(directory)})
    return ["run", "--uri", "u", "--driver", driver, "--driver-opts", options, "--listen", listen]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_exits_with_0(number: signal.Signals, tmp_path: Path) -> None:
    with (
        running(*run_arguments(tmp_path, "127.0.0.1:0")) as process,
        socket.create_connection(("127.0.0.1", listening_port(process)), timeout=10) as host,
    ):
        assert host.recv(3) == b"\xff\xfb\x00"  # IAC WILL BINARY
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


def test_the_command_line_of_0_0_8_still_works(tmp_path: Path) -> None:
    old = "vmw_cloudinit_metadata.drivers.file:FileDriver"
    with running("-v", *run_arguments(tmp_path, "127.0.0.1:0", driver=old)) as process:
        assert listening_port(process)


def test_sighup_does_not_end_it(tmp_path: Path) -> None:
    with running(*run_arguments(tmp_path, "127.0.0.1:0")) as process:
        listening_port(process)
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("reloaded" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_a_second_server_on_the_same_port_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with running(*run_arguments(tmp_path, "127.0.0.1:0")) as process:
        port = listening_port(process)
        second = command.server(*run_arguments(tmp_path, f"127.0.0.1:{port}"))
    assert second.returncode == 1
    assert second.stderr == (
        f"vmw-cloudinit-metadata: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


def test_several_addresses_are_listened_on(tmp_path: Path) -> None:
    arguments = run_arguments(tmp_path, "127.0.0.1:0")
    with running(*arguments, "--listen", "127.0.0.2:0") as process:
        ports = [listening_port(process), listening_port(process)]
        for address, port in zip(("127.0.0.1", "127.0.0.2"), ports, strict=True):
            with socket.create_connection((address, port), timeout=10) as host:
                assert host.recv(1) == b"\xff"


def test_every_limit_is_an_option_with_a_stated_default() -> None:
    text = command.server("run", "--help").stdout
    for option in (
        *("--max-connections", "--max-connections-per-address", "--max-line", "--max-suboption"),
        *("--max-unsent", "--identify-timeout", "--stop-timeout", "--listen"),
    ):
        described = text[text.index(f"  {option} ") :]
        described = re.split(r"\n  -", described)[0]
        assert "[default: " in " ".join(described.split()), option
