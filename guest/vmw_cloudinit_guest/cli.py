"""The command ``vmw-cloudinit-guest``: its arguments, its one line for people, and its exit codes.

argparse and no logging: this runs early at boot, before cloud-init, and every import delays the boot. All
other modules raise errors; here, and only here, they become a line on the console and an exit code.
"""

import argparse
import contextlib
import enum
import math
import signal
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, TextIO, Type

from vmw_cloudinit_guest import __version__, client, seed
from vmw_cloudinit_guest.errors import (
    GuestError,
    NoAnswerError,
    NoPortError,
    SeedError,
    UnusableAnswerError,
)
from vmw_cloudinit_guest.serialport import SerialPorts, find_ports

PROGRAM = "vmw-cloudinit-guest"
# A VM that is switched on with hundreds of others waits for its answer; one without a server must boot all
# the same.
DEFAULT_TIMEOUT = 120.0


class ExitCode(enum.IntEnum):
    """What the exit codes mean; units and scripts depend on them."""

    DONE = 0
    USAGE = 2
    NO_ANSWER = 3
    UNUSABLE_ANSWER = 4
    CANNOT_WRITE = 5
    NO_PORT = 6
    # Version 1 of the packets answers neither; the server stays silent.
    UNKNOWN_VM = 7
    DENIED = 8


EXIT_CODES: Dict[Type[GuestError], ExitCode] = {
    NoAnswerError: ExitCode.NO_ANSWER,
    UnusableAnswerError: ExitCode.UNUSABLE_ANSWER,
    SeedError: ExitCode.CANNOT_WRITE,
    NoPortError: ExitCode.NO_PORT,
}

_FETCH_DESCRIPTION = """\
Ask for this VM's metadata, network data and user-data, and write them as a seed
that cloud-init's NoCloud takes up in the same boot. When nobody answers, nothing
changes.
"""

_EXIT_CODES = """\
exit codes:
  0  the seed is written, or was right already
  2  wrong usage
  3  nobody answered in time
  4  what was answered cannot be used
  5  the seed cannot be written
  6  no serial port to ask on
  7  the server does not know this VM       (not with packets of version 1,
  8  the server denies this VM its data      where a server is silent instead)
  128 + N  ended by signal N

With 5 cloud-init still sees the old instance, with 128 + N the old or the whole
new one. With any other but 0, nothing on the disk has changed.
"""


class _Stopped(BaseException):
    """A signal asked the program to end; like KeyboardInterrupt, no ordinary handler may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line; return the exit code. Wrong usage exits with 2, as argparse does."""
    arguments = _parser().parse_args(argv)
    try:
        with _signals_raised():
            _say(_fetch(arguments), sys.stdout)
    except GuestError as error:
        _say(f"{PROGRAM}: {error}", sys.stderr)
        return EXIT_CODES[type(error)]
    except _Stopped as stopped:
        _say(f"{PROGRAM}: stopped by {signal.Signals(stopped.number).name}", sys.stderr)
        return 128 + stopped.number
    return ExitCode.DONE


def _fetch(arguments: argparse.Namespace) -> str:
    """Ask, write the seed, return what to say."""
    began = time.monotonic()
    paths = [_port_path(arguments.port)] if arguments.port else find_ports()
    with contextlib.closing(SerialPorts(paths)) as ports:
        trace = _trace if arguments.verbose else _no_trace
        name, documents = client.fetch(ports, arguments.timeout, time.monotonic, trace)
    changed = seed.write(arguments.seed_dir, documents)
    seconds = time.monotonic() - began
    if changed:
        return f"seed for {documents.instance_id} written from {name} in {seconds:.1f} s"
    return f"seed for {documents.instance_id} unchanged: {name} gave the same in {seconds:.1f} s"


def _port_path(port: str) -> str:
    """Return the path for what a person writes: ``ttyS1`` is ``/dev/ttyS1``."""
    return port if "/" in port else f"/dev/{port}"


def _trace(line: str) -> None:
    _say(line, sys.stderr)


def _no_trace(line: str) -> None:
    pass


def _say(line: str, stream: TextIO) -> None:
    """Print one line that no name from outside can break or recolour, on a console of any encoding."""
    text = "".join(character if character.isprintable() else "?" for character in line)
    print(text.encode("ascii", "backslashreplace").decode(), file=stream, flush=True)


@contextlib.contextmanager
def _signals_raised() -> Iterator[None]:
    """Let SIGTERM and its like unwind the stack, so that the port is given back as it was found."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: Any) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # a second one must not disturb the tidying up
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _formatter(prog: str) -> argparse.HelpFormatter:
    # Without a width argparse asks shutil for the terminal's whenever an argument is added, and shutil brings
    # in bz2 and lzma.
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Ask for this VM's cloud-init metadata over a serial port, without a network.",
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True  # no argument of add_subparsers before Python 3.7
    fetch = commands.add_parser(
        "fetch",
        help="ask, and write what was answered as a NoCloud seed",
        description=_FETCH_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=_formatter,
    )
    fetch.add_argument(
        "--port",
        metavar="PORT",
        help="the serial port, as ttyS1 or a path; waited for while another program has it "
        "(default: every ttyS* that exists and is not the console; the first one that answers is taken)",
    )
    fetch.add_argument(
        "--seed-dir",
        metavar="DIRECTORY",
        default=seed.DEFAULT_DIRECTORY,
        help="where to write the seed (default: %(default)s)",
    )
    fetch.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        help=f"how long to wait for the first answer (default: %(default)g); from then on "
        f"{client.PROGRESS_SECONDS:g} s without progress are the limit",
    )
    fetch.add_argument(
        "-v", "--verbose", action="store_true", help="print the dialogue: codes and sizes, never contents"
    )
    return parser
