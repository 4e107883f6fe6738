"""What commands have in common that write definitions: where to, and what becomes of them there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.checking.cloudinit import find_cloud_init
from vmw_cloudinit_metadata.checking.definitions import Checker
from vmw_cloudinit_metadata.checking.report import warning_line
from vmw_cloudinit_metadata.cli.asking import NO_UUID, told_by_driver
from vmw_cloudinit_metadata.cli.config_file import config_option, use_config_file_of_run
from vmw_cloudinit_metadata.cli.files import write_file
from vmw_cloudinit_metadata.cli.parameters import FIRST_BOOT_SECONDS, check_driver_options
from vmw_cloudinit_metadata.definition import VMFacts, parse_definition
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.names import escaped, stems
from vmw_cloudinit_metadata.errors import ConfigurationError, DefinitionError, MetadataError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import printable

_F = TypeVar("_F", bound=Callable[..., object])


def directory_options(command: _F) -> _F:
    """Add ``--directory``, ``--config`` and ``--force``, for commands that write definitions.

    The command gets ``directory`` and ``driver_opts``, from which ``definitions_directory`` makes one, and
    ``force``.
    """
    config = config_option(
        use_config_file_of_run, "The server's configuration file: its driver-opts name the directory."
    )
    directory = click.option(
        "--directory",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where to write: the file driver's directory, or one below it.  [default: that of --config]",
    )
    options = click.option(
        "--driver-opts", type=click.UNPROCESSED, callback=check_driver_options, default="{}", hidden=True
    )
    force = click.option("--force", is_flag=True, help="Replace files that exist.")
    return config(directory(options(force(command))))


def definitions_directory(directory: Path | None, driver_opts: dict[str, Any]) -> Path:
    """Return the directory to write definitions in: the one given, else the file driver's.

    Raises:
        ConfigurationError: there is none.
    """
    given = directory or driver_opts.get("directory")
    if not isinstance(given, str | Path) or not str(given):
        raise ConfigurationError("where definitions are is not said: give --directory DIR, or --config FILE")
    path = Path(given)
    if not path.is_dir():
        raise ConfigurationError(f"{printable(str(path))} is not a directory")
    return path


def definition_name(vm_name: str) -> str:
    """Return the name of the file for a VM's definition.

    Raises:
        ConfigurationError: no file is looked for under the VM's name.
    """
    stem = escaped(vm_name)
    if stem not in stems(vm_name):
        raise ConfigurationError(f"{printable(vm_name)} is no name of a VM that could have a definition")
    return f"{stem}.yaml"


def write_definition(path: Path, text: bytes, vm_name: str, driver_opts: dict[str, Any], force: bool) -> None:
    """Write a definition that has no fault; say what the directory makes of it: its defaults, another file.

    Raises:
        OutputError: it exists, or cannot be written.
        DefinitionError: it is written, but there it cannot be served.
    """
    write_file(path, text, force)
    click.echo(f"{printable(str(path))} is written")
    driver = FileDriver({"directory": _root(path.parent, driver_opts)})
    try:
        with told_by_driver():
            found = driver.find(VMFacts(vm_name, NO_UUID))
            served = found[1].instance(VMFacts(vm_name, NO_UUID)) if found else None
    except MetadataError as error:
        told = "" if isinstance(error, DefinitionError) and error.logged else f": {error}"
        raise DefinitionError(f"what else is there keeps it from being served{told}") from None
    else:
        _tell_doubts(driver, path)
    finally:
        driver.close()
    if served is None or _rendered(served) != _rendered(parse_definition(text, "")):
        click.echo(
            "defaults of the directory add to it: "
            f"'vmw-cloudinit-metadata show {printable(vm_name)} --explain' tells which",
            err=True,
        )


def _tell_doubts(driver: FileDriver, path: Path) -> None:
    """Print what ``validate`` would say of a definition by itself."""
    checked = Checker(driver, find_cloud_init(), FIRST_BOOT_SECONDS).check(os.path.abspath(path))
    for line in (*map(str, checked.faults), *map(warning_line, checked.warnings)):
        click.echo(line, err=True)


def _root(directory: Path, driver_opts: dict[str, Any]) -> str:
    """Return the file driver's directory, as far as it is known: defaults come from there on."""
    root = driver_opts.get("directory")
    if isinstance(root, str) and directory.resolve().is_relative_to(Path(root).resolve()):
        return root
    return str(directory)


def _rendered(instance: InstanceData) -> nocloud.Documents:
    return nocloud.render(instance.for_vm(NO_UUID, None))
