"""The server as its Debian package installs it, and a simulated ESXi host with one VM."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.program import Program

# For programs to start; generous, since a VM may be busy beside them.
SECONDS = 120.0

# The service URI of the configuration that is installed.
URI = "vmw-cloudinit"

# In mounts of its own, so that nothing in the tree changes: it is that of a disk image, which is kept.
_IN_ROOT = """
mount --bind "$2" "$1/etc/vmw-cloudinit-metadata/instances" &&
exec chroot "$1" vmw-cloudinit-metadata run \\
    --config /etc/vmw-cloudinit-metadata/config.toml --listen 127.0.0.1:0
"""


@contextlib.contextmanager
def serving(root: Path, definitions: Path, vm: str) -> Iterator[Path]:
    """Run the server that is installed in a tree, and a host with this VM; yield the VM's serial port.

    The port is a Unix socket, for QEMU.
    """
    with Program("server", ["unshare", "--mount", "sh", "-c", _IN_ROOT, "sh", root, definitions]) as server:
        port = server.until_line(lambda line: "listening on" in line, SECONDS).rpartition(":")[2]
        # Not in pytest's directory: the path of a socket may have 107 bytes.
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "port"
            with simulated_host("--connect", f"127.0.0.1:{port}", "--unix", path, vm=vm):
                yield path


@contextlib.contextmanager
def simulated_host(*options: str | Path, vm: str) -> Iterator[None]:
    """Run a simulated ESXi host with this VM, which is served inside."""
    simulate = [sys.executable, "-m", "vmw_cloudinit_metadata", "simulate", "--uri", URI, "--vm", vm]
    with Program("simulator", [*simulate, *options]) as simulator:
        simulator.until_line(lambda line: line.startswith(f"{vm}: serial port"), SECONDS)
        yield
