"""The server's package on a host of its own: its unit at boot, serving over TLS.

The ESXi host that connects is simulated outside the VM, through a port of this machine's loopback.
"""

import logging
import os
import socket
from pathlib import Path

import pytest
import trustme

from tests.support import command
from tests.support.installed_server import simulated_host
from tests.support.vm import VM, Hardware, Image, run

pytestmark = [pytest.mark.system, pytest.mark.vm]

_logger = logging.getLogger(__name__)

UNIT = "vmw-cloudinit-metadata.service"

CONFIGURATION = """
uri = "vmw-cloudinit"
driver = "file"
driver-opts.directory = "/etc/vmw-cloudinit-metadata/instances"
tls-listen = [":13371"]
tls-cert = "/etc/vmw-cloudinit-metadata/tls.crt"
tls-key = "/etc/vmw-cloudinit-metadata/tls.key"
"""

DEFINITION = """
metadata: {instance-id: i-0042, hostname: web-01}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return tmp_path / "authority.pem"


@pytest.fixture
def configuration(host: Image, authority: Path, tmp_path: Path) -> Path:
    """A disk with what stands in /etc/vmw-cloudinit-metadata; root alone and the server read its secrets."""
    certificates = trustme.CA()
    certificates.cert_pem.write_to_path(authority)
    certificate = certificates.issue_cert("127.0.0.1")
    tree = tmp_path / "etc"
    (tree / "instances").mkdir(parents=True)
    (tree / "config.toml").write_text(CONFIGURATION)
    (tree / "instances" / "web-01.yaml").write_text(DEFINITION)
    (tree / "tls.crt").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(tree / "tls.key")
    for secret, mode in (("instances", 0o750), ("instances/web-01.yaml", 0o640), ("tls.key", 0o640)):
        os.chown(tree / secret, 0, group_of_the_server(host))
        (tree / secret).chmod(mode)
    disk = tmp_path / "configuration.img"
    run("truncate", "--size", "8M", disk)
    run("mkfs.ext4", "-q", "-d", tree, disk)
    return disk


def group_of_the_server(host: Image) -> int:
    """Return the number of the server's group in that host, not on this machine."""
    groups = (line.split(":") for line in (host.root / "etc" / "group").read_text().splitlines())
    return next(int(number) for name, _, number, _ in groups if name == "vmw-cloudinit")


def free_port() -> int:
    """Return a port of the loopback that QEMU can listen on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_its_unit_serves_over_tls(host: Image, configuration: Path, authority: Path, tmp_path: Path) -> None:
    port = free_port()
    hardware = Hardware(forward=f"tcp:127.0.0.1:{port}-:13371", second_disk=configuration)
    serial_port, seed = tmp_path / "serial-port", tmp_path / "seed"
    with VM("host of the server", host.disk(tmp_path / "disk"), hardware) as vm:
        report = vm.report()
        report.save(tmp_path / "report")
        assert (report.text("failed-units"), report.text("state")) == ("", "running")
        assert report.logged("ordering cycle") == []
        assert report.unit(UNIT)["ActiveState"] == "active"
        to_it = ("--connect", f"127.0.0.1:{port}", "--tls-ca", authority, "--pty", serial_port)
        with simulated_host(*to_it, vm="web-01"):
            fetched = command.guest("fetch", "--port", str(serial_port), "--seed-dir", str(seed))
        vm.power_off()
    _logger.info("%s took %.1f s of this boot:\n%s", UNIT, report.seconds(UNIT), report.text("startup"))
    assert fetched.returncode == 0, fetched.stderr
    assert '"instance-id": "i-0042"' in (seed / "meta-data").read_text()
