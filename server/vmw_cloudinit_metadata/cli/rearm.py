"""``rearm``: let a VM have its user-data again."""

import click
from click.shell_completion import CompletionItem

from vmw_cloudinit_metadata.cli.state import CONTEXT, state_options
from vmw_cloudinit_metadata.errors import MetadataError
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.windows import Windows


def _complete_name(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    try:
        names = Windows(context.params["state_directory"]).names()
    except (KeyError, MetadataError):
        return []
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command(context_settings=CONTEXT)
@click.argument("name", metavar="VM", shell_complete=_complete_name)
@state_options
def rearm(name: str, state_directory: StateDirectory) -> None:
    """Let a VM have its user-data again, whose serving window is closed.

    VM is the name of the VM, or that of its definition. The runs are counted anew, and what the VM has
    reported does not count. If the window's time is over, the VM is served in one more run.

    The server sees it at once. Run this as root, or as the server's user.
    """
    state_directory.check()
    definition, window = Windows(state_directory).rearm(name)
    if window is None:
        was = "its record was damaged"
    elif window.counted is None:
        was = "no run was counted"
    else:
        runs = "1 run was" if window.runs == 1 else f"{window.runs} runs were"
        was = f"{runs} counted, the last one at {window.counted.astimezone():%Y-%m-%d %H:%M:%S}"
    click.echo(f"{printable(definition)} is re-armed; {was}")
