"""``validate``: print what is wrong with definitions, before a VM boots with them."""

import itertools
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from vmw_cloudinit_metadata.checking.cloudinit import CloudInit, find_cloud_init
from vmw_cloudinit_metadata.checking.definitions import Checker
from vmw_cloudinit_metadata.checking.directories import check_above, check_directories
from vmw_cloudinit_metadata.checking.notes import Checked
from vmw_cloudinit_metadata.checking.processes import map_in_processes
from vmw_cloudinit_metadata.checking.report import MAX_FOUND, Report, report, warning_line
from vmw_cloudinit_metadata.cli.driver import driver_options
from vmw_cloudinit_metadata.cli.parameters import FIRST_BOOT_SECONDS, Seconds
from vmw_cloudinit_metadata.cli.run import ENVIRONMENT_PREFIX
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.loader import load_driver
from vmw_cloudinit_metadata.errors import ConfigurationError, DefinitionError, Fault

NO_CLOUD_INIT = "cloud-init is not installed here, so that its schemas were not used"


class _Chosen(NamedTuple):
    """The driver of a directory, and which of its definitions and directories are meant."""

    driver: FileDriver
    definitions: list[str]
    directories: list[str]


@click.command(
    context_settings={"auto_envvar_prefix": ENVIRONMENT_PREFIX},
    epilog="\b\nExamples:\n  vmw-cloudinit-metadata validate /srv/instances\n"
    "  vmw-cloudinit-metadata validate --config /etc/vmw-cloudinit-metadata/config.toml",
)
@click.argument("paths", nargs=-1, type=click.Path(exists=True), metavar="[PATH]...")
@driver_options(required=False)
@click.option(
    "--line-seconds",
    type=Seconds(min=1),
    default=FIRST_BOOT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Warn of user-data that a serial line of 115200 baud takes longer for; a guest waits so long.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="'json' is an object with all faults and warnings.",
)
def validate(
    paths: tuple[str, ...], driver: str | None, driver_opts: dict[str, Any], line_seconds: float, form: str
) -> None:
    """Print what is wrong with definitions, and what is doubtful.

    PATH is a definition or a directory of them; without it, all definitions of the driver's directory are
    read. Without a directory in --driver-opts each PATH that is one is taken for the driver's, and so is the
    one that a file lies in: from there on _defaults.yaml counts.

    A fault is why a VM gets nothing, or not what is meant. Addresses and identities are also compared with
    one another. Where cloud-init is installed, its own schemas are used as well; what they find is a warning,
    since guests may have another release.

    Exit codes: 0 no faults, 1 faults, 2 wrong usage.
    """
    cloud_init = find_cloud_init()
    chosen = _choose(driver or "file", driver_opts, paths)
    checked = itertools.chain.from_iterable(_check(each, cloud_init, line_seconds) for each in chosen)
    found = report(checked, _check_beside(chosen, said="directory" in driver_opts))
    if form == "json":
        click.echo(json.dumps(_as_json(found, cloud_init), indent=2))
    else:
        for line in _as_text(found, cloud_init):
            click.echo(line)
    if found.faults:
        raise click.exceptions.Exit(DefinitionError.exit_code)


def _check(chosen: _Chosen, cloud_init: CloudInit | None, line_seconds: float) -> Iterator[Checked]:
    checker = Checker(chosen.driver, cloud_init, line_seconds)
    return map_in_processes(checker.check, chosen.definitions)


def _check_beside(chosen: Sequence[_Chosen], said: bool) -> Iterator[Checked]:
    for each in chosen:
        yield check_directories(each.driver, each.directories)
        if not said:
            yield check_above(each.driver.options.directory)


def _choose(name: str, options: dict[str, Any], paths: Sequence[str]) -> list[_Chosen]:
    """Return what is meant, driver by driver.

    Raises:
        ConfigurationError: it is no file driver, or a path is none of its.
    """
    if "directory" in options or not paths:
        return [_select(_load(name, options), list(map(os.path.abspath, paths)))]
    roots: dict[str, list[str]] = {}
    # Shorter ones first: what lies in a directory that is given, too, is that one's.
    for path in sorted(map(os.path.abspath, paths), key=len):
        directory = path if os.path.isdir(path) else os.path.dirname(path)
        root = next((each for each in _way(directory) if each in roots), directory)
        roots.setdefault(root, []).append(path)
    return [_select(_load(name, {**options, "directory": root}), each) for root, each in roots.items()]


def _load(name: str, options: dict[str, Any]) -> FileDriver:
    if name == "file" and "directory" not in options:
        raise ConfigurationError("give a PATH, the server's --config, or a directory in --driver-opts")
    driver = load_driver(name, options)
    if not isinstance(driver, FileDriver):
        raise ConfigurationError(
            f"validate reads the definitions of the driver file; what {name} serves, 'show VM' tells"
        )
    # What it logs is told here, too, and without a handler Python would print it.
    driver.logger.addHandler(logging.NullHandler())
    return driver


def _select(driver: FileDriver, paths: Sequence[str]) -> _Chosen:
    """Return all definitions of a driver, or those at and below some paths."""
    root = driver.options.directory
    definitions = list(driver.definitions())
    if not definitions:
        raise ConfigurationError(f"there is no definition in {root}: their names end with .yaml or .yml")
    meant = set(paths or [root])
    at_or_below = {path: meant.intersection(_way(path)) for path in definitions}
    for path in paths:
        if root not in _way(path):
            raise ConfigurationError(f"{path} is not in the driver's directory, {root}")
    for path in meant.difference(*at_or_below.values()):
        raise ConfigurationError(f"{path} is no definition of the driver's, and has none in it")
    directories = [path for path in driver.directories() if meant.intersection(_way(path))]
    return _Chosen(driver, [path for path, found in at_or_below.items() if found], directories)


def _way(path: str) -> list[str]:
    """Return a path and the directories that it is in."""
    return [path, *map(str, Path(path).parents)]


def _as_text(found: Report, cloud_init: CloudInit | None) -> Iterator[str]:
    yield from map(str, found.faults)
    yield from map(warning_line, found.warnings)
    counts = (
        _count(found.definitions, "definition"),
        _count(len(found.faults), "fault"),
        _count(len(found.warnings), "warning"),
    )
    schemas = f"with the schemas of cloud-init {cloud_init.release}" if cloud_init else NO_CLOUD_INIT
    yield f"{', '.join(counts)} ({schemas})"


def _count(number: int, what: str) -> str:
    more = " or more" if number >= MAX_FOUND and what != "definition" else ""
    return f"{number:,} {what}{'' if number == 1 else 's'}{more}"


def _as_json(found: Report, cloud_init: CloudInit | None) -> dict[str, Any]:
    return {
        "definitions": found.definitions,
        "cloud-init": cloud_init and cloud_init.release,
        "faults": list(map(_fault_as_json, found.faults)),
        "warnings": list(map(_fault_as_json, found.warnings)),
    }


def _fault_as_json(fault: Fault) -> dict[str, Any]:
    return {"file": fault.source, "line": fault.line or None, "key": fault.key or None, "text": fault.text}
