"""What an option's value means to click, whether a flag, a variable or the configuration file says it.

What the texts mean is ``config.py``'s; here its errors become click's, which name the option.
"""

import math
import uuid
from typing import Any

import click
from click.core import ParameterSource

from vmw_cloudinit_metadata.checks import parse_uuid, token_fault
from vmw_cloudinit_metadata.config import parse_address, parse_driver_options
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.vspc.admission import Network, parse_network
from vmw_cloudinit_metadata.vspc.server import DEFAULT_PORT, DEFAULT_TLS_PORT

# So long a guest waits at its first boot, unless its configuration says otherwise.
FIRST_BOOT_SECONDS = 120


def check_addresses(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports to listen on."""
    return _addresses(values, DEFAULT_PORT)


def check_tls_addresses(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports to listen on for TLS."""
    return _addresses(values, DEFAULT_TLS_PORT)


def _addresses(values: tuple[str, ...], default_port: int) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(parse_address(value, default_port) for value in values)
    except ConfigurationError as error:
        raise click.BadParameter(f"{error}.") from None


def check_networks(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Network, ...]:
    """Return networks of those who may connect."""
    try:
        return tuple(parse_network(value) for value in values)
    except ConfigurationError as error:
        raise click.BadParameter(f"{error}.") from None


def check_token(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a token that the environment or the configuration file gives, and no command line."""
    if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
        raise click.BadParameter("every user of a machine can read its command lines; use --token-file.")
    if value is not None and (fault := token_fault(value)):
        raise click.BadParameter(f"it {fault}.")
    return value


def check_driver_options(
    context: click.Context, parameter: click.Parameter, value: str | dict[str, Any]
) -> dict[str, Any]:
    """Return a driver's options: a JSON object as text, or a table of the configuration file as it is."""
    if isinstance(value, dict):
        return value
    try:
        return parse_driver_options(value)
    except ConfigurationError as error:
        raise click.BadParameter(f"{error}.") from None


def check_text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a text that can be sent: not empty, and UTF-8; None if there is none."""
    if value is None:
        return None
    if not value:
        raise click.BadParameter("it is empty.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not UTF-8.") from None
    return value


def check_uuid(context: click.Context, parameter: click.Parameter, value: str | None) -> uuid.UUID | None:
    """Return a UUID, in any usual writing; None if there is none."""
    parsed = parse_uuid(value)
    if value is not None and parsed is None:
        raise click.BadParameter("it is not a UUID.")
    return parsed


class Seconds(click.FloatRange):
    """A time that a clock can count: "nan" is a float, and in no range, but click lets it through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds
