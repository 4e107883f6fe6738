"""Scrubbing, with this machine's own cloud-init: what is deleted is missed by nobody, and is nowhere left."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import cloudinit_sandbox
from tests.support.cloudinit_sandbox import Boot, Sandbox
from tests.support.world import World, definition
from vmw_cloudinit_guest import after_boot, cloudinit_result, paths
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.fetch import fetch

pytestmark = pytest.mark.system

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGUga2V5OyBpdCBvcGVucyBubyBtYWNoaW5l operator@example.org"
CANARY = "hunter2"

# One part of each kind that cloud-init keeps in a file of its own.
USER_DATA = """\
Content-Type: multipart/mixed; boundary="="
MIME-Version: 1.0

--=
Content-Type: text/cloud-config

#cloud-config
# hunter2
users: [default, {name: alice, gecos: Alice}]
write_files: [{path: /etc/marker, content: 'of INSTANCE'}]
runcmd: [[sh, -c, 'echo INSTANCE hunter2 >>/var/tmp/runs']]
--=
Content-Type: text/x-shellscript

#!/bin/sh
echo INSTANCE hunter2 >>/var/tmp/scripts
--=
Content-Type: text/cloud-boothook

#!/bin/sh
# hunter2
--=
Content-Type: text/part-handler

#part-handler
# hunter2
def list_types():
    return ["text/x-own"]
def handle_part(data, content_type, filename, payload):
    pass
--=--
"""
VENDOR_DATA = "#cloud-config\n# hunter2\nntp: {enabled: false}\n"


def instance(instance_id: str, hostname: str = "web-01", address: str = "192.0.2.10") -> dict[str, Any]:
    userdata = USER_DATA.replace("INSTANCE", instance_id)
    wanted = definition(hostname, instance_id=instance_id, address=address, userdata=userdata)
    wanted["metadata"]["public-keys"] = [KEY]
    wanted["vendordata"] = VENDOR_DATA
    return wanted


@dataclass(frozen=True)
class Start:
    """One start of the VM with scrub = yes, and what there was after it."""

    fetched: str
    asked: list[str]
    seed: dict[str, bytes]
    boot: Boot
    scrubbed: list[str]
    canaries: list[str]
    files: dict[str, str]


FILES = ("/etc/hostname", "/etc/marker", "/var/tmp/runs", "/var/tmp/scripts", "/etc/passwd")
KEYS = "/home/debian/.ssh/authorized_keys"


class Machine:
    """A VM whose cloud-init is this machine's, and the server that its serial port leads to."""

    def __init__(self, sandbox: Sandbox, world: World) -> None:
        self._world = world
        self._sandbox = sandbox
        self.root = str(sandbox.path("/"))
        self.seed = sandbox.path(paths.SEED_DIRECTORY)
        self.warnings: list[str] = []

    async def start(self, wanted: dict[str, Any]) -> Start:
        """Fetch, go through cloud-init's stages, and do what the second unit does."""
        self._world.define("web-01", wanted)
        # What is kept for one boot must not be answered to the next one.
        await self._world.crash_server()
        await self._world.start_server()
        port = (await self._world.machine("web-01")).port.path
        settings = Settings(port=port, seed_directory=str(self.seed))
        trace: list[str] = []
        fetched = await asyncio.to_thread(fetch, settings, 20, self.warnings.append, trace.append, self.root)
        asked = [line.split(" > ")[1] for line in trace if " > " in line]
        seed = {path.name: path.read_bytes() for path in self.seed.iterdir()}
        boot = await asyncio.to_thread(self._sandbox.boot)
        result = cloudinit_result.read(self.root)
        scrubbed = after_boot.scrub_if_it_may_be(str(self.seed), result, self.warnings.append, self.root)
        files = {path: self._sandbox.path(path).read_text() for path in (*FILES, KEYS)}
        return Start(fetched, asked, seed, boot, scrubbed, self.canaries(), files)

    def canaries(self) -> list[str]:
        """Return the files of cloud-init's, and of ours, that hold what only user-data and vendor-data do."""
        trees = ("/var/lib/cloud", "/run/cloud-init", "/run/vmw-cloudinit-guest")
        found = self._sandbox.run("grep", "-rlas", CANARY, *trees)
        return found.stdout.splitlines()


