"""What lies beside definitions: defaults, and files that look like definitions and are none."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vmw_cloudinit_metadata.checking.notes import Checked
from vmw_cloudinit_metadata.definition import Source, check_defaults
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.drivers.loading import DEFAULTS
from vmw_cloudinit_metadata.drivers.reading import is_definition, read_whole
from vmw_cloudinit_metadata.errors import Fault, MetadataError
from vmw_cloudinit_metadata.log import printable

_LIKE_DEFAULTS = re.compile(r"_defaults?\.ya?ml", re.IGNORECASE)
_LIKE_A_DEFINITION = re.compile(r"[^_.].*\.ya?ml", re.IGNORECASE)


def check_directories(driver: FileDriver, directories: Sequence[str]) -> Checked:
    """Return what is wrong beside the definitions, in some directories of a driver."""
    faults = [Fault(printable(driver.options.directory), 0, "", text) for text in driver.left_out()]
    warnings: list[Fault] = []
    in_use = {os.path.dirname(path) for path in driver.definitions()}
    for directory in directories:
        for name in _names(directory):
            path = f"{directory}/{name}"
            if name == DEFAULTS:
                faults += _check_defaults(driver, path)
                if not any(f"{used}/".startswith(f"{directory}/") for used in in_use):
                    text = "is used by no definition: there is none in this directory or below it"
                    warnings.append(Fault(printable(path), 0, "", text))
            else:
                warnings += _strays(path, name)
    return Checked(faults, warnings)


def check_above(directory: str) -> Checked:
    """Return a warning of each ``_defaults.yaml`` above a directory that is taken for a driver's."""
    text = "is not counted: it lies above the directory that is checked; say the server's in --driver-opts"
    paths = (f"{above}/{DEFAULTS}" for above in map(str, Path(directory).parents))
    return Checked((), [Fault(printable(path), 0, "", text) for path in paths if os.path.isfile(path)])


def _check_defaults(driver: FileDriver, path: str) -> Iterator[Fault]:
    with contextlib.suppress(
        OSError, MetadataError
    ):  # what cannot be read is told by the definitions below it
        _, text = read_whole(driver.options.directory, path)
        yield from check_defaults(
            Source(printable(path), text), lambda _, relative: driver.read_file(path, relative)
        )


def _strays(path: str, name: str) -> Iterator[Fault]:
    if _LIKE_DEFAULTS.fullmatch(name):
        yield Fault(printable(path), 0, "", f"is read by nobody: defaults stand in a file {DEFAULTS}")
    elif _LIKE_A_DEFINITION.fullmatch(name) and not is_definition(name):
        text = "is served to no VM: the names of definitions end with .yaml or .yml, in small letters"
        yield Fault(printable(path), 0, "", text)


def _names(directory: str) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(os.listdir(directory))
    return []
