"""The guest against a server of the past: 0.0.8 itself, from PyPI, on the Python it was made for.

It listens on port 13370 and no other, so it gets a network of its own, and so does the host that connects to
it; the serial line is what leads out of there.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import command
from tests.support.machine import without_warnings
from tests.support.python36 import environment, find_python36
from tests.support.server_process import URI

pytestmark = pytest.mark.system

# Its own dependencies are pinned by itself; these are the last ones of theirs that Python 3.6 can build.
PACKAGES = [
    *("pycparser==2.21", "idna==3.4", "cffi==1.15.1", "six==1.16.0", "asn1crypto==1.5.1"),
    "vmw-cloudinit-metadata==0.0.8",
]

# Of a kind that its cryptography knows.
KEY = (
    "ecdsa-sha2-nistp256 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDZHC2Ozxtu/NiI0IQ"
    "OVoAXBij7kzGSqtJdOWU0qCBAo8rc84S8QW2Mp3vzGC+f2cE9etA8UdVy9zfo/zfqLiek="
)

# A definition as its code wants it.
DEFINITION: dict[str, Any] = {
    "metadata": {
        "ami_id": "debian-12",
        "instance_id": "i-old",
        "region": "eu",
        "availability_zone": "eu-1",
        "hostname": "web-01",
        "tags": {"role": "web"},
        "public_keys": [KEY],
    },
    "network": {
        "address": "192.0.2.10",
        "netmask": "255.255.255.0",
        "gateway": "192.0.2.1",
        "search": ["example.org"],
        "nameservers": ["192.0.2.53"],
    },
    "userdata": "#cloud-config\n{}\n" + "# a line of it\n" * 5000,
}

IN_A_NETWORK_OF_ITS_OWN = ["unshare", "--net", "sh", "-c", 'ip link set lo up && echo up && exec "$@"', "sh"]


@contextlib.contextmanager
def serving(*program: str, definitions: Path) -> Iterator[int]:
    """Start a server with the command line of 0.0.8; give the id of its process.

    Its log is on standard error, which pytest shows.
    """
    options = json.dumps({"directory": str(definitions)})
    driver = "vmw_cloudinit_metadata.drivers.file:FileDriver"
    arguments = ["run", "--uri", URI, "--driver", driver, "--driver-opts", options]
    start = [*IN_A_NETWORK_OF_ITS_OWN, *program, *arguments]
    with subprocess.Popen(start, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            yield process.pid
        finally:
            process.terminate()
            process.communicate(timeout=30)


@contextlib.contextmanager
def serial_port(server: int, name: str, directory: Path) -> Iterator[str]:
    """Switch on a VM in the server's network; give its serial port as soon as the server serves it."""
    tty = directory / "tty"
    simulate = [
        *("nsenter", "--net", "--target", str(server)),
        *(sys.executable, "-W", "error", "-m", "vmw_cloudinit_metadata", "simulate"),
        *("--connect", "127.0.0.1:13370", "--uri", URI, "--vm", name, "--pty", str(tty), "--wait", "30"),
    ]
    with subprocess.Popen(simulate, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{name}: serial port {tty}\n"
            yield str(tty)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0


def fetch(port: str, seed: Path) -> dict[str, str]:
    """Run the guest; return the documents of the seed."""
    fetched = command.guest("fetch", "--port", port, "--seed-dir", str(seed))
    assert (fetched.returncode, without_warnings(fetched.stderr)) == (0, "")
    return {path.name: path.read_text() for path in seed.iterdir()}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0 or not shutil.which("nsenter"):
        pytest.skip("needs root and nsenter, to make a network")
    directory = tmp_path_factory.mktemp("definitions")
    (directory / "web-01.yaml").write_text(yaml.safe_dump(DEFINITION))
    return directory


@pytest.fixture(scope="module")
def old_server(definitions: Path) -> Iterator[int]:
    python36 = find_python36()
    if python36 is None:
        pytest.skip("needs Python 3.6, on PATH or in pyenv")
    main = "from vmw_cloudinit_metadata.cli.main import main; main()"
    with serving(str(environment(python36, PACKAGES)), "-c", main, definitions=definitions) as server:
        yield server


def test_the_guest_gets_a_seed_from_0_0_8_and_the_same_again(old_server: int, tmp_path: Path) -> None:
    with serial_port(old_server, "web-01", tmp_path) as port:
        first = fetch(port, tmp_path / "seed")
        again = command.guest("fetch", "--verbose", "--port", port, "--seed-dir", str(tmp_path / "seed"))
    meta_data = json.loads(first["meta-data"])
    assert meta_data["instance-id"] == "i-old"
    assert meta_data["local-hostname"] == "web-01"
    assert meta_data["public-keys"] == [KEY]
    # It strips user-data; the guest writes what it gets.
    assert first["user-data"] == DEFINITION["userdata"].strip()
    (device,) = yaml.safe_load(first["network-config"])["config"]
    assert device["subnets"][0]["address"] == "192.0.2.10"

    assert again.returncode == 0
    assert "seed for i-old unchanged" in again.stdout
    # It takes requests of version 2 for its own, and does not mind to be asked for metadata a second time.
    asked = re.findall("> REQUEST_([A-Z]+)", again.stderr)
    assert asked == ["METADATA", "NETWORKDATA", "USERDATA", "METADATA"]


def test_0_0_8_is_silent_to_a_vm_it_does_not_know_and_nothing_is_written(
    old_server: int, tmp_path: Path
) -> None:
    seed = tmp_path / "seed"
    with serial_port(old_server, "stranger", tmp_path) as port:
        fetched = command.guest("fetch", "--port", port, "--seed-dir", str(seed), "--timeout", "2")
    assert fetched.returncode == 3
    assert not seed.exists()


def test_this_server_takes_its_place_with_the_same_command_line_definition_and_port(
    old_server: int, definitions: Path, tmp_path: Path
) -> None:
    with serial_port(old_server, "web-01", tmp_path) as port:
        old = fetch(port, tmp_path / "old seed")
    this = (sys.executable, "-W", "error", "-m", "vmw_cloudinit_metadata")
    with (
        serving(*this, definitions=definitions) as server,
        serial_port(server, "web-01", tmp_path) as port,
    ):
        new = fetch(port, tmp_path / "new seed")
    assert json.loads(new["meta-data"]) == json.loads(old["meta-data"])
    now, before = yaml.safe_load(new["network-config"]), yaml.safe_load(old["network-config"])
    # Which card it is, is said in version 2 of the packets only: this machine's first, if it has any.
    now["config"][0].pop("mac_address", None)
    assert now == before
    assert new["user-data"] == DEFINITION["userdata"]
