"""``vsphere``: what to enter in vSphere, so that a VM's serial port finds the server."""

import re
import shlex
from pathlib import Path

import click

from vmw_cloudinit_metadata.cli.config_file import config_option, use_config_file_of_run
from vmw_cloudinit_metadata.cli.parameters import (
    check_addresses,
    check_text,
    check_tls_addresses,
    check_token,
)
from vmw_cloudinit_metadata.cli.run import DEFAULT_LISTEN, ENVIRONMENT_PREFIX, server_tokens
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.log import address_text
from vmw_cloudinit_metadata.vspc.tls import thumbprint


def check_host(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a host's name or address, an IPv6 address without its brackets."""
    host = value.removeprefix("[").removesuffix("]")
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%\w+)?", host):
        raise click.BadParameter("it is no name or address of a host; the port is that of --listen.")
    return host


@click.command(
    context_settings={"auto_envvar_prefix": ENVIRONMENT_PREFIX},
    epilog="\b\nExample:\n  vmw-cloudinit-metadata vsphere --host vspc.example.org \\\n"
    "      --config /etc/vmw-cloudinit-metadata/config.toml",
)
@click.option(
    "--host",
    required=True,
    callback=check_host,
    metavar="HOST",
    help="The name or address by which the ESXi hosts reach the server.",
)
@config_option(
    use_config_file_of_run, "The server's configuration file: what is not given here is taken from it."
)
@click.option("--uri", required=True, callback=check_text, metavar="URI", help="As for run.")
@click.option(
    "--listen",
    callback=check_addresses,
    multiple=True,
    metavar="HOST[:PORT]",
    help="As for run; of it, the port.",
)
@click.option(
    "--tls-listen",
    callback=check_tls_addresses,
    multiple=True,
    metavar="HOST[:PORT]",
    help="As for run; of it, the port.",
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="As for run; of it, the thumbprint."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="As for run; of it, the first token.",
)
@click.option("--token", callback=check_token, hidden=True)  # for the environment and the file
@click.option("--show-token", is_flag=True, help="Print the token in place of the word TOKEN.")
def vsphere(
    host: str,
    uri: str,
    listen: tuple[tuple[str, int], ...],
    tls_listen: tuple[tuple[str, int], ...],
    tls_cert: Path | None,
    token_file: Path | None,
    token: str | None,
    show_token: bool,
) -> None:
    """Print what to enter in vSphere for a VM's serial port.

    The settings are those of the server, by the same options, variables and file as for run. The thumbprint
    makes ESXi connect to no server with another certificate: one that is renewed has to be entered again.
    """
    service = uri
    if token is not None or token_file is not None:
        shown = server_tokens(token, token_file).first if show_token else "TOKEN"
        service += f"{'&' if '?' in uri else '?'}token={shown}"
    servers = []
    for _, port in tls_listen:
        if tls_cert is None:
            raise ConfigurationError("TLS needs a certificate: give --tls-cert FILE")
        servers.append(f"telnets://{address_text(host, port)}#thumbprint={thumbprint(tls_cert)}")
    for _, port in listen or (() if tls_listen else DEFAULT_LISTEN):
        servers.append(f"telnet://{address_text(host, port)}")
    first, *others = dict.fromkeys(servers)
    rows = [("Direction", "Client"), ("Port URI", service), ("vSPC URI", first)]
    rows += [("or", each) for each in others]
    click.echo("In the settings of the VM, a serial port that uses the network:\n")
    for name, value in rows:
        click.echo(f"  {name:<10}  {value}")
    click.echo("\nWith govc, for the VM NAME:\n")
    click.echo("  govc device.serial.connect -vm NAME -device serialport-9000 -client \\")
    click.echo(f"      -vspc-proxy {shlex.quote(first)} {shlex.quote(service)}")
