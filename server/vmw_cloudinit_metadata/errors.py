"""The errors this project raises on purpose; anything else is a bug.

    MetadataError
    ├── ConfigurationError      a setting or an option that cannot be used      exit 2
    │   └── DriverLoadError     no such driver, or it refuses its options       exit 2
    ├── DefinitionError         a definition or an instance with faults         exit 1
    ├── DriverBusyError         a driver takes its time with a VM               never leaves vspc/
    ├── ListenError             an address cannot be listened on                exit 1
    ├── OutputError             a file cannot be written, or exists already     exit 1
    ├── ProtocolError           a peer broke the protocol                       never leaves vspc/
    ├── ReportError             a guest's report that is none                   never leaves vspc/
    ├── SimulatorError          the simulated host cannot do its part           exit 1
    └── StateError              what the server keeps cannot be used            exit 1

Each is raised where the fault is known, with a sentence an operator can act on, and turned into an exit
code in one place: ``cli/main.py``.
"""

from collections.abc import Sequence
from typing import NamedTuple


class MetadataError(Exception):
    """A fault an operator can act on; the text is one sentence, without secrets."""

    exit_code = 1


class ConfigurationError(MetadataError):
    """A setting, an option or a combination of them that cannot be used."""

    exit_code = 2


class DriverLoadError(ConfigurationError):
    """A driver that cannot be found, is not a driver, or refuses its options."""


class Fault(NamedTuple):
    """What is wrong with a definition, and where; it quotes no secret."""

    source: str  # the file's name, printable
    line: int  # from 1; 0 is the whole file
    key: str  # such as network.nameservers[1]; "" is the whole file
    text: str  # the end of a sentence that begins with the key

    def __str__(self) -> str:
        """Return ``web-01.yaml:5: network.address: '10.0.0.300' is not an IPv4 address``."""
        place = f"{self.source}:{self.line}" if self.line else self.source
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class DefinitionError(MetadataError):
    """A definition or instance with faults, one line each, with file, line and key where known.

    Attributes:
        logged: who raised it has logged the faults; they need not be logged again.
        faults: the same one by one, where a definition was read.
    """

    def __init__(self, text: str, logged: bool = False, faults: Sequence[Fault] = ()) -> None:
        super().__init__(text)
        self.logged = logged
        self.faults = tuple(faults)


class DriverBusyError(MetadataError):
    """A driver that has not yet answered for a VM; its call goes on.

    Attributes:
        retry: after how many seconds the VM should ask again.
    """

    def __init__(self, text: str, retry: int) -> None:
        super().__init__(text)
        self.retry = retry


class ListenError(MetadataError):
    """An address that cannot be listened on."""


class OutputError(MetadataError):
    """A file that a command cannot write, or must not replace."""


class SimulatorError(MetadataError):
    """A simulated host that cannot connect, is refused, or cannot make a port."""


class ProtocolError(MetadataError):
    """A peer that broke the protocol; the connection goes on where it can."""


class ReportError(MetadataError):
    """A guest's report with a fault; the text names the key and never its value."""


class StateError(MetadataError):
    """State that cannot be read or written, is damaged, or is not there."""
