"""StateDirectory: where the server keeps its state, and whether it can.

    windows/NAME.json    how far the serving window of a definition is used up      windows.py
    reports/NAME.json    the last reports of a VM                                   reports.py
    claimed-…/NAME.json  the same of VMs whose names are claims, as where they fit a pattern
    served/NAME.json     what a VM was last served, its secrets as digests          served.py

The server is the only one that writes here, but for ``rearm``; files are looked at anew each time, so that
what another process has written counts at once.
"""

import os
from pathlib import Path

from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.state.records import Records


class StateDirectory:
    """A directory for state; it makes no file before there is something to keep."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def records(self, kind: str, limit: int) -> Records:
        """Return the records of one kind, ``limit`` of them at most."""
        return Records(self.path / kind, limit)

    def make(self) -> None:
        """Make the directory if there is none, and check that this user can write in it.

        Raises:
            ConfigurationError: there is none and none can be made, or it is of no use.
        """
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            raise ConfigurationError(f"the state directory {self.path} is not a directory") from None
        except OSError as error:
            raise ConfigurationError(
                f"the state directory {self.path} cannot be made: {error.strerror}"
            ) from None
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"the state directory {self.path} cannot be written by this user: give it to that user, or "
                "name another with --state-directory"
            )

    def check(self) -> None:
        """Check that it is there, and that this user can look into it.

        Raises:
            ConfigurationError: it is not, or the user cannot.
        """
        if not os.path.isdir(self.path):
            raise ConfigurationError(
                f"there is no state directory {self.path}: name the server's with --state-directory DIR"
            )
        if not os.access(self.path, os.R_OK | os.X_OK):
            raise ConfigurationError(
                f"the state directory {self.path} cannot be read by this user: be root, or the server's user"
            )
