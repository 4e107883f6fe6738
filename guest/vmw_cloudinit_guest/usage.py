"""What ``vmw-cloudinit-guest --help`` says, and what is wrong with arguments: by argparse.

Its import and its making would be a sixth of what a fetch costs: ``arguments.py`` does without it whenever
nothing has to be said.
"""

import argparse
import os
from typing import Any, List, NoReturn, Optional

from vmw_cloudinit_guest import __version__, client, config, console, paths
from vmw_cloudinit_guest.arguments import Arguments
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.console import PROGRAM

_FETCH = """\
Ask for this VM's metadata, network data and user-data, and write them as a seed
that cloud-init's NoCloud takes up in the same boot. When nobody answers, an
older seed stays as it was, and the boot goes on. Without --seed-dir it is this
machine's own seed that is written: for a try, name another directory.

The seed is bound to this machine, by the product_uuid that the hypervisor gives
it, in a file beside the seed directory. The seed of another machine, which this
one is a clone of, is deleted before anybody is asked. Where there is no
product_uuid, and for a seed from elsewhere, that is not done.
"""

_FETCH_EXIT_CODES = """\
exit codes:
  0  the seed is written, or was right already; with --boot, an older one stays
  2  wrong usage, or a mistake in the file named with --config
  3  nobody answered in time
  4  what was answered cannot be used
  5  the seed cannot be written
  6  no serial port to ask on
  7  the server does not know this VM
  8  the server denies this VM its data
  128 + N  ended by signal N

A server of version 1 of the packets says nothing instead of 7 and 8: 3.

With 5 cloud-init still sees the old instance, with 128 + N the old or the whole
new one. With any other but 0, no seed of this machine has changed.
"""

_REPORT = """\
Tell the server what became of this boot: cloud-init's status, errors (by module
and type, without what they quote) and stage times, this VM's name and SSH host
keys (the public ones). It goes over the port on which this boot's fetch --boot
was answered, by a server that takes reports. What it does not acknowledge is
kept beside the seed, and goes out again after the next boot.
"""

_REPORT_EXIT_CODES = """\
exit codes:
  0  the server has it; with --boot, also: it will be sent again
  2  wrong usage, or a mistake in the file named with --config
  3  there is nobody to report to, or nobody has acknowledged it
  5  something cannot be read or written; with --boot: cannot be scrubbed
  6  the serial port is gone
  128 + N  ended by signal N
"""

_ENABLE = f"""\
Put the link {paths.DROP_IN_LINK}
in place, with which the next boot asks over the serial port, and cloud-init
takes what is answered; and enable the units. The packages do so by themselves on
a VM that cloud-init has not provisioned yet: on any other, cloud-init would
provision it anew.
"""

_DISABLE = """\
Remove the link that enable makes, and nothing else. The seed stays, so that
cloud-init goes on with it.
"""

_SEAL = """\
Make this VM fit to be a template: delete the seed, what binds it to this
machine and what waits to be reported, and enable. cloud-init 22.3 and later
does so in "cloud-init clean", by a script in /etc/cloud/clean.d; with an older
one, run this after it.
"""

_STATUS = """\
Say what the next boot will do, what is known of the last answer, and what
defeats the seed. No contents are shown.
"""

_EXIT_CODES = """\
exit codes:
  0  done, or so already
  2  wrong usage
  5  something cannot be read, written or removed
"""

_STATUS_EXIT_CODES = """\
exit codes:
  0  the next boot asks
  1  it does not
  2  wrong usage
  5  something cannot be read, which only root may
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, which names the command and its --help."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # Else a command hands on what it does not know, and the program's name alone stands before the error.
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # An older argparse fails when nobody reads what it prints.
        console.write(file, message)


def parse(argv: Optional[List[str]]) -> Arguments:
    """Return the arguments; --help, --version and wrong usage end the program, the last with 2."""
    return Arguments(**vars(parser().parse_args(argv)))


def parser() -> argparse.ArgumentParser:
    """Return what knows the commands and their arguments; wrong usage exits with 2."""
    root = _Parser(
        prog=PROGRAM,
        description="Ask for this VM's cloud-init metadata over a serial port, without a network.",
        formatter_class=_formatter,
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True  # no argument of add_subparsers before Python 3.7
    _add_fetch(commands)
    _add_report(commands)
    enable = _add(commands, "enable", "have the next boot ask, and cloud-init take the answer", _ENABLE)
    enable.add_argument(
        "--at-install",
        action="store_true",
        help="as a package does when it is installed: only if cloud-init has not provisioned this VM, "
        "and without the units",
    )
    _add_root(enable)
    _add_root(_add(commands, "disable", "have no boot ask any more", _DISABLE))
    seal = _add(commands, "seal", "make this VM fit to be a template", _SEAL)
    _add_config(seal)
    _add_root(seal)
    status = _add(commands, "status", "say what the next boot will do, and why", _STATUS, _STATUS_EXIT_CODES)
    status.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    _add_config(status)
    _add_root(status)
    return root


def _add_fetch(commands: "argparse._SubParsersAction[_Parser]") -> None:
    fetch = _add(commands, "fetch", "ask, and write the answer as a NoCloud seed", _FETCH, _FETCH_EXIT_CODES)
    defaults = Settings()
    fetch.add_argument(
        "--port",
        metavar="PORT",
        help="the serial port, as ttyS1 or a path, waited for while another program has it; or auto, the "
        "first that answers of all ttyS* that exist and are not the console (default: auto)",
    )
    fetch.add_argument(
        "--seed-dir",
        metavar="DIRECTORY",
        help=f"where to write the seed (default: {defaults.seed_directory})",
    )
    fetch.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_timeout,
        help=f"how long to wait for the first answer, at most {config.LONGEST_TIMEOUT:g} "
        f"(default: {defaults.first_boot_timeout:g}, or "
        f"{defaults.later_boot_timeout:g} when there is a seed of this machine already); from then on "
        f"{client.PROGRESS_SECONDS:g} s without progress are the limit",
    )
    fetch.add_argument(
        "--boot",
        action="store_true",
        help="as the unit does at boot: when nobody answers and there is a seed of this machine already, "
        "warn, and end with 0 instead of 3",
    )
    _add_config(fetch)
    _add_verbose(fetch)


def _add_report(commands: "argparse._SubParsersAction[_Parser]") -> None:
    report = _add(commands, "report", "tell what became of this boot", _REPORT, _REPORT_EXIT_CODES)
    report.add_argument(
        "--boot",
        action="store_true",
        help="as the unit does after cloud-init: scrub first, if the configuration says scrub = yes; and end "
        "with 0 if nobody takes the report",
    )
    _add_config(report)
    _add_verbose(report)


def _add(
    commands: "argparse._SubParsersAction[_Parser]",
    name: str,
    summary: str,
    description: str,
    exit_codes: str = _EXIT_CODES,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=exit_codes,
        formatter_class=_formatter,
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="another configuration file; a mistake in it is an error, in the usual one a warning, so that "
        f"the VM boots (default: {paths.CONFIG}, if it exists)",
    )


def _add_verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print the dialogue: codes and sizes, never contents"
    )


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        metavar="DIRECTORY",
        type=_directory,
        default="/",
        help="the root of another system, such as an image that is being built (default: %(default)s)",
    )


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Without a width argparse asks shutil for the terminal's whenever an argument is added, and shutil brings
    # in bz2 and lzma.
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


def _timeout(text: str) -> float:
    try:
        return config.read_timeout(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _directory(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return text
