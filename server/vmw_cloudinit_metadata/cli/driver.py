"""What commands beside ``run`` have in common that look at its definitions: which driver they ask."""

from collections.abc import Callable
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from vmw_cloudinit_metadata.cli.config_file import config_option, use_config_file_of_run
from vmw_cloudinit_metadata.cli.parameters import check_driver_options
from vmw_cloudinit_metadata.drivers.loader import driver_names

_F = TypeVar("_F", bound=Callable[..., object])


def complete_driver(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the drivers that have a name."""
    return [CompletionItem(name) for name in driver_names() if name.startswith(incomplete)]


def driver_options(required: bool) -> Callable[[_F], _F]:
    """Add ``--driver``, ``--driver-opts`` and ``--config``, all as ``run`` has them.

    The command gets ``driver``, a name (None where there is none and none is required), and ``driver_opts``,
    a dictionary: what ``load_driver`` takes.
    """
    config = config_option(
        use_config_file_of_run, "The server's configuration file: what is not given here is taken from it."
    )
    driver = click.option(
        "--driver",
        required=required,
        metavar="NAME|MODULE:CLASS",
        shell_complete=complete_driver,
        help="Where instances come from, as for run: 'file', or a driver of your own.",
    )
    options = click.option(
        "--driver-opts",
        type=click.UNPROCESSED,
        callback=check_driver_options,
        default="{}",
        metavar="JSON",
        help="The driver's options, as for run; for 'file': '{\"directory\": \"/srv/instances\"}'.",
    )
    return lambda command: config(driver(options(command)))
