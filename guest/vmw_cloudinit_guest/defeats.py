"""What defeats a seed: settings by which cloud-init would take its data from elsewhere, or not at all.

Found by trying cloud-init 18.5 to 26.2. Files are looked at line by line, as ds-identify does: there is no
YAML parser to count on, and a warning may be wrong for a file that nobody writes so.
"""

import os
import re
from typing import Iterator, List, Optional, Tuple

from vmw_cloudinit_guest import paths

_KERNEL_COMMAND_LINE = "/proc/cmdline"
DATASOURCE_LIST = "datasource_list: [ NoCloud, None ]"
_KEY = re.compile("""^["']?(network|datasource_list)["']?[ \t]*:[ \t]*([^#\r\n]*)""", re.MULTILINE)
_NULL = ("null", "Null", "NULL", "~")


def find(root: str = "/") -> List[str]:
    """Return a sentence for each thing that defeats the seed, with what to do about it."""
    return [
        *switched_off(root),
        *_activation(root),
        *_command_line(root),
        *_disks(root),
        *_cloud_config(root),
    ]


def switched_off(root: str) -> List[str]:
    """Return a sentence for each thing that keeps cloud-init, and with it our unit, from running at all."""
    reasons = []
    file = paths.under(root, paths.CLOUD_INIT_DISABLED)
    if os.path.lexists(file):
        reasons.append(f"{file} is there: neither cloud-init nor this runs at boot; remove it")
    if "cloud-init=disabled" in _read(paths.under(root, _KERNEL_COMMAND_LINE)).split():
        reasons.append(
            "cloud-init=disabled on the kernel command line: neither cloud-init nor this runs at boot; "
            "take it out of the boot loader's configuration"
        )
    return reasons


def _activation(root: str) -> Iterator[str]:
    link = paths.under(root, paths.DROP_IN_LINK)
    shipped = paths.under(root, paths.DROP_IN)
    ours = os.path.islink(link) and os.readlink(link) == paths.DROP_IN
    lines = _read(shipped if ours else link).splitlines()
    if not lines:
        # pip installs the command alone.
        advice = (
            "run vmw-cloudinit-guest enable"
            if os.path.exists(shipped)
            else "what changes that belongs to the package vmw-cloudinit-guest, which is not installed here"
        )
        yield f"it is not enabled: cloud-init takes the seed only if it looks for NoCloud anyway; {advice}"
    elif DATASOURCE_LIST not in lines:
        yield (
            f"{link} has no line {DATASOURCE_LIST!r}: cloud-init may not take the seed; "
            "move that file away, and run vmw-cloudinit-guest enable"
        )


def _command_line(root: str) -> Iterator[str]:
    for word in _read(paths.under(root, _KERNEL_COMMAND_LINE)).split():
        key, _, value = word.partition("=")
        # A bare ds=nocloud asks for what it gets. nocloud-net would take the seed after the network is up.
        if key in ("ds", "ci.ds", "ci.datasource") and value.lower() != "nocloud":
            yield (
                f"{key}= on the kernel command line: cloud-init follows it, not the seed alone; "
                "take it out of the boot loader's configuration"
            )
        elif key == "network-config":
            yield (
                f"{key}= on the kernel command line: cloud-init follows it, not the seed's network; "
                "take it out of the boot loader's configuration"
            )


def _disks(root: str) -> Iterator[str]:
    directory = paths.under(root, "/dev/disk/by-label")
    try:
        labels = sorted(os.listdir(directory))
    except OSError:
        return
    for label in labels:
        if label.lower() == "cidata":
            yield (
                f"the disk {directory}/{label}: what cloud-init finds on it replaces what the seed holds; "
                "detach that disk"
            )


def _cloud_config(root: str) -> Iterator[str]:
    """Name the last file that sets network, and any that sets datasource_list behind the drop-in."""
    network: Optional[str] = None
    later = []
    for name, key, value in _settings(root):
        if key == "network":
            network = None if value in _NULL else name
        elif name > paths.under(root, paths.DROP_IN_LINK):
            later.append(name)
    if network:
        yield (
            f"{network} has a network: of its own: cloud-init follows it, not the seed's; "
            "remove it, or put the line network: null in a file that sorts after it"
        )
    for name in later:
        yield (
            f"{name} has a datasource_list and sorts after {os.path.basename(paths.DROP_IN_LINK)}: "
            "cloud-init follows it; remove it, or rename the file"
        )


def _settings(root: str) -> Iterator[Tuple[str, str, str]]:
    """Yield file, key and value in the order in which cloud-init lets the later one win."""
    try:
        names = sorted(os.listdir(paths.under(root, paths.CLOUD_CONFIG_DIRECTORY)))
    except OSError:
        names = []
    files = [f"{paths.CLOUD_CONFIG_DIRECTORY}/{name}" for name in names if name.endswith(".cfg")]
    for file in [paths.under(root, path) for path in (paths.CLOUD_CONFIG, *files)]:
        for key, value in _KEY.findall(_read(file)):
            yield file, key, value.strip()


def _read(path: str) -> str:
    """Return the text of a file; none if it cannot be read, which defeats nothing."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
