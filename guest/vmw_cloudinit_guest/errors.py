"""The errors the guest raises on purpose; anything else is a bug.

    GuestError
    ├── NoPortError           no serial port that could be asked           exit 6
    ├── NoAnswerError         nobody answered in time, or no longer        exit 3
    ├── UnusableAnswerError   what was answered cannot become a seed       exit 4
    └── SeedError             the seed cannot be written                   exit 5

Each carries a sentence for the console: what happened, and what to do about it. ``cli.py`` turns them into
exit codes, in one place.
"""


class GuestError(Exception):
    """A reason why there is no new seed; the text is for the console and free of secrets."""


class NoPortError(GuestError):
    """No serial port exists that could be asked, or none of them can be opened."""


class NoAnswerError(GuestError):
    """Nobody answered in time, or the answers ceased half-way."""


class UnusableAnswerError(GuestError):
    """There was an answer, but it was broken, cut short or not what cloud-init needs."""


class SeedError(GuestError):
    """The seed directory cannot be written."""
