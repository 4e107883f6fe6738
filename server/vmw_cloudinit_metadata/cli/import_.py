"""``import``: definitions from what another way to provision VMs has left."""

from pathlib import Path
from typing import Any, NamedTuple

import click

from vmw_cloudinit_metadata.cli.definitions import (
    definition_name,
    definitions_directory,
    directory_options,
    write_definition,
)
from vmw_cloudinit_metadata.cli.files import check_new, write_file
from vmw_cloudinit_metadata.cli.parameters import check_text
from vmw_cloudinit_metadata.definition import MAX_DEFINITION, parse_definition
from vmw_cloudinit_metadata.errors import ConfigurationError, DefinitionError, OutputError
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.writing.from_guestinfo import guestinfo_definition
from vmw_cloudinit_metadata.writing.from_predecessor import take_definition
from vmw_cloudinit_metadata.writing.from_seed import Seed, seed_definition
from vmw_cloudinit_metadata.writing.yaml_text import definition_text

_PATHS = {"seed": "DIR", "guestinfo": "METADATA [USERDATA]", "0.0.8": "DIR"}


class _New(NamedTuple):
    """A definition that is to be written."""

    name: str
    text: bytes


@click.command(
    "import",
    short_help="Write definitions of what other systems serve.",
    epilog="\b\n"
    "seed DIR                       a seed of cloud-init's NoCloud\n"
    "guestinfo METADATA [USERDATA]  files with a VM's guestinfo variables, plain or encoded\n"
    "0.0.8 DIR                      the definitions of vmw-cloudinit-metadata 0.0.8\n"
    "\n\b\nExamples:\n"
    "  vmw-cloudinit-metadata import seed ./nocloud --vm web-01 --directory /srv/instances\n"
    "  vmw-cloudinit-metadata import 0.0.8 /srv/old --directory /srv/instances",
)
@click.argument("kind", type=click.Choice(list(_PATHS)))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--vm",
    callback=check_text,
    metavar="NAME",
    help="The name of the VM that the definition is for, as vSphere shows it; for seed and guestinfo.",
)
@click.option(
    "--vendordata", type=click.Path(path_type=Path), metavar="FILE", help="For guestinfo: its vendor-data."
)
@directory_options
def import_(
    kind: str,
    paths: tuple[Path, ...],
    vm: str | None,
    vendordata: Path | None,
    directory: Path | None,
    driver_opts: dict[str, Any],
    force: bool,
) -> None:
    """Write definitions of what other systems serve, so that the same is served.

    PATHS are a directory, or files. Each definition becomes NAME.yaml; what is left out is said. Nothing is
    overwritten without --force.
    """
    _check(kind, paths, vm, vendordata)
    target = definitions_directory(directory, driver_opts)
    if kind == "0.0.8":
        _import_all(paths[0], target, force)
        return
    name = definition_name(str(vm))

    def note(text: str) -> None:
        click.echo(f"{name}: {printable(text)}", err=True)

    if kind == "seed":
        definition = seed_definition(_seed(paths[0]), str(vm), note)
    else:
        user_data = _read(paths[1]) if len(paths) > 1 else None
        vendor_data = _read(vendordata) if vendordata else None
        definition = guestinfo_definition(_read(paths[0]), user_data, vendor_data, str(vm), note)
    text = definition_text(definition).encode()
    try:
        parse_definition(text, name)
    except DefinitionError as error:
        raise DefinitionError(f"nothing is written, for it could not be served:\n{error}") from None
    write_definition(target / name, text, str(vm), driver_opts, force)


def _check(kind: str, paths: tuple[Path, ...], vm: str | None, vendordata: Path | None) -> None:
    if len(paths) > len(_PATHS[kind].split()):
        raise click.UsageError(f"import {kind} takes {_PATHS[kind]}, and no more.")
    if kind == "0.0.8" and vm is not None:
        raise click.UsageError("import 0.0.8 takes all definitions of a directory; --vm is for the others.")
    if kind != "0.0.8" and vm is None:
        raise click.UsageError(f"import {kind} needs --vm NAME: which VM it is for.")
    if kind != "guestinfo" and vendordata is not None:
        raise click.UsageError("--vendordata is for guestinfo; a seed has its own.")


def _seed(directory: Path) -> Seed:
    if not (directory / "meta-data").is_file():
        raise ConfigurationError(f"{printable(str(directory))} has no meta-data, which every seed has")
    names = ("meta-data", "user-data", "vendor-data", "network-config")
    meta_data, *others = [_read(path) if (path := directory / name).is_file() else None for name in names]
    return Seed(meta_data or b"", *others)


def _import_all(source: Path, target: Path, force: bool) -> None:
    """Write those definitions of 0.0.8 that can be served; the others are told, and no reason to stop."""
    if not source.is_dir():
        raise ConfigurationError(f"{printable(str(source))} is not a directory")
    new, faults = [], []
    for path in sorted(path for path in source.glob("*.yaml") if path.is_file()):
        try:
            new.append(_taken(path))
        except (DefinitionError, OutputError, ConfigurationError) as error:
            faults.append(str(error))
    if not (new or faults):
        raise ConfigurationError(f"{printable(str(source))} has no definitions: no file NAME.yaml")
    new = [each for each in new if not _is_there(target / each.name, each.text)]
    check_new([target / each.name for each in new], force)
    for each in new:
        write_file(target / each.name, each.text, force)
        click.echo(f"{printable(str(target / each.name))} is written")
    for fault in faults:
        click.echo(f"vmw-cloudinit-metadata: {fault}", err=True)
    if faults:
        raise click.exceptions.Exit(DefinitionError.exit_code)


def _taken(path: Path) -> _New:
    shown = printable(str(path))
    if path.name.startswith(("_", ".")):
        raise DefinitionError(f"{shown}: is left out: here a name that begins with {path.name[0]} is no VM's")
    taken = take_definition(_read(path), shown)
    if taken.why is not None:
        click.echo(f"written anew, to be served as before: {taken.why}", err=True)
    return _New(path.name, taken.text)


def _is_there(path: Path, text: bytes) -> bool:
    try:
        return path.read_bytes() == text
    except OSError:
        return False


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_DEFINITION + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    if len(content) > MAX_DEFINITION:
        raise DefinitionError(f"{printable(str(path))} is longer than {MAX_DEFINITION // 1024 // 1024} MiB")
    return content
