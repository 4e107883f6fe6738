"""``show``: what a VM would be served, and why."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from vmw_cloudinit_metadata.cli.asking import Asked, AskingError, ask, told_by_driver, window_note
from vmw_cloudinit_metadata.cli.changes import FILES, changes, is_text
from vmw_cloudinit_metadata.cli.driver import driver_options
from vmw_cloudinit_metadata.cli.explaining import explanation
from vmw_cloudinit_metadata.cli.files import check_new, remove_file, write_file
from vmw_cloudinit_metadata.cli.parameters import check_text, check_uuid
from vmw_cloudinit_metadata.cli.state import CONTEXT, state_directory_option
from vmw_cloudinit_metadata.definition import VMFacts
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.loader import load_driver
from vmw_cloudinit_metadata.errors import ConfigurationError, DefinitionError, OutputError
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.served import ServedRecords
from vmw_cloudinit_metadata.vspc.snapshot import Document


@click.command(
    context_settings=CONTEXT,
    epilog="\b\nExamples:\n"
    "  vmw-cloudinit-metadata show web-01 --config /etc/vmw-cloudinit-metadata/config.toml\n"
    "  vmw-cloudinit-metadata show web-01 --config … --document user-data | less",
)
@click.argument("vm", callback=check_text)
@click.option("--vc-uuid", callback=check_uuid, metavar="UUID", help="The VM's UUID in vCenter.")
@click.option("--bios-uuid", callback=check_uuid, metavar="UUID", help="The VM's BIOS UUID.")
@click.option(
    "--document",
    type=click.Choice(list(FILES.values())),
    help="Print the bytes of this document, and no more.",
)
@click.option("--explain", is_flag=True, help="Print for each key in which file it stands, on which line.")
@click.option("--diff", is_flag=True, help="Print what is new against what the VM was last served.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the documents there, as a seed."
)
@click.option("--force", is_flag=True, help="With --output: replace documents that are there.")
@click.option(
    "--packets",
    type=click.Choice(["1", "2"]),
    default="2",
    show_default=True,
    help="For a guest that speaks this version of the packets; 0.0.8's is 1.",
)
@driver_options(required=True)
@state_directory_option
def show(
    vm: str,
    vc_uuid: uuid.UUID | None,
    bios_uuid: uuid.UUID | None,
    document: str | None,
    explain: bool,
    diff: bool,
    output: Path | None,
    force: bool,
    packets: str,
    driver: str,
    driver_opts: dict[str, Any],
    state_directory: StateDirectory,
) -> None:
    """Print what a VM would be served, byte for byte, secrets and all.

    VM is its name in vSphere. UUIDs that are not given are those that the definition demands by match. Why
    the VM would not be served is said on standard error, and so is what a driver has to say.
    """
    if sum(map(bool, (document, explain, diff, output))) > 1:
        raise click.UsageError("--document, --explain, --diff and --output are four ways to print; give one.")
    loaded = load_driver(driver, driver_opts)
    facts = VMFacts(vm, vc_uuid, bios_uuid)
    try:
        with told_by_driver():
            try:
                # What a UUID that nobody has told would be part of is not printed as if it were the VM's.
                exact = diff or output or document == FILES["metadata"]
                asked = ask(loaded, facts, pretend=not exact)
            except DefinitionError as error:
                if error.logged:
                    raise click.exceptions.Exit(error.exit_code) from None
                raise
            _tell(asked, vm, state_directory)
            if explain:
                _explain(loaded, asked)
    finally:
        loaded.close()
    documents = _documents(asked, packets)
    if document:
        _print_one(documents[document], document, vm)
    elif diff:
        _print_changes(asked, vm, state_directory)
    elif output:
        _write(documents, output, force)
        if packets == "2" and _has_placeholders(asked):
            click.echo(
                f"{printable(vm)}: network-config says @1 for a card that the guest fills in; "
                "--packets 1 is without",
                err=True,
            )
    elif not explain:
        for line in _view(documents):
            click.echo(line)


def _tell(asked: Asked, vm: str, state: StateDirectory) -> None:
    notes = [*asked.notes, window_note(asked.snapshot.instance, vm, state)]
    for note in filter(None, notes):
        click.echo(f"{printable(vm)}: {note}", err=True)


def _explain(driver: Driver, asked: Asked) -> None:
    if not isinstance(driver, FileDriver):
        raise ConfigurationError("--explain is about files: only the file driver's definitions have places")
    found = driver.find(asked.vm)
    if found is None:
        raise AskingError(f"the definition of {printable(asked.vm.name)} has gone meanwhile")
    for line in explanation(found[1], asked.snapshot.instance, driver.options.directory):
        click.echo(line)


def _documents(asked: Asked, packets: str) -> dict[str, bytes | None]:
    documents = asked.snapshot.documents
    network = documents.network_config if packets == "2" else documents.network_config_version_1
    contents = documents.meta_data, network, documents.user_data, documents.vendor_data
    return dict(zip(FILES.values(), contents, strict=True))


def _has_placeholders(asked: Asked) -> bool:
    documents = asked.snapshot.documents
    return documents.network_config != documents.network_config_version_1


def _print_one(content: bytes | None, name: str, vm: str) -> None:
    if content is None:
        raise AskingError(f"{printable(vm)} has no {name}")
    click.echo(content, nl=False)


def _print_changes(asked: Asked, vm: str, state: StateDirectory) -> None:
    state.check()
    instance = asked.snapshot.instance
    served = ServedRecords(state).last(instance.source or vm, instance.claimed)
    if served is None:
        raise AskingError(f"{printable(vm)} has not been served yet, as far as {state.path} knows")
    since = f"{served.since.astimezone():%Y-%m-%d %H:%M:%S}"
    lines = list(changes(served, asked.snapshot.by_name))
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo(f"nothing is new: {printable(vm)} has been served the same since {since}", err=True)


def _write(documents: dict[str, bytes | None], directory: Path, force: bool) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {printable(str(directory))}: {error.strerror}") from None
    check_new([directory / name for name in documents], force)
    for name, content in documents.items():
        if content is None:
            remove_file(directory / name)
        else:
            write_file(directory / name, content, force)


def _view(documents: dict[str, bytes | None]) -> Iterator[str]:
    """Yield the documents for a person, each under a line that says which it is."""
    for name, content in documents.items():
        if content is None:
            yield f"==> no {name} <==\n"
            continue
        yield f"==> {name}: {len(content):,} bytes, etag {Document.of(content).etag} <=="
        if is_text(content):
            yield content.decode() + ("" if content.endswith(b"\n") else "\n")
        else:
            yield f"(is no text; --document {name} prints it)\n"