@dataclass(frozen=True)
class Life:
    first: Start
    reboot: Start
    edited: Start
    cleaned: Start
    renewed: Start
    warnings: list[str]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Start it for the first time, again, with other user-data, after a clean, and as another instance."""
    if reason := cloudinit_sandbox.missing():
        pytest.skip(reason)
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        # Five boots, of a few seconds each.
        lives = asyncio.wait_for(live(sandbox, tmp_path_factory.mktemp("world")), cloudinit_sandbox.PATIENCE)
        yield asyncio.run(lives)


async def live(sandbox: Sandbox, directory: Path) -> Life:
    one, other = instance("i-1"), instance("i-2", "web-02", "192.0.2.20")
    async with World(directory, {"web-01": one}) as world:
        machine = Machine(sandbox, world)
        first, reboot = await machine.start(one), await machine.start(one)
        edited = await machine.start({**one, "userdata": one["userdata"] + "\n"})
        # As before cloud-init 22.3, whose clean calls nobody: the seed and what is beside it stay.
        sandbox.run("cloud-init", "clean").check_returncode()
        cleaned, renewed = await machine.start(one), await machine.start(other)
        return Life(first, reboot, edited, cleaned, renewed, machine.warnings)


def test_every_boot_goes_well_and_nothing_is_in_the_way_of_scrubbing(life: Life) -> None:
    for start in (life.first, life.reboot, life.edited, life.cleaned, life.renewed):
        assert start.boot.exit_codes == [0, 0, 0, 0], start.boot.output
        assert start.boot.result["errors"] == []
    assert life.warnings == []


def test_the_first_boot_has_all_and_leaves_no_secret(life: Life) -> None:
    assert CANARY.encode() in life.first.seed["user-data"]
    assert life.first.files["/etc/marker"] == "of i-1"
    assert life.first.files["/var/tmp/runs"] == life.first.files["/var/tmp/scripts"] == "i-1 hunter2\n"
    assert life.first.scrubbed == [
        "user-data of i-1 scrubbed: blank in the seed, cloud-init's copies deleted"
    ]
    assert life.first.canaries == []


@pytest.mark.parametrize("which", ["reboot", "edited"])
def test_for_the_same_instance_user_data_neither_comes_back_nor_is_missed(life: Life, which: str) -> None:
    start: Start = getattr(life, which)
    assert start.seed["user-data"] == start.seed.get("vendor-data", b"") == b""
    assert start.canaries == []
    assert start.scrubbed == []  # it is done
    assert start.files == life.first.files
    assert start.boot.hostname == life.first.boot.hostname == "web-01"
    assert start.boot.network == life.first.boot.network
    assert "192.0.2.10" in start.boot.network
    assert start.boot.host_key == life.first.boot.host_key
    assert KEY in start.files[KEYS]


def test_a_reboot_with_nothing_new_is_one_question_and_changes_no_file(life: Life) -> None:
    assert life.reboot.fetched.startswith("seed for i-1 unchanged")
    assert len(life.reboot.asked) == 1
    assert len(life.first.asked) == 4


def test_after_a_clean_it_has_all_again(life: Life) -> None:
    assert CANARY.encode() in life.cleaned.seed["user-data"]
    assert life.cleaned.files["/var/tmp/runs"] == "i-1 hunter2\n" * 2
    assert life.cleaned.scrubbed != []
    assert life.cleaned.canaries == []


def test_a_new_instance_has_all_that_is_its_own(life: Life) -> None:
    assert b"i-2 hunter2" in life.renewed.seed["user-data"]
    # The same as that of the instance before, and so with the same etag: it was blanked since.
    assert life.renewed.seed["vendor-data"] == life.first.seed["vendor-data"] != b""
    assert life.renewed.files["/etc/marker"] == "of i-2"
    assert life.renewed.files["/var/tmp/runs"].splitlines()[-1] == "i-2 hunter2"
    assert life.renewed.boot.hostname == "web-02"
    assert life.renewed.canaries == []
