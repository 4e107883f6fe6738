"""``run`` as a process; what it serves is tested in tests/server/vspc and tests/end_to_end."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.support import command, peer, tls
from vmw_cloudinit_metadata.cli.main import cli
from vmw_cloudinit_metadata.cli.run import run


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
        if found := re.search(r"listening (?:for TLS )?on .*:(\d+)$", line):
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


def test_the_garbage_collector_looks_at_all_of_it_rarely() -> None:
    code = (
        "import gc; from vmw_cloudinit_metadata.cli import run; run._collect_garbage_rarely(); "
        "print(gc.get_threshold()[2] >= 100, gc.get_freeze_count() > 1000, gc.isenabled())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "True True True\n"


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
        *("--max-unsent", "--identify-timeout", "--unread-timeout", "--stop-timeout", "--listen"),
    ):
        described = text[text.index(f"  {option} ") :]
        described = re.split(r"\n  -", described)[0]
        assert "[default: " in " ".join(described.split()), option


# Who may ask


def test_sighup_takes_new_tokens_and_not_a_file_without(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("correct-horse\n")
    with running(*run_arguments(tmp_path, "127.0.0.1:0"), "--token-file", str(tokens)) as process:
        port = listening_port(process)
        assert answer_to(port, "u?token=correct-horse") == peer.WILL_PROXY
        assert answer_to(port, "u") == peer.WONT_PROXY
        tokens.write_text("battery-staple\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("reloaded" in line for line in process.stderr)
        assert answer_to(port, "u?token=correct-horse") == peer.WONT_PROXY
        tokens.write_text("")
        process.send_signal(signal.SIGHUP)
        complaint = f"the tokens stay as before: {tokens}: holds no token"
        assert any(complaint in line for line in process.stderr)
        assert answer_to(port, "u?token=battery-staple") == peer.WILL_PROXY


def answer_to(port: int, uri: str) -> bytes:
    """Return what the server answers to DO-PROXY."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as host:
        host.sendall(b"\xff\xfa\xe8\x46C" + uri.encode() + b"\xff\xf0")
        received = b""
        while not (answer := re.search(rb"\xff\xfa\xe8[\x47\x49]\xff\xf0", received)):
            received += host.recv(4096)
        return answer[0]


def test_a_host_from_elsewhere_hears_nothing(tmp_path: Path) -> None:
    with running(*run_arguments(tmp_path, "127.0.0.1:0"), "--allow", "192.0.2.0/24") as process:
        address = "127.0.0.1", listening_port(process)
        with socket.create_connection(address, timeout=10) as host, contextlib.suppress(ConnectionResetError):
            assert host.recv(1) == b""
        assert process.stderr is not None
        assert "127.0.0.1 is in no network that --allow names" in process.stderr.readline()


def test_a_server_that_anyone_can_use_says_so(tmp_path: Path) -> None:
    with running(*run_arguments(tmp_path, ":0")) as process:
        assert process.stderr is not None
        warnings = []
        for line in process.stderr:
            if "WARNING" in line:
                warnings.append(line)
                break
    assert "anyone who can connect can claim to be any VM: give --allow CIDR" in warnings[0]


@pytest.mark.parametrize("source", ["file", "environment"])
def test_a_token_and_a_file_of_tokens_exclude_each_other(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, tokens = tmp_path / "config.toml", tmp_path / "tokens"
    tokens.write_text("correct-horse")
    config.write_text('token = "battery-staple"\n' if source == "file" else "")
    if source == "environment":
        monkeypatch.setenv("VMW_CLOUDINIT_METADATA_TOKEN", "battery-staple")
    done = command.server(
        *run_arguments(tmp_path, ":0"), "--config", str(config), "--token-file", str(tokens)
    )
    assert (done.returncode, done.stderr) == (
        2,
        "vmw-cloudinit-metadata: there are both a token and a file of tokens: give one of them\n",
    )


# TLS


def tls_arguments(directory: Path, certificate: Path) -> list[str]:
    options = json.dumps({"directory": str(directory)})
    needed = ["run", "--uri", "u", "--driver", "file", "--driver-opts", options]
    return [*needed, "--tls-listen", "127.0.0.1:0", "--tls-cert", str(certificate)]


def shown_certificate(port: int) -> bytes | None:
    with (
        socket.create_connection((tls.HOST, port), timeout=10) as plain,
        tls.client_context().wrap_socket(plain, server_hostname=tls.HOST) as connection,
    ):
        assert connection.recv(3) == b"\xff\xfb\x00"  # IAC WILL BINARY
        return connection.getpeercert(binary_form=True)


def test_with_an_address_for_tls_alone_there_is_no_other(tmp_path: Path) -> None:
    with running(*tls_arguments(tmp_path, tls.write_certificate(tmp_path))) as process:
        port = listening_port(process)
        assert shown_certificate(port)
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=20)
    assert "listening" not in rest


def test_both_kinds_of_address_are_listened_on(tmp_path: Path) -> None:
    arguments = tls_arguments(tmp_path, tls.write_certificate(tmp_path))
    with running(*arguments, "--listen", "127.0.0.1:0") as process:
        plain, secret = listening_port(process), listening_port(process)
        with socket.create_connection(("127.0.0.1", plain), timeout=10) as host:
            assert host.recv(1) == b"\xff"
        assert shown_certificate(secret)


