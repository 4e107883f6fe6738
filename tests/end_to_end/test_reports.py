"""Reports over the whole path: from a boot's two units to what the server's operator is told of them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.guest.machine import Machine as Root
from tests.support import command
from tests.support.loop import in_loop
from tests.support.server_process import ServerProcess
from tests.support.world import World, definition
from vmw_cloudinit_guest import after_boot, cloudinit_result, reports
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.errors import ReportError
from vmw_cloudinit_guest.fetch import fetch

T = TypeVar("T")

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr"


class VM:
    """A VM whose boots are those of the guest's two units, with cloud-init left out."""

    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._root = Root(directory / "vm")
        self._root.write(cloudinit_result.STATUS, json.dumps({"v1": {"init": {"errors": []}}}))
        self._root.write(cloudinit_result.RESULT, json.dumps({"v1": {"datasource": "DataSourceNoCloud"}}))
        self._root.write(cloudinit_result.INSTANCE_ID, "i-web-01\n")
        self._root.write("/etc/ssh/ssh_host_ed25519_key.pub", f"{HOST_KEY} root@web-01\n")
        self._directory = directory / "seed" / "nocloud"
        self.trace: list[str] = []

    async def fetch(self, boot_id: str) -> str:
        self._root.write("/proc/sys/kernel/random/boot_id", boot_id)
        port = (await self._world.machine("web-01")).port.path
        settings = Settings(port=port, seed_directory=str(self._directory))
        self.trace.clear()
        return await in_thread(
            fetch, settings, 20, lambda line: None, self.trace.append, self._root.root, True
        )

    async def report(self) -> str:
        result = cloudinit_result.read(self._root.root)
        arguments = (str(self._directory), result, self.trace.append, self._root.root)
        return await in_thread(after_boot.send_report, *arguments)

    def pending(self) -> list[str]:
        return [reports.stage_of(report) for report in reports.pending(str(self._directory))]


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run what blocks beside the loop in which the VM's line is."""
    return await asyncio.to_thread(function, *arguments)


@in_loop
async def test_the_operator_reads_what_the_guest_has_reported(tmp_path: Path) -> None:
    world = World(tmp_path, {"web-01": definition("web-01")})
    state = ("--state-directory", str(tmp_path / "state"))
    world.server = ServerProcess("file", {"directory": str(world.definitions)}, *state)
    async with world:
        vm = VM(world, tmp_path)
        assert "written" in await vm.fetch("1")
        assert vm.trace[-1] == "the server has the report"
        assert (await vm.report()).startswith("the server has the report of this boot")
        assert vm.pending() == []
        printed = await in_thread(command.server, "reports", "web-01", "--format", "json", *state)
        hosts = await in_thread(command.server, "reports", "web-01", "--format", "known-hosts", *state)
    seed, final = (kept["report"] for kept in json.loads(printed.stdout))
    assert (seed["stage"], seed["instance-id"]) == ("seed", "i-web-01")
    assert sorted(seed["documents"]) == ["meta-data", "network-config", "user-data"]
    assert (final["stage"], final["instance-id"], final["status"]) == ("final", "i-web-01", "done")
    assert final["documents"] == seed["documents"]
    assert HOST_KEY in hosts.stdout


@in_loop
async def test_what_a_server_that_is_gone_has_not_heard_it_hears_after_the_next_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(after_boot, "REPORT_SECONDS", 1.0)
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        vm = VM(world, tmp_path)
        await vm.fetch("1")
        await world.crash_server()
        with pytest.raises(ReportError, match="it goes out again after the next boot"):
            await vm.report()
        assert vm.pending() == ["final"]

        monkeypatch.setattr(after_boot, "REPORT_SECONDS", 20.0)
        await world.start_server()
        assert "unchanged" in await vm.fetch("2")
        await vm.report()
        assert vm.pending() == []
        assert len([line for line in vm.trace if "> REPORT_STATUS" in line]) >= 3
