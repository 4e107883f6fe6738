"""The machine's own cloud-init, booted in private namespaces; root only, and nothing outside changes.

The sandbox is the machine's file system under an overlay whose upper layer is a tmpfs, with mounts, host
name, processes and network of its own. Its first process waits for the end of its standard input: when the
test ends, however it ends, that process ends, and with it every mount and process of the sandbox.

From outside, its files are found below ``/proc/PID/root``; commands are run in it with nsenter.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMANDS = ("unshare", "nsenter", "chroot", "ip", "ssh-keygen", "cloud-init")

STAGES = ("init --local", "init", "modules --mode=config", "modules --mode=final")

# Of its network card.
MAC = "52:54:00:00:00:01"

# A boot takes about a second.
PATIENCE = 120.0

# What the guest's package sets, and the modules that a test can look at; the others look for disks, package
# mirrors and time servers.
CONFIGURATION = """\
datasource_list: [ NoCloud, None ]
ssh_genkeytypes: [ed25519]
cloud_init_modules: [bootcmd, write-files, set-hostname, update-hostname, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user, final-message]
"""

_SET_UP = """\
set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" overlay root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=0755 tmpfs dev
for device in null zero full random urandom tty; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
done
ln -s /proc/self/fd dev/fd
ip link set lo up
ip link add eth0 address "$2" type veth peer name peer0
rm -rf var/lib/cloud etc/cloud/cloud-init.disabled etc/ssh/ssh_host_*
echo ready
exec chroot . cat
"""


def missing() -> str:
    """Return why there can be no sandbox here; nothing if there can be one."""
    if os.geteuid() != 0:
        return "needs root: it mounts"
    lacking = [command for command in COMMANDS if shutil.which(command) is None]
    return f"needs {', '.join(lacking)}" if lacking else ""


@dataclass(frozen=True)
class Boot:
    """What a boot has left: how its stages ended, and the state of the machine afterwards."""

    exit_codes: list[int]
    output: str
    result: dict[str, Any]
    instance_data: dict[str, Any]
    hostname: str
    network: str
    host_key: str


class Sandbox:
    """A VM made from this machine as its template; use it as a context manager."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is empty and stays empty, seen from outside."""
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._pid = ""

    def __enter__(self) -> Self:
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child")
        self._process = subprocess.Popen(
            [
                "unshare",
                *namespaces,
                "--propagation",
                "private",
                "sh",
                "-c",
                _SET_UP,
                "sh",
                self._directory,
                MAC,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert self._process.stdout is not None
            if (said := self._process.stdout.readline()) != "ready\n":
                raise RuntimeError(f"the sandbox cannot be set up: {said}")
            pid = self._process.pid
            self._pid = Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
            self.path("/etc/hostname").write_text("template\n")
            self.path("/etc/cloud/cloud.cfg.d/zz-sandbox.cfg").write_text(CONFIGURATION)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate(timeout=PATIENCE)

    def path(self, path: str) -> Path:
        """Return where a file of the sandbox is, seen from outside."""
        return Path(f"/proc/{self._pid}/root{path}")

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, in the environment of an early boot."""
        inside = (
            "nsenter",
            "--target",
            self._pid,
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "--wd",
        )
        environment = (
            *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"),
            # cloud-init reads the kernel's command line, which is this machine's.
            "DEBUG_PROC_CMDLINE=root=/dev/sda1 ro",
        )
        return subprocess.run(
            [*inside, *environment, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def boot(self) -> Boot:
        """Go through the four stages, as at a start: /run is empty, the name is what /etc/hostname says."""
        for command in ("umount /run", "mount -t tmpfs tmpfs /run", "hostname -F /etc/hostname"):
            self.run(*command.split()).check_returncode()
        stages = [self.run("cloud-init", *stage.split()) for stage in STAGES]
        return Boot(
            exit_codes=[stage.returncode for stage in stages],
            output="\n".join(stage.stdout for stage in stages),
            result=json.loads(self.path("/run/cloud-init/result.json").read_text())["v1"],
            instance_data=json.loads(self.path("/run/cloud-init/instance-data.json").read_text()),
            hostname=self.run("hostname").stdout.strip(),
            network=self._network(),
            host_key=self.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text(),
        )

    def _network(self) -> str:
        """Return what cloud-init has written for whichever program sets up the network here."""
        patterns = (
            *("etc/network/interfaces.d/*", "etc/systemd/network/*", "etc/netplan/*"),
            *("etc/NetworkManager/system-connections/*", "etc/sysconfig/network-scripts/ifcfg-*"),
        )
        root = self.path("/")
        return "\n".join(path.read_text() for pattern in patterns for path in sorted(root.glob(pattern)))
