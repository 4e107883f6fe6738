"""The table of seeds, tests/seeds: what a definition becomes, and what cloud-init is meant to make of that.

A case is a directory:

    definition.yaml   with all that belongs to it (``_defaults.yaml``, files, sub-directories)
    vm.yaml           the VM that asks: ``name`` (the file's, if left out), ``vc-uuid``, ``bios-uuid``
    seed/             the documents that must come out, byte for byte, as version 2 of the packets has them
    meant.yaml        what cloud-init is to understand, in the words of ``Case.meant`` below

The guest fills in placeholders for MAC addresses, by the NICs of a VM (``NICS``).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from vmw_cloudinit_guest import placeholders
from vmw_cloudinit_guest.nics import NIC
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.checks import parse_uuid
from vmw_cloudinit_metadata.drivers.file import FileDriver

SEEDS = Path(__file__).parents[1] / "seeds"

NICS = [NIC(f"ens{160 + 32 * number}", f"00:50:56:00:00:0{number}", number + 1) for number in (1, 2, 3, 4)]

# What belongs to the test and not to the directory of definitions.
_NOT_DEFINED = ("vm.yaml", "seed", "meant.yaml")


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def seed(self) -> dict[str, bytes]:
        """Return the documents that must come out, by the names of their files."""
        return {path.name: path.read_bytes() for path in (self.path / "seed").iterdir()}

    @property
    def meant(self) -> dict[str, Any]:
        """Return what cloud-init is to understand, all of it text.

        ``instance-id``, ``hostname``, ``public-keys``; ``metadata``: keys that are among others;
        ``user-data``, ``vendor-data``: their parts, each with ``type``, ``content``, and ``filename`` where
        that is not part-001 and so on, ``filled`` where it is a template; ``cloud-config``: what those of
        user-data say together; ``network``: interfaces as rendered.py has them; ``but``: where a renderer, or
        one of a release ("12 eni"), says less or more, keys of interfaces with what it says (null: nothing),
        and why in a comment; ``complaints``: by release, with what its warnings begin, and why in a comment.
        """
        meant: dict[str, Any] = _text(self.path / "meant.yaml")
        return meant

    def render(self, directory: Path) -> dict[str, bytes]:
        """Serve the definition from a directory that is made for it; return what comes out."""
        shutil.copytree(self.path, directory, ignore=shutil.ignore_patterns(*_NOT_DEFINED))
        vm = _text(self.path / "vm.yaml") if (self.path / "vm.yaml").exists() else {}
        client: Any = SimpleNamespace(
            vm_name=vm.get("name", "definition"),
            vm_vc_uuid=parse_uuid(vm.get("vc-uuid")),
            vm_bios_uuid=parse_uuid(vm.get("bios-uuid")),
        )
        driver = FileDriver({"directory": str(directory)})
        instance = driver.get_instance(client)
        driver.close()
        if instance is None:
            raise LookupError(f"{self.name} has no definition for {client.vm_name}")
        instance.validate()
        documents = nocloud.render(instance.for_vm(client.vm_vc_uuid, client.vm_bios_uuid))
        found = {
            "meta-data": documents.meta_data,
            "network-config": documents.network_config,
            "user-data": documents.user_data,
            "vendor-data": documents.vendor_data,
        }
        return {name: content for name, content in found.items() if content is not None}

    def write_seed(self, directory: Path) -> None:
        """Write the seed as the guest does."""
        directory.mkdir(parents=True)
        for name, content in self.seed.items():
            if name == "network-config":
                content = placeholders.fill(content, NICS, {}).content
            (directory / name).write_bytes(content)

    def interfaces(self, release: str, renderer: str) -> dict[str, Any]:
        """Return the interfaces that a renderer is meant to write."""
        meant: dict[str, Any] = {name: dict(keys) for name, keys in self.meant.get("network", {}).items()}
        for who in (renderer, f"{release} {renderer}"):
            for name, keys in self.meant.get("but", {}).get(who, {}).items():
                meant[name].update(keys)
        return {
            name: {key: value for key, value in keys.items() if value != "null"}
            for name, keys in meant.items()
        }


def cases() -> Sequence[Case]:
    """Return the rows of the table."""
    return [Case(path) for path in sorted(SEEDS.iterdir())]


def as_text(document: str) -> Any:
    """Return a YAML document with all its values as text: a MAC address may be a number to YAML."""
    return yaml.load(document, Loader=yaml.BaseLoader)


def _text(path: Path) -> Any:
    return as_text(path.read_text(encoding="utf-8"))
