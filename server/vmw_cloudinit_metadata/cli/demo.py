"""``demo``: the whole path on one machine, in a few seconds."""

import asyncio
import importlib.resources
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click

from vmw_cloudinit_metadata import log
from vmw_cloudinit_metadata.cli.parameters import check_text
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.reading import is_definition
from vmw_cloudinit_metadata.errors import MetadataError
from vmw_cloudinit_metadata.simulator import SimulatedVM
from vmw_cloudinit_metadata.simulator.port import PtyPort, until_first
from vmw_cloudinit_metadata.vspc.server import ServerOptions, VSPCServer

URI = "demo"
GUEST_SECONDS = 20


class DemoError(MetadataError):
    """The demo did not come to its end; the guest has said why."""


@click.command()
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--vm",
    callback=check_text,
    metavar="NAME",
    help="The VM to simulate.  [default: that of the first definition]",
)
def demo(directory: Path | None, vm: str | None) -> None:
    """Serve a definition to a simulated VM, and show what arrives.

    A real server on a free port of this machine, a simulated ESXi host that connects to it, a pseudo-terminal
    as the VM's serial port, and the real guest helper: it asks, and writes a seed for cloud-init into a new
    temporary directory. DIRECTORY holds definitions; without it, examples that come with the program do.

    Needs no root, and ends by itself.
    """
    log.set_up("warning")
    # What SIGINT does anyway: end in order, and leave nothing behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with importlib.resources.as_file(
        importlib.resources.files("vmw_cloudinit_metadata") / "examples"
    ) as examples:
        definition = _definition(directory or examples, vm)
        parse_definition(definition.read_bytes(), str(definition))  # its faults are to be told at once
        new_directory = Path(tempfile.mkdtemp(prefix="vmw-cloudinit-demo-"))
        try:
            asyncio.run(_demonstrate(definition, new_directory / "nocloud"))
        except BaseException:
            shutil.rmtree(new_directory)
            raise


async def _demonstrate(definition: Path, seed: Path) -> None:
    directory, name = definition.parent, definition.stem
    server = VSPCServer(
        URI, FileDriver({"directory": str(directory)}), ServerOptions(listen=(("127.0.0.1", 0),))
    )
    ((host, port),) = await server.listen()
    vm = SimulatedVM(name, URI, host, port)
    try:
        with PtyPort() as serial_port:
            click.echo(f"definition   {definition}")
            click.echo(f"server       {host}:{port}, service URI {URI}")
            await vm.start()
            click.echo(f"ESXi host    simulated: connected for VM {name}, vc-uuid {vm.identity.vc_uuid}")
            click.echo(f"serial port  {serial_port.path}")
            click.echo("\nOn the line, as the guest sees it (codes and sizes):\n")
            await until_first(serial_port.bridge(vm), _run_guest(serial_port.path, seed))
    finally:
        await vm.close()
        await server.close()
    _show(seed)
    programs = (
        "" if shutil.which("vmw-cloudinit-metadata") else f"{os.path.relpath(Path(sys.executable).parent)}/"
    )
    click.echo(_HOW_TO_GO_ON.format(directory=directory, name=name, seed=seed.parent, bin=programs))


def _definition(directory: Path, name: str | None) -> Path:
    found = sorted(path for path in directory.iterdir() if is_definition(path.name))
    for path in found:
        if name in (None, path.stem):
            return path
    raise DemoError(f"there is no definition ({name or '*'}.yaml) in {directory}")


async def _run_guest(port: str, seed: Path) -> None:
    """Run the guest as a process of its own, as a VM does."""
    fetch = ["fetch", "--verbose", "--port", port, "--seed-dir", str(seed), "--timeout", str(GUEST_SECONDS)]
    guest = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vmw_cloudinit_guest", *fetch),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    if guest.stdout is not None:
        async for line in guest.stdout:
            click.echo("    " + line.decode(errors="replace").rstrip())
    if code := await guest.wait():
        raise DemoError(f"the guest ended with exit code {code}")


def _show(seed: Path) -> None:
    click.echo(f"\nThe seed in {seed}, which cloud-init takes in a VM:\n")
    for path in sorted(seed.iterdir()):
        click.echo(f"    {path.stat().st_mode & 0o777:04o} {path.stat().st_size:>6} bytes  {path.name}")
    click.echo(f"\nmeta-data:\n\n    {(seed / 'meta-data').read_text().rstrip()}")


_HOW_TO_GO_ON = """
How to go on:

  serve       {bin}vmw-cloudinit-metadata run --uri my-metadata \\
                  --driver file --driver-opts '{{"directory": "{directory}"}}'
  simulate    {bin}vmw-cloudinit-metadata simulate --connect 127.0.0.1:13370 --uri my-metadata --vm {name}
  ask         {bin}vmw-cloudinit-guest fetch --port THE-PTY-IT-PRINTS --seed-dir ./seed
  for real    README.md, "Set it up on vSphere"

The seed may be deleted: rm -r {seed}"""
