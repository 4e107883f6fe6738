"""A driver's name and options -> a Driver, with a sentence for everything that can be wrong with them."""

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DriverLoadError, MetadataError

ENTRY_POINTS = "vmw_cloudinit_metadata.drivers"


def load_driver(spec: str, opts: Mapping[str, Any]) -> Driver:
    """Return the driver ``spec`` names, made with ``opts``.

    ``spec`` is ``module:Class``, or the name of an entry point of the group
    ``vmw_cloudinit_metadata.drivers``, such as ``file``.

    Raises:
        DriverLoadError: there is no such driver, it is none, or it refuses its options.
    """
    driver_class = _find_class(spec if ":" in spec else _entry_point(spec))
    if not isinstance(opts, Mapping):
        raise DriverLoadError(
            f'the options of driver {spec} are not a mapping such as {{"directory": "/srv"}}'
        )
    try:
        return driver_class(dict(opts))
    except MetadataError as error:
        raise DriverLoadError(str(error)) from error
    except Exception as error:
        raise DriverLoadError(f"driver {spec} refuses its options: {_described(error)}") from error


def driver_names() -> list[str]:
    """Return the names of the drivers that are installed, those that have an entry point."""
    return sorted(importlib.metadata.entry_points(group=ENTRY_POINTS).names)


def _entry_point(name: str) -> str:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    if name not in points.names:
        existing = ", ".join(driver_names()) or "none"
        raise DriverLoadError(
            f"no driver is called {name!r} (installed: {existing}); or name one as module:Class"
        )
    return points[name].value


def _find_class(spec: str) -> type[Driver]:
    module_name, _, class_name = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # The module itself, or one of its parents; anything else is a module that it needs.
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            hint = "" if "." in error.name else "; is its directory in PYTHONPATH?"
            raise DriverLoadError(f"driver {spec}: there is no module {error.name}{hint}") from error
        raise DriverLoadError(
            f"driver {spec} needs the module {error.name}, which is not installed"
        ) from error
    except (Exception, SystemExit) as error:
        # A driver's module is anybody's code: a script that calls sys.exit() is no reason to end in silence.
        raise DriverLoadError(f"driver {spec}: its module cannot be imported: {_described(error)}") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise DriverLoadError(f"driver {spec}: module {module_name} has no class {class_name!r}")
    if not isinstance(found, type) or not issubclass(found, Driver):
        raise DriverLoadError(f"driver {spec}: {class_name} is not a subclass of {Driver.__module__}:Driver")
    if found.__abstractmethods__:
        lacking = " and ".join(sorted(found.__abstractmethods__))
        raise DriverLoadError(f"driver {spec}: {class_name} lacks {lacking}")
    return found


def _described(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
