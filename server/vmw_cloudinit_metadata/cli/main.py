"""The command line: the group of commands, and the one place where an error becomes an exit code."""

import importlib
import keyword
import sys

import click

from vmw_cloudinit_metadata import __version__, systemd
from vmw_cloudinit_metadata.errors import MetadataError
from vmw_cloudinit_metadata.log import describe

PROGRAM = "vmw-cloudinit-metadata"

# EX_SOFTWARE of sysexits.h: a bug in this program, nothing the operator did.
EXIT_BUG = 70
# What a shell says of a command that SIGINT ended.
EXIT_INTERRUPTED = 130


# In the order of the help; each is the function of its name in the module of its name (import_ of import).
COMMANDS = (
    *("run", "vsphere", "init", "validate", "show", "schema", "import"),
    *("reports", "rearm", "simulate", "demo"),
)


class Commands(click.Group):
    """The commands, imported when they are asked for: half of the time it takes to start is the others'."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of them."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"vmw_cloudinit_metadata.cli.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(
    cls=Commands,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(
    "-v", "--verbose", count=True, help="Log the dialogue with each VM; the same as --log-level debug."
)
@click.pass_context
def cli(context: click.Context, verbose: int) -> None:
    """Give virtual machines their identity at first boot, over their virtual serial ports.

    A VMware virtual serial port concentrator (vSPC) that serves cloud-init metadata: name, network, SSH keys
    and user-data reach a VM before it has a network.

    Exit codes: 0 all went well; 1 it could not be done; 2 wrong usage or settings; 70 a bug.
    Every error is one sentence on standard error.
    """
    context.obj = verbose


def main() -> None:
    """Run the command line; end the process with its exit code."""
    sys.exit(_main())


def _main() -> int:
    try:
        # In standalone mode click would print usage and end the process by itself.
        result = cli.main(prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else PROGRAM
        sentence = error.format_message().removesuffix(".")
        return _complain(f"{command}: {sentence}. See '{command} --help'.", error.exit_code)
    except click.ClickException as error:
        return _complain(f"{PROGRAM}: {error.format_message()}", error.exit_code)
    except click.Abort:
        return EXIT_INTERRUPTED
    except MetadataError as error:
        return _complain(f"{PROGRAM}: {error}", error.exit_code)
    except BrokenPipeError:
        return 1  # whoever read our output has left
    except Exception as error:
        # The text of an exception nobody foresaw may quote a secret; where it happened does not.
        return _complain(f"{PROGRAM}: internal error, please report it: {describe(error)}", EXIT_BUG)
    return result if isinstance(result, int) else 0


def _complain(sentence: str, exit_code: int) -> int:
    # The journal takes a line without a priority for mere information.
    click.echo(f"<3>{sentence}" if systemd.stderr_is_journal() else sentence, err=True)
    return exit_code


if __name__ == "__main__":
    main()
