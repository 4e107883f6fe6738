"""What ``reports`` and ``rearm`` have in common: which directory they are about."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from vmw_cloudinit_metadata.cli.config_file import config_option, use_config_file_of_run
from vmw_cloudinit_metadata.state.directory import StateDirectory

# Where systemd keeps the service's state: StateDirectory= of its unit.
SERVICE_DIRECTORY = Path("/var/lib/vmw-cloudinit-metadata")

# The variables of `run`: what a server is told by them, a command beside it is told too.
CONTEXT = {"auto_envvar_prefix": "VMW_CLOUDINIT_METADATA"}

_F = TypeVar("_F", bound=Callable[..., object])


def state_options(command: _F) -> _F:
    """Add ``--state-directory`` and ``--config``; the command gets a ``StateDirectory``."""
    config = config_option(use_config_file_of_run, "Take state-directory from this TOML file, the server's.")
    return config(state_directory_option(command))


def state_directory_option(command: _F) -> _F:
    """Add ``--state-directory`` alone."""
    return click.option(
        "--state-directory",
        type=click.Path(path_type=Path, readable=False),  # check() says what to do
        default=SERVICE_DIRECTORY,
        show_default=True,
        callback=lambda context, parameter, path: StateDirectory(path),
        metavar="DIR",
        help="Where the server keeps its state.",
    )(command)
