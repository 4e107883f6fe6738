"""What outlives the server: serving windows and reports, with the commands an operator has for them."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import command, version2
from tests.support.loop import in_loop
from tests.support.peer import PATIENCE, WILL_PROXY, Peer, introduction
from tests.support.server_process import ServerProcess
from tests.support.world import World, definition
from vmw_cloudinit_metadata.state.windows import HAS_REPORTED, NO_RUNS_LEFT

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr"


class Site:
    """A server process with a state directory, a definition for web-01, and the operator's commands."""

    def __init__(self, directory: Path, **serve: object) -> None:
        definitions = directory / "definitions"
        definitions.mkdir()
        (definitions / "web-01.yaml").write_text(json.dumps({**definition("web-01"), "serve": serve}))
        self.state = directory / "state"
        self.server = ServerProcess(
            "file", {"directory": str(definitions)}, "--state-directory", str(self.state)
        )

    async def command(self, *arguments: str) -> str:
        """Run a command beside the server; return what it prints."""
        done = await asyncio.to_thread(command.server, *arguments, "--state-directory", str(self.state))
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    @contextlib.asynccontextmanager
    async def running(self, kill: bool = False) -> AsyncIterator[None]:
        """Run the server for the time of a block; end it with SIGTERM, or with SIGKILL."""
        try:
            await self.server.start()
            yield
            assert kill or await self.server.stop() == 0
        finally:
            await self.server.crash()

    @contextlib.asynccontextmanager
    async def vm(self) -> AsyncIterator[Peer]:
        """Connect web-01."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE) as connection:
            connection.setblocking(False)
            vm = Peer(connection)
            await vm.send(introduction("web-01"))
            await vm.take(WILL_PROXY)
            yield vm

    async def fetch(self, run: int) -> str:
        """Ask for user-data on a connection of its own; return the status or the sentence of the refusal."""
        async with self.vm() as vm:
            await vm.send(version2.line(version2.request("userdata", run=f"{run:08x}")))
            answer = await self._answer(vm)
            return answer.payload.decode() if answer.status == "denied" else answer.status

    async def report(self, stage: str, **keys: object) -> str:
        """Report on a connection of its own; return the status."""
        document = {"stage": stage, "boot-id": "b0", "instance-id": "i-web-01", **keys}
        async with self.vm() as vm:
            await vm.send(version2.line(version2.report(json.dumps(document).encode())))
            return (await self._answer(vm)).status

    async def _answer(self, vm: Peer) -> version2.Answered:
        await vm.take(b"\r\n")  # an answer of version 2 begins on a line of its own
        return version2.read(await vm.packet())


@in_loop
async def test_a_window_is_as_used_up_after_kill_9_as_before(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=2)
    for run, outcome in ((1, "ok"), (1, "ok"), (2, "ok"), (3, NO_RUNS_LEFT)):
        async with site.running(kill=True):
            assert await site.fetch(run) == outcome


@in_loop
async def test_a_server_that_is_killed_while_it_serves_has_counted_the_run(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    async with site.running(kill=True), site.vm() as vm:
        await vm.send(version2.line(version2.request("userdata", run="00000001")))
        await vm.take(b"!!RESPONSE_USERDATA#")  # the first bytes of it
    async with site.running():
        assert await site.fetch(2) == NO_RUNS_LEFT
        assert await site.fetch(1) == "ok"  # the run that was cut off goes on


@in_loop
async def test_re_arming_is_seen_by_the_server_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    async with site.running():
        assert [await site.fetch(1), await site.fetch(2)] == ["ok", NO_RUNS_LEFT]
        said = await site.command("rearm", "web-01")
        assert said.startswith("web-01 is re-armed; 1 run was counted, the last one at ")
        assert [await site.fetch(3), await site.fetch(4)] == ["ok", NO_RUNS_LEFT]
        await site.server.logged("WARNING .* web-01: .* by 'vmw-cloudinit-metadata rearm web-01'")


@in_loop
async def test_a_guest_reboots_with_what_it_has_and_gets_no_more_until_the_window_is_re_armed(
    tmp_path: Path,
) -> None:
    state = ("--state-directory", str(tmp_path / "state"))
    what = {**definition("web-01"), "serve": {"runs": 1}}
    async with World(tmp_path, {"web-01": what}, arguments=state) as world:
        first, reboot = await world.fetch("web-01"), await world.fetch("web-01")
        assert [first.exit_code, reboot.exit_code] == [0, 0]
        assert reboot.seed["user-data"] == first.seed["user-data"] == what["userdata"].encode()
        machine = await world.machine("web-01")
        denied = await (await machine.begin_fetch(seed=tmp_path / "intruder"))
        assert (denied.exit_code, denied.seed) == (8, {})
        assert NO_RUNS_LEFT in denied.complaint
        await asyncio.to_thread(command.server, "rearm", "web-01", *state)
        installed_again = await (await machine.begin_fetch(seed=tmp_path / "disk"))
        assert (installed_again.exit_code, installed_again.seed) == (0, first.seed)


@in_loop
async def test_a_window_closes_with_the_final_report_and_stays_closed(tmp_path: Path) -> None:
    site = Site(tmp_path, **{"until-reported": True})
    async with site.running(kill=True):
        assert await site.fetch(1) == "ok"
        assert await site.report("seed") == "ok"
        assert await site.fetch(2) == "ok"
        assert await site.report("final", status="done") == "ok"
        assert await site.fetch(3) == HAS_REPORTED
    async with site.running():
        assert await site.fetch(4) == HAS_REPORTED


@in_loop
async def test_a_window_whose_time_is_over_is_re_armed_for_one_run(tmp_path: Path) -> None:
    site = Site(tmp_path, until="2020-01-01T00:00:00Z")
    async with site.running():
        assert "the time to serve it is over" in await site.fetch(1)
        await site.command("rearm", "web-01")
        assert [await site.fetch(2), await site.fetch(3)] == ["ok", NO_RUNS_LEFT]


@in_loop
async def test_reports_are_printed_also_after_the_server_has_ended(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    async with site.running():
        assert await site.report("seed", seconds=0.4) == "ok"
        assert await site.report("final", status="done", **{"host-keys": [HOST_KEY]}) == "ok"
        await site.server.logged("INFO .* web-01: reported: seed ready in 0.4 s$")
        await site.server.logged("INFO .* web-01: reported: cloud-init done$")
    assert not [line for line in site.server.log if HOST_KEY.split()[1] in line]
    (_, line) = (await site.command("reports")).splitlines()
    assert line.split()[:2] == ["web-01", "i-web-01"]
    assert line.endswith("final  cloud-init done")
    printed = json.loads(await site.command("reports", "web-01", "--format", "json"))
    assert [each["report"]["stage"] for each in printed] == ["seed", "final"]
    assert await site.command("reports", "--format", "known-hosts") == f"web-01 {HOST_KEY}\n"


@pytest.mark.parametrize("stage", ["seed", "final"])
@in_loop
async def test_a_report_that_was_acknowledged_survives_kill_9(tmp_path: Path, stage: str) -> None:
    site = Site(tmp_path, runs=1)
    async with site.running(kill=True):
        assert await site.report(stage) == "ok"
    (printed,) = json.loads(await site.command("reports", "--format", "json"))
    assert printed["report"]["stage"] == stage


@in_loop
async def test_the_state_is_readable_for_the_server_s_user_alone(tmp_path: Path) -> None:
    site = Site(tmp_path, runs=1)
    async with site.running():
        await site.fetch(1)
        await site.report("seed")
        await site.command("rearm", "web-01")
    modes = {
        path.relative_to(site.state): path.stat().st_mode & 0o777
        for path in [site.state, *site.state.rglob("*")]
    }
    directories = {Path("."), Path("windows"), Path("reports"), Path("served")}
    assert {path for path, mode in modes.items() if mode == 0o700} == directories
    assert {mode for path, mode in modes.items() if path not in directories} == {0o600}
