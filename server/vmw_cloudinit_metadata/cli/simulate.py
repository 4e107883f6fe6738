"""The command ``simulate``: what its options mean; what they do is the package ``simulator``."""

import asyncio
import logging
import ssl
import sys
import uuid
from pathlib import Path

import click

from vmw_cloudinit_metadata.cli.parameters import check_text
from vmw_cloudinit_metadata.config import parse_address
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.simulator import DEFAULT_PORT, SimulatedVM
from vmw_cloudinit_metadata.simulator.port import PtyPort, SerialPort, UnixPort
from vmw_cloudinit_metadata.simulator.run import Machine, run

# Each VM takes a TCP port of this machine, of which Linux hands out some 28,000.
MAX_VMS = 10_000


def check_address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """Return host and port to connect to."""
    try:
        host, port = parse_address(value)
    except ConfigurationError as error:
        raise click.BadParameter(f"{error}.") from None
    if not host or not port:
        raise click.BadParameter(f"'{value}' is not HOST:PORT of a server.")
    return host, port


@click.command(
    epilog="Example: vmw-cloudinit-metadata simulate --uri my-metadata --vm web-01 --pty ./web-01.tty"
)
@click.option(
    "--connect",
    "address",
    callback=check_address,
    default=f"127.0.0.1:{DEFAULT_PORT}",
    show_default=True,
    metavar="HOST[:PORT]",
    help="The server; an IPv6 address stands in brackets.",
)
@click.option(
    "--uri",
    callback=check_text,
    required=True,
    metavar="URI",
    help="The service URI, as the server's --uri has it.",
)
@click.option("--vm", "name", callback=check_text, required=True, metavar="NAME", help="The VM's name.")
@click.option(
    "--count",
    type=click.IntRange(min=1, max=MAX_VMS),
    default=1,
    metavar="N",
    help="Simulate N VMs. In NAME, --pty and --unix {n} stands for the number of the VM, from 1; without {n} "
    "the number is appended: NAME-1, NAME-2 and so on.",
)
@click.option("--pty", type=click.Path(path_type=Path), help="Make a symbolic link here to the VM's pty.")
@click.option(
    "--unix",
    type=click.Path(path_type=Path),
    help="Instead of a pty, listen on a Unix socket: for QEMU's -chardev socket,path=PATH.",
)
@click.option(
    "--direction", type=click.Choice(["C", "S"]), default="C", show_default=True, help="As in vSphere."
)
@click.option("--vc-uuid", type=click.UUID, help="The VM's UUID in vCenter.  [default: made from the name]")
@click.option("--bios-uuid", type=click.UUID, help="The VM's BIOS UUID.  [default: made from the name]")
@click.option("--tls", is_flag=True, help="Connect as telnets:// does, without a look at the certificate.")
@click.option(
    "--tls-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Connect as telnets:// does, and check the server's certificate with the authorities in FILE.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="At the start, try for so long to reach a server that is not there yet.",
)
@click.option(
    "--vmotion-every",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Migrate every VM so often.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Show the dialogue with the server: names and sizes, no data."
)
@click.pass_context
def simulate(
    context: click.Context,
    address: tuple[str, int],
    uri: str,
    name: str,
    count: int,
    pty: Path | None,
    unix: Path | None,
    direction: str,
    vc_uuid: uuid.UUID | None,
    bios_uuid: uuid.UUID | None,
    tls: bool,
    tls_ca: Path | None,
    wait: float,
    vmotion_every: float | None,
    verbose: bool,
) -> None:
    """Be an ESXi host with VMs, to try a server without vSphere.

    Each VM's serial port is a pty, and its guest is whoever opens that: vmw-cloudinit-guest, or a terminal
    program. When the server serves a VM, one line is printed on standard output:

        NAME: serial port PATH

    SIGUSR1 migrates every VM to another host (vMotion); SIGUSR2 begins a migration and aborts it; SIGINT and
    SIGTERM end the host, exit 0. When the server goes away the VMs connect again, as on ESXi. When it cannot
    be reached at the start, or serves another URI, the host ends, exit 1.
    """
    if pty and unix:
        raise click.UsageError("--pty and --unix exclude each other.")
    if count > 1 and (vc_uuid or bios_uuid):
        raise click.UsageError("--vc-uuid and --bios-uuid are for one VM, not for --count.")
    logging.basicConfig(
        stream=sys.stderr,
        format="%(message)s",
        level=logging.DEBUG if verbose or context.obj else logging.INFO,
    )

    def machine(n: int) -> Machine:
        vm = SimulatedVM(
            numbered(name, n, count),
            uri,
            *address,
            direction=direction,
            vc_uuid=vc_uuid,
            bios_uuid=bios_uuid,
            tls=_tls_context(tls_ca) if tls or tls_ca else None,
        )
        port: SerialPort
        if unix:
            port = UnixPort(Path(numbered(str(unix), n, count)))
        else:
            port = PtyPort(Path(numbered(str(pty), n, count)) if pty else None)
        return Machine(vm, port)

    machines = [machine(n) for n in range(1, count + 1)]
    asyncio.run(run(machines, _announce, wait=wait, vmotion_every=vmotion_every))


def numbered(template: str, n: int, count: int) -> str:
    """Return the n-th of ``count`` names: ``n`` stands for ``{n}``, or is appended if there are several."""
    if "{n}" in template:
        return template.replace("{n}", str(n))
    return template if count == 1 else f"{template}-{n}"


def _announce(machine: Machine) -> None:
    # Absolute, wherever the guest is started; and vmw-cloudinit-guest takes a bare name for one in /dev.
    click.echo(f"{machine.vm.name}: serial port {Path(machine.port.path).absolute()}")
    sys.stdout.flush()


def _tls_context(authorities: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise ConfigurationError(f"{authorities}: no certificates can be read: {error.strerror}") from None
    if authorities is None:
        # ESXi does not check the certificate either, unless the port's URI says #verify or #thumbprint=.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
