"""``reports``: print what guests have reported of their boots."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

import click
from click.shell_completion import CompletionItem

from vmw_cloudinit_metadata.cli.state import CONTEXT, state_options
from vmw_cloudinit_metadata.errors import MetadataError, StateError
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.known_hosts import fingerprints, known_hosts
from vmw_cloudinit_metadata.state.reports import KeptReport, Reports

HEADINGS = ("VM", "INSTANCE", "RECEIVED", "STAGE", "RESULT")

OfOneVM = Sequence[KeptReport]


def _complete_vm(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        found = list(Reports(context.params["state_directory"]).all())
    except (KeyError, MetadataError):
        return []
    last = [each[-1] for each in found if not isinstance(each, StateError) and each]
    names = {name for kept in last for name in (kept.definition, kept.vm_name)}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command(context_settings=CONTEXT)
@click.argument("vm", required=False, shell_complete=_complete_vm)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "known-hosts"]),
    default="text",
    show_default=True,
    help="'json' is an array of all that is kept; 'known-hosts' are lines for ssh, of the VMs' host keys.",
)
@state_options
def reports(vm: str | None, form: str, state_directory: StateDirectory) -> None:
    """Print what guests have reported of their boots.

    Without VM, the last report of each; with it, the name of a VM or of its definition, all that is kept of
    that one. A guest reports when its seed is ready, and again when cloud-init has ended.

    Run this as root, or as the server's user.
    """
    state_directory.check()
    found, faults = _find(Reports(state_directory), vm)
    if vm is not None and not (found or faults):
        raise StateError(
            f"there is no report of the VM {printable(vm)} in {state_directory.path}; "
            "'vmw-cloudinit-metadata reports' lists the VMs that have reported"
        )
    if form == "json":
        click.echo(json.dumps([kept.to_json() for of_one in found for kept in of_one], indent=2))
    else:
        for line in _known_hosts(found) if form == "known-hosts" else _text(found, vm is not None):
            click.echo(line)
    if form == "text" and not (found or faults):
        click.echo(f"no VM has reported yet, as far as {state_directory.path} knows", err=True)
    for fault in faults:
        click.echo(f"vmw-cloudinit-metadata: {fault}", err=True)
    if faults:
        raise click.exceptions.Exit(StateError.exit_code)


def _find(kept: Reports, vm: str | None) -> tuple[list[OfOneVM], list[StateError]]:
    """Return the reports of one VM, or of each, by the VMs' names; and why others cannot be read."""
    if vm is not None:
        return list(kept.find(vm)), []
    found: list[OfOneVM] = []
    faults = []
    for each in kept.all():
        if isinstance(each, StateError):
            faults.append(each)
        elif each:
            found.append(each)
    return sorted(found, key=lambda of_one: of_one[-1].vm_name), faults


def _known_hosts(found: Sequence[OfOneVM]) -> Iterator[str]:
    for of_one in found:
        yield from known_hosts(of_one)


def _text(found: Sequence[OfOneVM], in_detail: bool) -> Iterator[str]:
    if in_detail:
        for of_one in found:
            for kept in of_one:
                yield from _details(kept)
    elif found:
        yield from _aligned([HEADINGS, *(_row(of_one[-1]) for of_one in found)])


def _row(kept: KeptReport) -> tuple[str, ...]:
    report = kept.report
    return (
        printable(kept.vm_name),
        printable(report.instance_id or "-"),
        _time(kept.received),
        report.stage,
        printable(report.result),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _details(kept: KeptReport) -> Iterator[str]:
    report = kept.report
    yield f"{_time(kept.received)}  {report.stage}  {printable(kept.vm_name)}, boot {report.boot_id}"
    for key, values in (
        ("definition", [kept.definition if kept.definition != kept.vm_name else ""]),
        ("instance", [report.instance_id]),
        ("result", [report.result]),
        ("errors", report.errors),
        ("host name", [report.hostname]),
        ("datasource", [report.datasource]),
        ("stages", [", ".join(f"{name} {seconds:g} s" for name, seconds in report.stages.items())]),
        ("documents", [", ".join(f"{name} {etag}" for name, etag in report.documents.items())]),
        ("host keys", list(fingerprints(kept))),
        ("guest", [report.version and f"vmw-cloudinit-guest {report.version}"]),
    ):
        for number, value in enumerate(value for value in values if value):
            yield f"    {'' if number else key:<12}{printable(value)}"


def _time(moment: datetime) -> str:
    """Return a time as the log shows it: of this machine's zone."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
