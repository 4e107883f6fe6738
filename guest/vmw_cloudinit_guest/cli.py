"""The command ``vmw-cloudinit-guest``: its commands, its lines for people, and its exit codes.

No logging, and no import that fetch does without: it runs early at boot, before cloud-init, and every import
delays the boot. All other modules raise errors; here, and only here, they become a line on the console and an
exit code.
"""

import contextlib
import enum
import json
import signal
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type

from vmw_cloudinit_guest import arguments, config, paths
from vmw_cloudinit_guest.arguments import Arguments
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.console import Level, say
from vmw_cloudinit_guest.errors import (
    ActivationError,
    ConfigError,
    DeniedError,
    GuestError,
    NoAnswerError,
    NoPortError,
    ReportError,
    SeedError,
    SeedStaysError,
    UnknownVMError,
    UnusableAnswerError,
)


class ExitCode(enum.IntEnum):
    """What the exit codes mean; units and scripts depend on them."""

    DONE = 0
    NOT_READY = 1
    USAGE = 2
    NO_ANSWER = 3
    UNUSABLE_ANSWER = 4
    CANNOT_WRITE = 5
    NO_PORT = 6
    # With version 1 of the packets a server that has no answer is silent.
    UNKNOWN_VM = 7
    DENIED = 8


EXIT_CODES: Dict[Type[GuestError], ExitCode] = {
    ConfigError: ExitCode.USAGE,
    NoAnswerError: ExitCode.NO_ANSWER,
    SeedStaysError: ExitCode.NO_ANSWER,
    UnusableAnswerError: ExitCode.UNUSABLE_ANSWER,
    ReportError: ExitCode.NO_ANSWER,
    SeedError: ExitCode.CANNOT_WRITE,
    ActivationError: ExitCode.CANNOT_WRITE,
    NoPortError: ExitCode.NO_PORT,
    UnknownVMError: ExitCode.UNKNOWN_VM,
    DeniedError: ExitCode.DENIED,
}


class _Stopped(BaseException):
    """A signal asked the program to end; like KeyboardInterrupt, no ordinary handler may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line; return the exit code. Wrong usage exits with 2, as argparse does."""
    given = arguments.parse(argv)
    try:
        with _signals_raised():
            return _COMMANDS[given.command](given)
    except GuestError as error:
        say(Level.ERROR, str(error))
        return EXIT_CODES[type(error)]
    except _Stopped as stopped:
        say(Level.ERROR, f"stopped by {signal.Signals(stopped.number).name}")
        return 128 + stopped.number


def _fetch(given: Arguments) -> int:
    from vmw_cloudinit_guest.fetch import fetch  # pyserial is for this command alone

    settings, faults = _settings(given, root="/")
    _warn_of([f"{fault}; passed over" for fault in faults])
    if given.port:
        settings = settings._replace(port=config.read_port(given.port))
    if given.seed_dir:
        settings = settings._replace(seed_directory=given.seed_dir)
    try:
        trace = _trace if given.verbose else _no_trace
        line = fetch(settings, given.timeout, _warn, trace, boot=given.boot)
    except SeedStaysError as error:
        if not given.boot:
            raise
        _warn(str(error))
    else:
        say(Level.INFO, line)
    return ExitCode.DONE


def _report(given: Arguments) -> int:
    from vmw_cloudinit_guest import after_boot, cloudinit_result

    settings, faults = _settings(given, root="/")
    _warn_of([f"{fault}; passed over" for fault in faults])
    directory, result = settings.seed_directory, cloudinit_result.read()
    trace = _trace if given.verbose else _no_trace
    if not given.boot:
        return _tell([after_boot.send_report(directory, result, trace)])
    exit_code = _scrub(directory, result) if settings.scrub else ExitCode.DONE
    try:
        _tell([after_boot.send_report(directory, result, trace)])
    except GuestError as error:
        # No reason for a failed unit, nor for a line that anybody has to look at: it is sent again.
        say(Level.DEBUG, str(error))
    return exit_code


def _scrub(directory: str, result: Any) -> ExitCode:
    from vmw_cloudinit_guest import after_boot

    try:
        _tell(after_boot.scrub_if_it_may_be(directory, result, _warn))
    except SeedError as error:
        say(Level.ERROR, str(error))
        return ExitCode.CANNOT_WRITE
    return ExitCode.DONE


def _enable(given: Arguments) -> int:
    from vmw_cloudinit_guest import activation, defeats

    if given.at_install:
        return _tell(activation.enable_at_install(given.root))
    _tell(activation.enable(given.root))
    _warn_of(defeats.find(given.root))
    return ExitCode.DONE


def _disable(given: Arguments) -> int:
    from vmw_cloudinit_guest import activation

    return _tell(activation.disable(given.root))


def _seal(given: Arguments) -> int:
    from vmw_cloudinit_guest import activation, defeats

    settings, faults = _settings(given, given.root)
    _warn_of([f"{fault}; passed over" for fault in faults])
    _tell(activation.seal(given.root, settings.seed_directory))
    _warn_of(defeats.find(given.root))
    return ExitCode.DONE


def _status(given: Arguments) -> int:
    from vmw_cloudinit_guest import status

    settings, faults = _settings(given, given.root)
    values = status.gather(settings, faults, given.root)
    if given.format == "json":
        _tell([json.dumps(values)])
    else:
        _tell(status.as_lines(values))
    return ExitCode.DONE if values["ready"] else ExitCode.NOT_READY


_COMMANDS = {
    "fetch": _fetch,
    "report": _report,
    "enable": _enable,
    "disable": _disable,
    "seal": _seal,
    "status": _status,
}


def _settings(given: Arguments, root: str) -> Tuple[Settings, List[str]]:
    """Return the settings of the file, and its faults; without the usual file there are the defaults.

    A mistake in the usual file must not keep a VM from booting: its lines are passed over.

    Raises:
        ConfigError: there is a mistake in a file that somebody has named.
    """
    if not given.config:
        return config.load(paths.under(root, paths.CONFIG), may_be_missing=True)
    settings, faults = config.load(given.config)
    if faults:
        raise ConfigError("; ".join(faults))
    return settings, faults


def _tell(lines: List[str]) -> int:
    for line in lines:
        say(Level.INFO, line)
    return ExitCode.DONE


def _warn_of(sentences: List[str]) -> None:
    for sentence in sentences:
        _warn(sentence)


def _warn(line: str) -> None:
    say(Level.WARNING, line)


def _trace(line: str) -> None:
    say(Level.DEBUG, line)


def _no_trace(line: str) -> None:
    pass


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
