"""The commands enable, disable and seal: whether the next boot asks, and cloud-init takes the answer.

The drop-in in cloud.cfg.d is the switch: the unit runs only where it is, and with it cloud-init takes
NoCloud's seed. It must never be there by surprise, since a VM that another datasource has provisioned would
be provisioned anew.
"""

import glob
import os
from typing import List

from vmw_cloudinit_guest import defeats, paths, seed
from vmw_cloudinit_guest.errors import ActivationError

_UNIT_DIRECTORIES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# What each does, and its run level where there is OpenRC.
_UNITS = ((paths.UNIT, "ask", "boot"), (paths.REPORT_UNIT, "report", "default"))

NO_CLOUD_INIT = "cloud-init is not installed (or not where distributions put it)"


def enable(root: str) -> List[str]:
    """Put the drop-in in place, and enable the units; return what was done, and what comes of it.

    Raises:
        ActivationError: there is something else in its place, or it cannot be written.
    """
    lines = [] if cloud_init_code(root) else [NO_CLOUD_INIT]
    lines += [_link(root), *_enable_units(root)]
    if provisioned(root):
        lines.append(
            "cloud-init has provisioned this VM already: it will do so anew, with new SSH host keys, if "
            "another instance-id is answered"
        )
    if is_ready(root):
        lines.append("at the next boot it asks over the serial port, and cloud-init takes what is answered")
    return lines + _sealing(root)


def enable_at_install(root: str) -> List[str]:
    """Put the drop-in in place unless cloud-init has provisioned this VM; the units are left to the package.

    Raises:
        ActivationError: as ``enable``.
    """
    if is_enabled(root):
        return ["it is enabled"]
    if provisioned(root):
        return [
            "not enabled, since cloud-init has provisioned this VM already, and would do so anew; "
            "if that is what you want: vmw-cloudinit-guest enable"
        ]
    return [_link(root)]


def disable(root: str) -> List[str]:
    """Remove the drop-in, and nothing that is not ours; return what was done, and what comes of it.

    Raises:
        ActivationError: there is something else in its place, or it cannot be removed.
    """
    link = paths.under(root, paths.DROP_IN_LINK)
    if not os.path.lexists(link):
        return ["it was not enabled"]
    if not _is_ours(link):
        raise ActivationError(
            f"{link} is not the link that enable makes: remove it yourself if it is not needed"
        )
    try:
        os.unlink(link)
    except OSError as error:
        raise _error("remove", link, error) from None
    return [
        f"removed {link}",
        "from the next boot on nobody is asked; cloud-init goes on with the seed as long as it is there",
        "cloud-init clean enables it again: remove the package if it is not wanted any more",
    ]


def seal(root: str, seed_directory: str) -> List[str]:
    """Make a template of this VM: delete what belongs to this instance and machine, and enable.

    Raises:
        ActivationError, SeedError: something cannot be removed or written.
    """
    _check_package(root)
    directory = paths.under(root, seed_directory)
    deleted = f"deleted the seed in {directory}" if seed.delete(directory) else "there was no seed"
    lines = [deleted, _link(root), *_enable_units(root)]
    if is_ready(root):
        lines.append("the first boot of each clone asks over the serial port")
    return lines


def provisioned(root: str) -> bool:
    """Return whether cloud-init has provisioned this VM since it was last cleaned."""
    return os.path.lexists(paths.under(root, paths.INSTANCE))


def is_ready(root: str) -> bool:
    """Return whether the next boot asks."""
    return is_enabled(root) and unit(root) == "enabled" and not defeats.switched_off(root)


def is_enabled(root: str) -> bool:
    """Return whether the drop-in is in place: our link, with something behind it."""
    link = paths.under(root, paths.DROP_IN_LINK)
    return _is_ours(link) and os.path.exists(paths.under(root, paths.DROP_IN))


