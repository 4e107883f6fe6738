"""``run``: serve metadata until told to stop."""

import contextlib
import gc
import os
import resource
from pathlib import Path
from typing import Any

import click

from vmw_cloudinit_metadata import log, systemd
from vmw_cloudinit_metadata.cli.config_file import config_option, use_config_file
from vmw_cloudinit_metadata.cli.driver import complete_driver
from vmw_cloudinit_metadata.cli.parameters import (
    Seconds,
    check_addresses,
    check_driver_options,
    check_networks,
    check_text,
    check_tls_addresses,
    check_token,
)
from vmw_cloudinit_metadata.config import Settings
from vmw_cloudinit_metadata.drivers.loader import load_driver
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.vspc.admission import RESERVED_DESCRIPTORS, Network, Tokens
from vmw_cloudinit_metadata.vspc.events import Limits
from vmw_cloudinit_metadata.vspc.server import ServerOptions, VSPCServer
from vmw_cloudinit_metadata.vspc.tls import Certificate

# VMW_CLOUDINIT_METADATA_LISTEN is --listen.
ENVIRONMENT_PREFIX = "VMW_CLOUDINIT_METADATA"

_DEFAULTS = ServerOptions()
DEFAULT_LISTEN = _DEFAULTS.listen

# The longest time an option takes: whoever gives more has mistaken the unit.
_DAY = 86400


def _systemd_directory() -> str | None:
    """Return the first directory of StateDirectory= of the unit (systemd.exec(5))."""
    return os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or None


