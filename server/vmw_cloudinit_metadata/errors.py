"""The errors this project raises on purpose; anything else is a bug.

    MetadataError
    ├── ConfigurationError      a setting or an option that cannot be used      exit 2
    │   └── DriverLoadError     no such driver, or it refuses its options       exit 2
    ├── DefinitionError         a definition or an instance with faults         exit 1
    ├── ListenError             an address cannot be listened on                exit 1
    ├── ProtocolError           a peer broke the protocol                       never leaves vspc/
    └── SimulatorError          the simulated host cannot do its part           exit 1

Each is raised where the fault is known, with a sentence an operator can act on, and turned into an exit
code in one place: ``cli/main.py``.
"""


class MetadataError(Exception):
    """A fault an operator can act on; the text is one sentence, without secrets."""

    exit_code = 1


class ConfigurationError(MetadataError):
    """A setting, an option or a combination of them that cannot be used."""

    exit_code = 2


class DriverLoadError(ConfigurationError):
    """A driver that cannot be found, is not a driver, or refuses its options."""


class DefinitionError(MetadataError):
    """A definition or instance with faults, one line each, with file, line and key where known."""


class ListenError(MetadataError):
    """An address that cannot be listened on."""


class SimulatorError(MetadataError):
    """A simulated host that cannot connect, is refused, or cannot make a port."""


class ProtocolError(MetadataError):
    """A peer that broke the protocol; the connection goes on where it can."""
