"""Which card is which: the server counts, and the guest knows the machine."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.guest.machine import UUID
from tests.guest.machine import Machine as Root
from tests.support.loop import in_loop
from tests.support.world import World, definition
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.fetch import fetch

FIRST, SECOND, THIRD = "00:50:56:00:00:0a", "00:50:56:00:00:0b", "00:50:56:00:00:0c"


class VM:
    """A VM whose guest finds these cards, of which udev has named the third first."""

    def __init__(self, directory: Path, world: World) -> None:
        self._world = world
        self._root = Root(directory)
        self._root.has_uuid(UUID)
        for name, mac, address in (
            ("eth0", THIRD, "0000:13:00.0"),
            ("ens192", SECOND, "0000:0b:00.0"),
            ("ens160", FIRST, "0000:03:00.0"),
        ):
            self._root.has_nic(name, mac, address)
        self.asked: list[str] = []
        self.warnings: list[str] = []

    async def fetches(self) -> dict[str, Any]:
        """Return the network-config of the seed after a fetch."""
        seed = self._root.path("/seed/nocloud")
        settings = Settings(port=(await self._world.machine("web-01")).port.path, seed_directory=str(seed))
        trace: list[str] = []
        await asyncio.to_thread(fetch, settings, 20, self.warnings.append, trace.append, self._root.root)
        self.asked = [line.split(" > ")[1].split()[0] for line in trace if " > " in line]
        config: dict[str, Any] = json.loads((seed / "network-config").read_text())
        return config


def macs(config: dict[str, Any]) -> dict[str, str | None]:
    """Return the MAC addresses in a network-config of either version."""
    if config["version"] == 1:
        return {device["name"]: device.get("mac_address") for device in config["config"]}
    return {name: card.get("match", {}).get("macaddress") for name, card in config["ethernets"].items()}


def with_network(network: Any) -> dict[str, Any]:
    return {**definition("web-01"), "network": network}


@in_loop
async def test_cards_without_a_mac_address_are_the_machine_s_and_a_reboot_asks_once(tmp_path: Path) -> None:
    cards = [{"dhcp4": True}, {"name": "lan0", "address": "192.0.2.10/24"}]
    async with World(tmp_path, {"web-01": with_network(cards)}) as world:
        vm = VM(tmp_path / "root", world)
        assert macs(await vm.fetches()) == {"eth0": FIRST, "lan0": SECOND}
        assert macs(await vm.fetches()) == {"eth0": FIRST, "lan0": SECOND}
        assert vm.asked == ["REQUEST_METADATA"]
        assert vm.warnings == []


@in_loop
async def test_a_mac_address_or_the_guest_s_own_name_says_which_card_is_meant(tmp_path: Path) -> None:
    cards = [
        {"name": "lan0", "mac": SECOND, "dhcp4": True},
        {"dhcp4": True},
        {"name": "ens160", "dhcp4": True},
    ]
    async with World(tmp_path, {"web-01": with_network(cards)}) as world:
        vm = VM(tmp_path / "root", world)
        assert macs(await vm.fetches()) == {"lan0": SECOND, "eth1": THIRD, "ens160": FIRST}


@in_loop
async def test_a_whole_network_config_is_for_the_machine_s_cards_too(tmp_path: Path) -> None:
    bond = {"interfaces": ["ens192", "eth1"], "dhcp4": True}
    whole = {"version": 2, "ethernets": {"ens192": {}, "eth1": {}}, "bonds": {"bond0": bond}}
    async with World(tmp_path, {"web-01": with_network(whole)}) as world:
        vm = VM(tmp_path / "root", world)
        config = await vm.fetches()
        assert macs(config) == {"ens192": SECOND, "eth1": FIRST}
        assert config["bonds"]["bond0"]["interfaces"] == ["ens192", "eth1"]


@in_loop
async def test_a_card_too_many_in_the_definition_is_told_on_the_console(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": with_network([{"dhcp4": True}] * 4)}) as world:
        vm = VM(tmp_path / "root", world)
        assert macs(await vm.fetches()) == {"eth0": FIRST, "eth1": SECOND, "eth2": THIRD, "eth3": None}
        assert len(vm.warnings) == 1
        assert vm.warnings[0].startswith(
            "eth3 of the definition is for network card 4, and this machine has 3"
        )
