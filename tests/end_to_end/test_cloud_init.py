"""The seed that came over the serial line, in the hands of this machine's own cloud-init."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import cloudinit_sandbox
from tests.support.cloudinit_sandbox import Boot, Sandbox
from tests.support.loop import in_loop
from tests.support.world import World, definition

pytestmark = pytest.mark.system

# Debian's cloud-init is for this one.
SYSTEM_PYTHON = "/usr/bin/python3"
READ_NOCLOUD = Path(cloudinit_sandbox.__file__).with_name("read_nocloud.py")

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGUga2V5OyBpdCBvcGVucyBubyBtYWNoaW5l operator@example.org"
SEED = "/var/lib/cloud/seed/nocloud"


def instance(instance_id: str, hostname: str, address: str) -> dict[str, Any]:
    """Return a definition whose user-data leaves its mark in a file, a user and a list of runs."""
    text = (
        "#cloud-config\n"
        "users: [default, {name: alice, gecos: Alice}]\n"
        f"write_files: [{{path: /etc/marker, content: 'of {instance_id}'}}]\n"
        f"runcmd: [[sh, -c, 'echo {instance_id} >>/var/tmp/runs']]\n"
    )
    wanted = definition(hostname, instance_id=instance_id, address=address, userdata=text)
    wanted["metadata"]["public-keys"] = [KEY]
    return wanted


@in_loop
async def fetch(directory: Path, wanted: dict[str, Any], seed: Path) -> None:
    """Bring a definition over the whole path into a seed directory."""
    directory.mkdir()
    async with World(directory, {"web-01": wanted}) as world:
        machine = await world.machine("web-01")
        fetched = await (await machine.begin_fetch(seed=seed))
        assert (fetched.exit_code, fetched.complaint) == (0, "")


def outside() -> tuple[str, str, list[str]]:
    """Return what no test may change on this machine: its name, its mounts, and what cloud-init keeps."""
    kept = [
        f"{path} {path.lstat().st_mtime_ns}"
        for top in ("/var/lib/cloud", "/run/cloud-init")
        for path in sorted(Path(top).rglob("*"))
    ]
    return socket.gethostname(), Path("/proc/self/mounts").read_text(), kept


# Without root


def test_cloud_init_reads_the_seed(tmp_path: Path) -> None:
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import cloudinit"], capture_output=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"needs cloud-init for {SYSTEM_PYTHON} (apt install cloud-init)")
    before = outside()
    wanted = instance("i-1", "web-01", "192.0.2.10")
    fetch(tmp_path / "world", wanted, tmp_path / "cloud" / "seed" / "nocloud")
    read = subprocess.run(
        [SYSTEM_PYTHON, "-B", str(READ_NOCLOUD), str(tmp_path / "cloud")],
        env={**os.environ, "DEBUG_PROC_CMDLINE": "root=/dev/sda1 ro"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    understood = json.loads(read.stdout)[str(tmp_path / "cloud")]
    network = understood["network"]
    expected = {
        "taken": True,
        "seed": str(tmp_path / "cloud" / "seed" / "nocloud"),
        "instance_id": "i-1",
        "hostname": "web-01",
        "public_keys": [KEY],
        "user_data": wanted["userdata"],
        "warnings": [],
    }
    assert understood | expected == understood
    assert network["config"][0]["subnets"][0]["address"] == "192.0.2.10"
    assert outside() == before


# With root: three starts of one machine


@dataclass(frozen=True)
class Life:
    """A VM from its first boot on; what the files hold was noted after each boot."""

    first: Boot
    reboot: Boot
    renewed: Boot
    files: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Boot a first time, boot again with nothing new, then with a new instance-id."""
    if reason := cloudinit_sandbox.missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("cloud-init")
    before = outside()
    files: dict[str, dict[str, str]] = {}
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:

        def boot(name: str, wanted: dict[str, Any]) -> Boot:
            # The guest writes into the sandbox from outside, where its serial port is.
            fetch(directory / name, wanted, sandbox.path(SEED))
            booted = sandbox.boot()
            files[name] = {path: sandbox.path(path).read_text() for path in FILES}
            files[name]["query"] = sandbox.run("cloud-init", "query", "ds.meta_data.local_hostname").stdout
            return booted

        one, other = instance("i-1", "web-01", "192.0.2.10"), instance("i-2", "web-02", "192.0.2.20")
        yield Life(boot("first", one), boot("reboot", one), boot("renewed", other), files)
    assert outside() == before


FILES = (
    *("/etc/hostname", "/etc/passwd", "/home/debian/.ssh/authorized_keys"),
    *("/etc/marker", "/var/tmp/runs", "/run/cloud-init/.instance-id"),
)


def test_every_stage_of_every_boot_goes_well(life: Life) -> None:
    for boot in (life.first, life.reboot, life.renewed):
        assert boot.exit_codes == [0, 0, 0, 0], boot.output
        assert boot.result["errors"] == []
        assert boot.result["datasource"].startswith(f"DataSourceNoCloud [seed={SEED}]")


def test_the_first_boot_gives_the_machine_its_name(life: Life) -> None:
    assert life.first.hostname == "web-01"
    assert life.files["first"]["/etc/hostname"].strip() == "web-01"
    assert life.files["first"]["query"].strip() == "web-01"
    assert life.first.instance_data["v1"]["instance_id"] == "i-1"


def test_the_first_boot_makes_the_users_and_puts_the_key_in_place(life: Life) -> None:
    users = [line.split(":")[0] for line in life.files["first"]["/etc/passwd"].splitlines()]
    assert {"debian", "alice"} <= set(users)
    assert KEY in life.files["first"]["/home/debian/.ssh/authorized_keys"]


def test_the_first_boot_writes_the_network(life: Life) -> None:
    assert "192.0.2.10" in life.first.network
    assert "192.0.2.1" in life.first.network
    assert "eth0" in life.first.network
    assert not re.search("dhcp(?!=no)", life.first.network.lower())


def test_the_first_boot_applies_the_user_data(life: Life) -> None:
    assert life.files["first"]["/etc/marker"] == "of i-1"
    assert life.files["first"]["/var/tmp/runs"] == "i-1\n"


def test_a_reboot_runs_nothing_again_and_changes_nothing(life: Life) -> None:
    assert life.files["reboot"] == life.files["first"]
    assert life.reboot.host_key == life.first.host_key
    assert life.reboot.network == life.first.network
    assert life.reboot.hostname == "web-01"


def test_a_new_instance_id_makes_a_new_machine(life: Life) -> None:
    assert life.files["renewed"]["/run/cloud-init/.instance-id"].strip() == "i-2"
    assert life.renewed.hostname == "web-02"
    assert life.files["renewed"]["/etc/marker"] == "of i-2"
    assert life.files["renewed"]["/var/tmp/runs"] == "i-1\ni-2\n"
    assert "192.0.2.20" in life.renewed.network
    assert "192.0.2.10" not in life.renewed.network
    assert life.renewed.host_key != life.first.host_key
