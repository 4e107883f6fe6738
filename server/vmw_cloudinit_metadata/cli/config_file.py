"""The configuration file: TOML, its keys are the names of a command's options.

What it says becomes click's ``default_map``, which click asks after flags and environment: the precedence is
flag, environment, file, default.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vmw_cloudinit_metadata.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

# What they would say in a file is said before it is read.
_NOT_IN_THE_FILE = ("config", "help")


def use_config_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Take a command's defaults from the file; the callback of an eager option, which comes first.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or holds a key or a value that is none.
    """
    if path is not None and not context.resilient_parsing:  # else a shell completes, with a file or without
        context.default_map = {**(context.default_map or {}), **_defaults(context, path)}
    return path


def use_config_file_of_run(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Take from the server's file what this command has options for; the callback of an eager option.

    What else stands in the file is the server's to check.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or holds a value that is none.
    """
    if path is not None and not context.resilient_parsing:
        options = file_options(context.command)
        settings = {key: value for key, value in _read(path).items() if key in options}
        context.default_map = {**(context.default_map or {}), **_checked(context, path, settings)}
    return path


def config_option(callback: Callable[..., Path | None], text: str) -> Callable[[F], F]:
    """Return the decorator that adds ``--config`` to a command; one of the two above is its callback."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=callback,
        metavar="FILE",
        help=text,
    )


def file_options(command: click.Command) -> dict[str, click.Option]:
    """Return the options that a configuration file may hold, by their keys."""
    options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    keys = {option.opts[0].removeprefix("--"): option for option in options}
    return {key: option for key, option in keys.items() if key not in _NOT_IN_THE_FILE}


def _defaults(context: click.Context, path: Path) -> dict[str, Any]:
    options = file_options(context.command)
    settings = _read(path)
    for key in settings:
        if key not in options:
            raise ConfigurationError(
                f"{path}: {key}: there is no such key; the keys are {', '.join(options)}"
            )
    return _checked(context, path, settings)


def _checked(context: click.Context, path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings, all of them options of the command, by the names of its parameters."""
    options = file_options(context.command)
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        option = options[key]
        if fault := _wrong_type(option, value):
            raise ConfigurationError(f"{path}: {key}: {fault}")
        try:
            option.process_value(context, value)
        except click.BadParameter as error:
            raise ConfigurationError(f"{path}: {key}: {error.message.removesuffix('.')}") from None
        defaults[str(option.name)] = value
    return defaults


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8, as TOML is") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: not TOML: nested too deeply") from None


def _wrong_type(option: click.Option, value: Any) -> str:
    """Return what is wrong with a value's type, "" if nothing is: click itself would take 5 for a text."""
    if option.multiple:
        fits, wanted = _is_list_of_strings(value), 'a list of strings: ["…", "…"]'
    elif option.type is click.UNPROCESSED:
        fits, wanted = isinstance(value, dict), "a table"
    elif isinstance(option.type, click.IntRange):
        fits, wanted = type(value) is int, "a whole number"  # a bool is an int, but not here
    elif isinstance(option.type, click.FloatRange):
        fits, wanted = type(value) in (int, float), "a number"
    else:
        fits, wanted = isinstance(value, str), 'a string: "…"'
    return "" if fits else f"must be {wanted}"


def _is_list_of_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