@click.command(
    context_settings={"auto_envvar_prefix": ENVIRONMENT_PREFIX},
    epilog="\b\nExample:\n  vmw-cloudinit-metadata run --uri my-metadata \\\n"
    '      --driver file --driver-opts \'{"directory": "/srv/instances"}\'',
)
@config_option(use_config_file, "Take what is given neither here nor in the environment from this TOML file.")
@click.option(
    "--uri",
    required=True,
    callback=check_text,
    metavar="URI",
    help="The service URI that the VMs' serial ports name.",
)
@click.option(
    "--driver",
    required=True,
    metavar="NAME|MODULE:CLASS",
    shell_complete=complete_driver,
    help="Where instances come from: 'file', or a driver of your own.",
)
@click.option(
    "--driver-opts",
    type=click.UNPROCESSED,
    callback=check_driver_options,
    default="{}",
    metavar="JSON",
    help="The driver's options; for 'file': '{\"directory\": \"/srv/instances\"}'.",
)
@click.option(
    "--listen",
    callback=check_addresses,
    multiple=True,
    metavar="HOST[:PORT]",
    help="Where ESXi connects; repeatable. IPv6 in brackets.  [default: port 13370 of every address]",
)
@click.option(
    "--tls-listen",
    callback=check_tls_addresses,
    multiple=True,
    metavar="HOST[:PORT]",
    help="Where ESXi connects with TLS, telnets://; repeatable. Without --listen only there.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The certificate for TLS and the chain behind it, PEM. SIGHUP reads it again.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The certificate's private key, PEM, not encrypted.  [default: it stands in --tls-cert]",
)
@click.option(
    "--allow",
    callback=check_networks,
    multiple=True,
    metavar="CIDR",
    help="Who may connect: a network of your ESXi hosts as 192.0.2.0/24; repeatable.  [default: everyone]",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve only VMs whose service URI carries one of the tokens in FILE, a line each, as ?token=TOKEN. "
    "SIGHUP reads it again.",
)
@click.option("--token", callback=check_token, hidden=True)  # for the environment and the file
@click.option(
    "--state-directory",
    type=click.Path(path_type=Path, readable=False),  # StateDirectory.make() checks it
    default=_systemd_directory,
    metavar="DIR",
    help="Keep serving windows and reports here.  [default: $STATE_DIRECTORY of systemd; else nowhere]",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Connections at once; a VM has one, and a second during its vMotion.  "
    f"[default: what RLIMIT_NOFILE allows, less {RESERVED_DESCRIPTORS}]",
)
@click.option(
    "--max-connections-per-address",
    type=click.IntRange(min=1),
    metavar="N",
    help="Connections at once from one address: an ESXi host has one for each VM.  [default: no limit]",
)
@click.option(
    "--max-line",
    type=click.IntRange(min=1024),
    default=_DEFAULTS.limits.max_line,
    show_default=True,
    metavar="BYTES",
    help="The longest line a VM may send; a longer one is dropped.",
)
@click.option(
    "--max-suboption",
    type=click.IntRange(min=256),
    default=_DEFAULTS.limits.max_suboption,
    show_default=True,
    metavar="BYTES",
    help="The longest telnet suboption a host may send; a longer one is dropped.",
)
@click.option(
    "--max-unsent",
    type=click.IntRange(min=1024),
    default=_DEFAULTS.max_unsent,
    show_default=True,
    metavar="BYTES",
    help="A VM with more unread output than this gets no further answer until it reads.",
)
@click.option(
    "--identify-timeout",
    type=Seconds(min=0.1, max=_DAY),
    default=_DEFAULTS.identify_seconds,
    show_default=True,
    metavar="SECONDS",
    help="A connection that has not said by then which VM it is, is closed.",
)
@click.option(
    "--unread-timeout",
    type=Seconds(min=0.1, max=_DAY),
    default=_DEFAULTS.unread_seconds,
    show_default=True,
    metavar="SECONDS",
    help="A VM that has read nothing of its unread output for so long is disconnected.",
)
@click.option(
    "--stop-timeout",
    type=Seconds(min=0, max=_DAY),
    default=_DEFAULTS.stop_seconds,
    show_default=True,
    metavar="SECONDS",
    help="How long unsent answers may hold up the end.",
)
@click.option(
    "--log-level", type=click.Choice(log.LEVELS), default="info", show_default=True, help="What to log."
)
@click.option(
    "--log-format",
    type=click.Choice(log.FORMATS),
    default="auto",
    show_default=True,
    help="'json' is an object a line; 'auto' is text, with priorities where it goes to systemd's journal.",
)
@click.pass_obj
def run(
    verbose: int,
    /,
    uri: str,
    driver: str,
    driver_opts: dict[str, Any],
    listen: tuple[tuple[str, int], ...],
    tls_listen: tuple[tuple[str, int], ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    allow: tuple[Network, ...],
    token_file: Path | None,
    token: str | None,
    state_directory: Path | None,
    max_connections: int | None,
    max_connections_per_address: int | None,
    max_line: int,
    max_suboption: int,
    max_unsent: int,
    identify_timeout: float,
    unread_timeout: float,
    stop_timeout: float,
    log_level: str,
    log_format: str,
) -> None:
    """Serve metadata until SIGTERM or SIGINT.

    ESXi connects to this server for each VM whose serial port is set to use the network through a virtual
    serial port concentrator (telnet://THIS-HOST:13370), and the VM's guest asks for its metadata over that
    port.

    SIGHUP makes the driver read again what it has cached, and the server its certificate and its tokens. The
    file driver sees changed definitions by itself.

    Each option may stand in the environment (--listen as VMW_CLOUDINIT_METADATA_LISTEN; several values with
    spaces between them) and in the configuration file (listen = ["192.0.2.1:13370"]). A flag wins over the
    environment, the environment over the file.
    """
    settings = Settings(
        uri=uri,
        driver=driver,
        driver_options=driver_opts,
        server=ServerOptions(
            listen=listen or (() if tls_listen else DEFAULT_LISTEN),
            tls_listen=tls_listen,
            certificate=_certificate(tls_cert, tls_key),
            inherited=tuple(systemd.listen_fds()),
            allow=allow,
            tokens=server_tokens(token, token_file),
            state=_state(state_directory),
            limits=Limits(max_line=max_line, max_suboption=max_suboption),
            max_connections=max_connections,
            max_connections_per_address=max_connections_per_address,
            max_unsent=max_unsent,
            identify_seconds=identify_timeout,
            unread_seconds=unread_timeout,
            stop_seconds=stop_timeout,
        ),
        log_level="debug" if verbose else log_level,
        log_format=log_format,
    )
    log.set_up(settings.log_level, settings.log_format)
    _raise_descriptor_limit()
    _collect_garbage_rarely()
    VSPCServer(settings.uri, load_driver(settings.driver, settings.driver_options), settings.server).start()


def _state(path: Path | None) -> StateDirectory | None:
    if path is None:
        return None
    directory = StateDirectory(path)
    directory.make()
    return directory


def _certificate(certificate: Path | None, key: Path | None) -> Certificate | None:
    if certificate is None and key is not None:
        raise ConfigurationError("there is a private key without a certificate: give --tls-cert FILE")
    return Certificate(certificate, key) if certificate else None


def server_tokens(token: str | None, file: Path | None) -> Tokens:
    """Return the tokens a server accepts, of the setting ``token`` or of a file.

    Raises:
        ConfigurationError: both are given, or the file cannot be used.
    """
    if token is not None and file is not None:
        raise ConfigurationError("there are both a token and a file of tokens: give one of them")
    return Tokens([] if token is None else [token], file)


def _collect_garbage_rarely() -> None:
    """Let the garbage collector look at everything after a thousand rounds, not after every tenth.

    What a VM leaves is freed without it; cycles are for drivers to make. To look through what 16,000 VMs hold
    takes 0.3 s, in which no VM is answered.
    """
    gc.freeze()  # what is imported stays
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1000)


def _raise_descriptor_limit() -> None:
    """Take as many descriptors as the system gives: shells start programs with 1,024, too few for a site."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
