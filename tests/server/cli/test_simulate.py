import asyncio
import contextlib
import os
import resource
import signal
import socket
import ssl
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest
import trustme
from click.testing import CliRunner, Result

from tests.server.simulator.scripted_vspc import (
    ABORT,
    BEGIN,
    COMPLETE,
    DO_PROXY,
    GET_VM_NAME,
    GOAHEAD,
    PEER,
    PEER_OK,
    WILL_COM_PORT,
    WILL_PROXY,
    WONT_PROXY,
    Caller,
    ScriptedVSPC,
    listening,
    suboption,
)
from tests.support.loop import in_loop
from vmw_cloudinit_metadata.cli.simulate import check_address, numbered, simulate
from vmw_cloudinit_metadata.errors import ConfigurationError, SimulatorError

# What cli/main.py does with an error, without the other commands.
PROGRAM = """
import sys
from vmw_cloudinit_metadata.cli.simulate import simulate
from vmw_cloudinit_metadata.errors import MetadataError
try:
    simulate(standalone_mode=False)
except MetadataError as error:
    sys.exit(f"{error.exit_code}: {error}")
"""


@contextlib.asynccontextmanager
async def simulating(server: ScriptedVSPC, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        "--connect",
        f"127.0.0.1:{server.port}",
        "--uri",
        "my-metadata",
        *options,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    assert process.stdout
    return (await process.stdout.readline()).decode()


async def log_line(process: Process) -> str:
    assert process.stderr
    return (await process.stderr.readline()).decode()


async def serve(caller: Caller) -> str:
    """Serve the VM, and return its name."""
    await caller.open(DO_PROXY)
    await caller.send(GET_VM_NAME + WILL_PROXY)
    await caller.expect(b"\xff\xfa\xe8\x52")
    name = await caller.read_until(b"\xff\xf0")
    await caller.expect(WILL_COM_PORT)
    return name.decode()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_port_is_printed_once_it_is_ready_and_a_signal_ends_the_host(
    end: signal.Signals, tmp_path: Path
) -> None:
    link = tmp_path / "web-01.tty"

    @in_loop
    async def test() -> None:
        async with (
            listening() as server,
            simulating(server, "--vm", "web-01", "--pty", str(link)) as process,
        ):
            caller = await server.caller()
            await caller.serve()
            assert await line(process) == f"web-01: serial port {link}\n"
            guest = os.open(link, os.O_RDWR | os.O_NOCTTY)
            os.write(guest, b"hello\n")
            await caller.expect(b"hello\r\x00\n")
            os.close(guest)
            process.send_signal(end)
            await caller.expect_end()
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 0
            assert not link.is_symlink()

    test()


@pytest.mark.parametrize("option", ["--pty", "--unix"])
def test_a_relative_path_is_printed_so_that_a_guest_finds_it_from_anywhere(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @in_loop
    async def test() -> None:
        async with (
            listening() as server,
            simulating(server, "--vm", "web-01", option, "./web-01.tty") as process,
        ):
            await (await server.caller()).serve()
            assert await line(process) == f"web-01: serial port {tmp_path}/web-01.tty\n"

    test()


@in_loop
async def test_signals_migrate_the_vms() -> None:
    async with listening() as server, simulating(server, "--vm", "web-01") as process:
        source = await server.caller()
        await source.serve()
        await line(process)
        process.send_signal(signal.SIGUSR1)
        await source.expect(BEGIN)
        await source.send(GOAHEAD)
        destination = await server.caller()
        await destination.open(PEER)
        await destination.send(PEER_OK)
        await source.expect_end()
        await destination.expect(WILL_COM_PORT + COMPLETE)
        assert await log_line(process) == "web-01: migrated\n"
        process.send_signal(signal.SIGUSR2)
        sequence = b"\xff\x00\x00\x02"
        await destination.expect(suboption(b"\x28" + sequence))
        await destination.send(suboption(b"\x29" + sequence + b"secretly"))
        await destination.expect(ABORT)
        assert await log_line(process) == "web-01: a migration was begun and aborted\n"
        process.send_signal(signal.SIGUSR1)
        sequence = b"\xff\x00\x00\x03"
        await destination.expect(suboption(b"\x28" + sequence))
        await destination.send(suboption(b"\x2b" + sequence))
        assert await log_line(process) == "web-01: the server answers VMOTION-NOTNOW\n"
        process.terminate()
        assert await process.wait() == 0


@in_loop
async def test_vms_migrate_every_so_often() -> None:
    options = ["--vm", "web-01", "--vmotion-every", "0.01"]
    async with listening() as server, simulating(server, *options) as process:
        source = await server.caller()
        await source.serve()
        await line(process)
        await source.expect(b"\xff\xfa\xe8\x28")


@in_loop
async def test_many_vms_have_numbers(tmp_path: Path) -> None:
    options = ["--vm", "web-{n}.example", "--count", "3", "--unix", str(tmp_path / "serial")]
    async with listening() as server, simulating(server, *options) as process:
        names = [await serve(await server.caller()) for _ in range(3)]
        lines = [await line(process) for _ in range(3)]
        assert sorted(names) == [f"web-{n}.example" for n in (1, 2, 3)]
        assert sorted(lines) == [f"web-{n}.example: serial port {tmp_path}/serial-{n}\n" for n in (1, 2, 3)]
        process.terminate()
        assert await process.wait() == 0
        assert list(tmp_path.iterdir()) == []


@in_loop
async def test_verbose_shows_names_and_sizes() -> None:
    async with listening() as server, simulating(server, "--vm", "web-01", "-v") as process:
        caller = await server.caller()
        await caller.serve()
        await line(process)
        await caller.send(b"password" + GET_VM_NAME)
        await caller.expect(suboption(b"\x52web-01"))
        process.terminate()
        _, log = await process.communicate()
        assert b"web-01 > DO-PROXY C 'my-metadata'\n" in log
        assert b"web-01 < 8 bytes of serial data\n" in log
        assert b"password" not in log


@in_loop
async def test_a_refusal_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    link = tmp_path / "web-01.tty"
    async with listening() as server, simulating(server, "--vm", "web-01", "--pty", str(link)) as process:
        caller = await server.caller()
        await caller.open(DO_PROXY)
        await caller.send(WONT_PROXY)
        out, error = await process.communicate()
        service = "the service URI 'my-metadata', or not without its token"
        sentence = f"web-01: 127.0.0.1:{server.port} does not serve {service}"
        assert (out, error.decode()) == (b"", f"1: {sentence}\n")
        assert process.returncode == 1
        assert not link.is_symlink()


@pytest.mark.parametrize("checked", [True, False])
def test_tls_with_and_without_a_look_at_the_certificate(checked: bool, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (authority if checked else stranger).issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    options = ["--tls-ca", str(tmp_path / "ca.pem")] if checked else ["--tls"]

    @in_loop
    async def test() -> None:
        async with (
            listening(tls=tls) as server,
            simulating(server, "--vm", "web-01", *options) as process,
        ):
            caller = await server.caller()
            await caller.serve()
            assert (await line(process)).startswith("web-01: serial port ")
            process.terminate()
            await caller.expect_end()
            assert await process.wait() == 0

    test()


@in_loop
async def test_a_certificate_of_a_stranger_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    options = ["--vm", "web-01", "--tls-ca", str(tmp_path / "ca.pem")]
    async with listening(tls=tls) as server, simulating(server, *options) as process:
        _, error = await process.communicate()
        rejected = f"1: web-01: the certificate of 127.0.0.1:{server.port} is not accepted: "
        assert error.decode() == f"{rejected}unable to get local issuer certificate\n"


@in_loop
async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    async with listening() as server:
        port = server.port
    async with simulating(server, "--vm", "web-01", "--wait", "3600") as process:
        assert "Connection refused; trying again" in await log_line(process)
        async with listening(port) as server:
            await (await server.caller()).serve()
            assert (await line(process)).startswith("web-01: serial port /dev/pts/")


def invoke(*options: str) -> Result:
    return CliRunner().invoke(simulate, ["--uri", "my-metadata", "--vm", "web-01", *options])


def test_an_unreachable_server_is_an_error() -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        port = bound_but_not_listening.getsockname()[1]
        result = invoke("--connect", f"127.0.0.1:{port}")
    assert result.output == ""
    assert isinstance(result.exception, SimulatorError)
    assert str(result.exception) == f"web-01: cannot connect to 127.0.0.1:{port}: Connection refused"


def test_a_limit_that_the_kernel_does_not_raise_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*limits: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        result = invoke("--connect", f"127.0.0.1:{bound_but_not_listening.getsockname()[1]}")
    assert isinstance(result.exception, SimulatorError)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--connect", "::1"], "is not HOST:PORT; an IPv6 address stands in brackets"),
        (["--connect", "host:0"], "is not HOST:PORT"),
        (["--connect", "host:65536"], "is not HOST:PORT"),
        (["--connect", ""], "is not HOST:PORT"),
        (["--pty", "a", "--unix", "b"], "--pty and --unix exclude each other"),
        (["--count", "2", "--vc-uuid", str(uuid.uuid4())], "are for one VM"),
        (["--count", "0"], "0 is not in the range"),
        (["--count", "10001"], "10001 is not in the range"),
        (["--vc-uuid", "x"], "not a valid UUID"),
        (["--vm", ""], "it is empty"),
        (["--vm", "\udcff"], "it is not UTF-8"),
        (["--direction", "X"], "'X' is not one of"),
    ],
    ids=lambda row: "",
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(options: list[str], reason: str) -> None:
    result = invoke(*options)
    assert reason in result.stderr
    assert result.exit_code == 2


def test_a_ca_file_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    result = invoke("--tls-ca", str(file))
    assert isinstance(result.exception, ConfigurationError)
    assert str(file) in str(result.exception)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host", ("host", 13370)),
        ("host:1", ("host", 1)),
        ("[::1]", ("::1", 13370)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_a_host_and_perhaps_a_port(text: str, address: tuple[str, int]) -> None:
    context = click.Context(simulate)
    assert check_address(context, simulate.params[0], text) == address


@pytest.mark.parametrize(
    ("template", "count", "names"),
    [
        ("web", 1, ["web"]),
        ("web", 2, ["web-1", "web-2"]),
        ("web-{n}", 1, ["web-1"]),
        ("{n}/{n}", 2, ["1/1", "2/2"]),
        ("{0} {x}", 2, ["{0} {x}-1", "{0} {x}-2"]),
    ],
)
def test_names_are_numbered(template: str, count: int, names: list[str]) -> None:
    assert [numbered(template, n, count) for n in range(1, count + 1)] == names
