"""Where each key of a VM's definition stands, and what stands nowhere: lines for ``show --explain``. Pure."""

import os
from collections.abc import Iterator

from vmw_cloudinit_metadata.definition import Definition
from vmw_cloudinit_metadata.definition.source import path_text
from vmw_cloudinit_metadata.instance import InstanceData


def explanation(definition: Definition, instance: InstanceData, directory: str) -> Iterator[str]:
    """Yield a line for each key: file and line; a file below ``directory`` by its way from there.

    ``instance`` is what the definition has made for the VM: what no file gives has a line that says so.
    """
    rows = [*_places(definition, directory), *_defaults(definition, instance)]
    width = max(len(key) for key, _ in rows)
    for key, place in rows:
        yield f"{key:<{width}}  {place}"


def _places(definition: Definition, directory: str) -> Iterator[tuple[str, str]]:
    places = definition.places()
    inner = {path[:length] for path in places for length in range(len(path))}
    for path, place in places.items():
        if path not in inner:  # what a key holds says where the key is, too
            source = os.path.relpath(place.source, directory) if os.path.isabs(place.source) else place.source
            yield path_text(path), f"{source}:{place.line}"


def _defaults(definition: Definition, instance: InstanceData) -> Iterator[tuple[str, str]]:
    given = {path[0] for path in definition.places() if path}
    keys = {
        str(path[1]).replace("_", "-")
        for path in definition.places()
        if len(path) > 1 and path[0] == "metadata"
    }
    if "instance-id" not in keys:
        yield "metadata.instance-id", "made from the VM's UUID, since no file gives it"
    if "network" not in given and instance.network is None:
        yield "network", "not given: the guest's image decides"
    if "userdata" not in given:
        yield "userdata", "not given: cloud-init is served one that does nothing"