def test_sighup_takes_a_new_certificate_and_not_a_broken_one(tmp_path: Path) -> None:
    certificate = tls.write_certificate(tmp_path)
    with running(*tls_arguments(tmp_path, certificate)) as process:
        assert process.stderr is not None
        port = listening_port(process)
        first = shown_certificate(port)
        tls.write_certificate(tmp_path)
        process.send_signal(signal.SIGHUP)
        assert any("reloaded" in line for line in process.stderr)
        second = shown_certificate(port)
        assert first != second
        certificate.write_text("broken")
        process.send_signal(signal.SIGHUP)
        complaint = (
            f"the certificate stays as before: there is no certificate in {certificate}, or not as PEM"
        )
        assert any(complaint in line for line in process.stderr)
        assert shown_certificate(port) == second


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-listen", ":0"], "TLS needs a certificate: give --tls-cert FILE"),
        (["--tls-key", "k"], "there is a private key without a certificate: give --tls-cert FILE"),
        (["--tls-listen", ":0", "--tls-cert", "/missing"], "cannot read /missing: No such file or directory"),
    ],
)
def test_a_fault_of_tls_is_one_sentence_and_exit_code_2(options: list[str], sentence: str) -> None:
    done = command.server("run", "--uri", "u", "--driver", "file", *options)
    assert (done.returncode, done.stderr) == (2, f"vmw-cloudinit-metadata: {sentence}\n")


# systemd


# As systemd starts a program: with its sockets as descriptors 3 and 4, and the program's own process id.
ACTIVATE = """
import os, sys
plain, tls = map(int, sys.argv[1:3])
plain, tls = os.dup2(plain, 30), os.dup2(tls, 31)
os.dup2(plain, 3), os.dup2(tls, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="x.socket:tls")
os.execv(sys.executable, [sys.executable, "-m", "vmw_cloudinit_metadata", *sys.argv[3:]])
"""


def test_sockets_of_systemds_are_served_instead_of_those_of_the_options(tmp_path: Path) -> None:
    arguments = tls_arguments(tmp_path, tls.write_certificate(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as secret:
        descriptors = [plain.fileno(), secret.fileno()]
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, *map(str, descriptors), *arguments],
            pass_fds=descriptors,
            stderr=subprocess.PIPE,
            text=True,
        )
        ports = [one.getsockname()[1] for one in (plain, secret)]
    try:
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=10) as host:
            assert host.recv(3) == b"\xff\xfb\x00"
        assert shown_certificate(ports[1])
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
        assert process.returncode == 0
        assert [int(port) for port in re.findall(r"listening .*:(\d+)$", log, re.MULTILINE)] == ports
    finally:
        process.kill()
        process.communicate()


def test_the_journal_gets_priorities_of_errors_and_of_the_log(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        program = [sys.executable, "-m", "vmw_cloudinit_metadata"]
        subprocess.run([*program, "run"], stderr=journal, env=environment, timeout=60, check=False)
        busy = socket.create_server(("127.0.0.1", 0))
        with busy:
            listen = f"127.0.0.1:{busy.getsockname()[1]}"
            arguments = run_arguments(tmp_path, listen)
            subprocess.run([*program, *arguments], stderr=journal, env=environment, timeout=60, check=False)
        journal.seek(0)
        lines = journal.read().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("<3>vmw-cloudinit-metadata") for line in lines)


def test_json_lines_are_logged_on_request(tmp_path: Path) -> None:
    arguments = [*run_arguments(tmp_path, "127.0.0.1:0"), "--log-format", "json"]
    with running(*arguments) as process:
        assert process.stderr is not None
        message = json.loads(process.stderr.readline())["message"]
        with socket.create_connection(("127.0.0.1", int(message.rpartition(":")[2])), timeout=10) as host:
            host.sendall(peer.introduction("web-01").replace(peer.URI.encode(), b"u"))
            entry = json.loads(process.stderr.readline())
            assert entry["vm"] == "web-01"
            assert entry["peer"] == f"127.0.0.1:{host.getsockname()[1]}"
            assert entry["message"].startswith("connected, vc-uuid ")


# State


def test_a_state_directory_that_cannot_be_used_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command.server(
        *run_arguments(tmp_path, "127.0.0.1:0"), "--state-directory", str(tmp_path / "file")
    )
    sentence = f"the state directory {tmp_path}/file is not a directory"
    assert (done.returncode, done.stderr) == (2, f"vmw-cloudinit-metadata: {sentence}\n")


def test_the_state_directory_is_the_one_that_systemd_names_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def directory(*arguments: str) -> Path | None:
        given = ["--uri", "u", "--driver", "file", *arguments]
        found: Path | None = run.make_context("run", given, parent=click.Context(cli)).params[
            "state_directory"
        ]
        return found

    assert directory() is None
    monkeypatch.setenv("STATE_DIRECTORY", "")
    assert directory() is None
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/first:/var/lib/second")
    assert directory() == Path("/var/lib/first")
    config = tmp_path / "config.toml"
    config.write_text('state-directory = "/srv/file"')
    assert directory("--config", str(config)) == Path("/srv/file")
    monkeypatch.setenv("VMW_CLOUDINIT_METADATA_STATE_DIRECTORY", "/srv/variable")
    assert directory("--config", str(config)) == Path("/srv/variable")
    assert directory("--config", str(config), "--state-directory", "/srv/flag") == Path("/srv/flag")
