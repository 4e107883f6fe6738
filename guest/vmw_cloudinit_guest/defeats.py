"""What defeats a seed: settings by which cloud-init would take its data from elsewhere, or not at all.

Found by trying cloud-init 18.5 to 26.2. Files are looked at line by line, as ds-identify does: there is no
YAML parser to count on, and a warning may be wrong for a file that nobody writes so.
"""

import os
import re
from typing import Iterator, List, Optional, Tuple

from vmw_cloudinit_guest import paths

DATASOURCE_LIST = "datasource_list: [ NoCloud, None ]"
_KEY = re.compile("""^["']?(network|datasource_list)["']?[ \t]*:[ \t]*([^#\r\n]*)""", re.MULTILINE)
_NULL = ("null", "Null", "NULL", "~")


def find(root: str = "/") -> List[str]:
    """Return a sentence for each thing that defeats the seed, with what to do about it."""
    return [*_activation(root), *_command_line(root), *_disks(root), *_cloud_config(root)]


def _activation(root: str) -> Iterator[str]:
    link = paths.under(root, paths.DROP_IN_LINK)
    if os.path.islink(link) and os.readlink(link) == paths.DROP_IN:
        link = paths.under(root, paths.DROP_IN)
    lines = _read(link).splitlines()
    if not lines:
        yield (
            "it is not enabled: cloud-init takes the seed only if it looks for NoCloud anyway; "
            "run vmw-cloudinit-guest enable"
        )
    elif DATASOURCE_LIST not in lines:
        yield (
            f"{paths.DROP_IN_LINK} has no line {DATASOURCE_LIST!r}: cloud-init may not take the seed; "
            "move that file away, and run vmw-cloudinit-guest enable"
        )


def _command_line(root: str) -> Iterator[str]:
    for word in _read(paths.under(root, "/proc/cmdline")).split():
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
    directory = "/dev/disk/by-label"
    try:
        labels = sorted(os.listdir(paths.under(root, directory)))
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
        elif name > paths.DROP_IN_LINK:
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
    for file in [paths.CLOUD_CONFIG, *files]:
        for key, value in _KEY.findall(_read(paths.under(root, file))):
            yield file, key, value.strip()


def _read(path: str) -> str:
    """Return the text of a file; none if it cannot be read, which defeats nothing."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
