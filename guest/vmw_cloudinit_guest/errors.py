"""The errors the guest raises on purpose; anything else is a bug.

    GuestError
    ├── ConfigError           a mistake in a configuration file            exit 2
    ├── NoPortError           no serial port that could be asked           exit 6
    ├── NoAnswerError         nobody answered in time, or no longer        exit 3
    │   └── SeedStaysError    so, and a seed of this machine stays         (fetch --boot: 0)
    ├── UnusableAnswerError   what was answered cannot become a seed       exit 4
    ├── UnknownVMError        the server does not know this VM             exit 7
    ├── DeniedError           the server denies this VM its data           exit 8
    ├── ReportError           nobody has acknowledged this boot's report   exit 3  (report --boot: 0)
    ├── SeedError             the seed cannot be read or written           exit 5
    └── ActivationError       it cannot be enabled or disabled             exit 5

Each carries a sentence for the console: what happened, and what to do about it. ``cli.py`` turns them into
exit codes, in one place.
"""


class GuestError(Exception):
    """A reason why it has not been done; the text is for the console and free of secrets."""


class ConfigError(GuestError):
    """A configuration file that somebody has named has a mistake in it, or is not there."""


class NoPortError(GuestError):
    """No serial port exists that could be asked, or none of them can be opened."""


class NoAnswerError(GuestError):
    """Nobody answered in time, or the answers ceased half-way."""


class SeedStaysError(NoAnswerError):
    """Nobody answered, and an older seed of this machine stays: on a later boot that is an orderly end."""


class UnusableAnswerError(GuestError):
    """There was an answer, but it was broken, cut short or not what cloud-init needs."""


class UnknownVMError(GuestError):
    """The server says that it does not know this VM."""


class DeniedError(GuestError):
    """The server says that this VM may not have its data."""


class ReportError(GuestError):
    """The report of this boot cannot be made, or there is nobody who takes it."""


class SeedError(GuestError):
    """The seed directory, or the state beside it, cannot be read or written."""


class ActivationError(GuestError):
    """What makes cloud-init take the seed cannot be put in place or removed."""