def unit(root: str, name: str = paths.UNIT) -> str:
    """Return how the boot begins it: ``enabled``, ``disabled``, ``masked``, or ``absent``."""
    service = _openrc_service(name)
    if _exists(root, f"/etc/init.d/{service}"):
        return "enabled" if glob.glob(paths.under(root, f"/etc/runlevels/*/{service}")) else "disabled"
    files = [paths.under(root, f"{directory}/{name}") for directory in _UNIT_DIRECTORIES]
    if any(os.path.islink(file) and os.readlink(file) == "/dev/null" for file in files):
        return "masked"
    if not any(os.path.lexists(file) for file in files):
        return "absent"
    wanted = f"/etc/systemd/system/cloud-init.target.wants/{name}"
    return "enabled" if _exists(root, wanted) else "disabled"


def _link(root: str) -> str:
    link = paths.under(root, paths.DROP_IN_LINK)
    if is_enabled(root):
        return f"{link} is in place"
    _check_package(root)
    if os.path.lexists(link):
        raise ActivationError(f"{link} is not the link that enable makes: move it away, and try again")
    try:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(paths.DROP_IN, link)
    except OSError as error:
        raise _error("make", link, error) from None
    return f"made {link}"


def _check_package(root: str) -> None:
    """Raise an ActivationError if there is only the command, as pip installs it."""
    drop_in = paths.under(root, paths.DROP_IN)
    if not os.path.exists(drop_in):
        raise ActivationError(
            f"there is no {drop_in}: enable, disable and seal belong to the package vmw-cloudinit-guest, "
            "which is not installed here"
        )


def _is_ours(link: str) -> bool:
    return os.path.islink(link) and os.readlink(link) == paths.DROP_IN


def _enable_units(root: str) -> List[str]:
    return [_enable_unit(root, name, purpose, level) for name, purpose, level in _UNITS]


def _enable_unit(root: str, name: str, purpose: str, level: str) -> str:
    state = unit(root, name)
    if state != "disabled":
        return _UNIT_ADVICE[state].format(name=name, purpose=purpose)
    service = _openrc_service(name)
    if _exists(root, f"/etc/init.d/{service}"):
        return f"to have it begun at boot, run: rc-update add {service} {level}"
    import subprocess  # here alone, so that fetch does not pay for it

    command = ["systemctl", "--quiet", *([f"--root={root}"] if root != "/" else []), "enable", name]
    try:
        subprocess.run(command, check=True)  # noqa: S603 - the root is the caller's own
    except (OSError, subprocess.CalledProcessError):
        raise ActivationError(f"{name} cannot be enabled; try yourself: {' '.join(command)}") from None
    return f"enabled {name}"


def _openrc_service(name: str) -> str:
    return name.rpartition(".")[0]


_UNIT_ADVICE = {
    "enabled": "{name} is enabled",
    "masked": "{name} is masked: it will not {purpose} until you run systemctl unmask {name}",
    "absent": "{name} is not there, nor a service of OpenRC's: install vmw-cloudinit-guest again",
}


def cloud_init_code(root: str) -> str:
    """Return the path of the code behind ``cloud-init clean``; empty if cloud-init is not found."""
    found = glob.glob(paths.under(root, "/usr/lib/python3*/*-packages/cloudinit/cmd/clean.py"))
    return found[0] if found else ""


def _sealing(root: str) -> List[str]:
    """Return what to do before this VM becomes a template, where cloud-init does not do it itself."""
    clean = cloud_init_code(root)
    if not clean:
        return []
    with open(clean, "rb") as file:
        runs_scripts = b"RUNPARTS" in file.read()
    if runs_scripts:
        return []
    return [
        "this cloud-init is older than 22.3: to seal a template, run vmw-cloudinit-guest seal after its clean"
    ]


def _exists(root: str, path: str) -> bool:
    return os.path.lexists(paths.under(root, path))


def _error(action: str, path: str, error: OSError) -> ActivationError:
    return ActivationError(f"cannot {action} {path}: {error.strerror}; run as root")
