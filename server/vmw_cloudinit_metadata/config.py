"""Settings: what an operator gives, checked, as one frozen object."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.vspc.server import DEFAULT_PORT, ServerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything ``run`` needs to know."""

    uri: str  # the service URI the VMs' serial ports name
    driver: str  # "module:Class" or the name of an entry point
    driver_options: Mapping[str, Any] = field(
        default_factory=dict, repr=False
    )  # a password may be among them
    server: ServerOptions = field(default_factory=ServerOptions)
    log_level: str = "info"
    log_format: str = "auto"


def parse_address(text: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``[IPV6]:PORT``, ``HOST`` or ``:PORT`` (every address: host "").

    Raises:
        ConfigurationError: it is none of these.
    """
    host, separator, port = text.rpartition(":")
    if not separator or port.endswith("]"):
        host, port = text, str(default_port)
        if host.isdecimal():  # to a resolver a number is an address, and to a person a port
            raise ConfigurationError(f"'{text}' is not HOST:PORT; a port of every address is :{text}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigurationError(
            f"'{text}' is not HOST:PORT; an IPv6 address stands in brackets: [::1]:{default_port}"
        )
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigurationError(f"'{text}' is not HOST:PORT: a port is a number from 0 to 65535")
    return "" if host == "*" else host, int(port)


def parse_driver_options(text: str) -> dict[str, Any]:
    """Return a driver's options from a JSON object.

    Raises:
        ConfigurationError: it is no JSON, or no object; the text is not quoted, a password may be in it.
    """
    try:
        options = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"""the driver's options are not JSON, as in '{{"directory": "/srv/instances"}}': {error}"""
        ) from None
    except RecursionError:
        raise ConfigurationError("the driver's options are nested too deeply") from None
    if not isinstance(options, dict):
        raise ConfigurationError(
            'the driver\'s options are a JSON object, such as {"directory": "/srv/instances"}'
        )
    return options
