"""What ``show`` is asked about: definitions, what was served, and the command."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.server.cli.commands import Commands, Done
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.served import ServedRecords
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot

SECRET = "hunter2"

USUAL = """\
metadata: {instance-id: i-0042, hostname: web-01}
network: {address: 192.0.2.10, netmask: 255.255.255.0}
userdata: |
  #!/bin/sh
  exit
"""


class Site:
    """A directory of definitions, one of state, and the command."""

    def __init__(self, path: Path, command: Commands) -> None:
        self.instances, self.state = path / "instances", path / "state"
        self._command = command
        for directory in (self.instances, self.state):
            directory.mkdir()

    def define(self, text: str, name: str = "web-01.yaml") -> None:
        (self.instances / name).parent.mkdir(exist_ok=True)
        (self.instances / name).write_text(text)

    def show(self, *arguments: str | Path, vm: str = "web-01", driver: str = "file", **options: Any) -> Done:
        opts = {"directory": str(self.instances), **options} if driver == "file" else options
        return self._command(
            *("show", vm, "--driver", driver, "--driver-opts", json.dumps(opts)),
            *("--state-directory", str(self.state), *map(str, arguments)),
        )

    def served(self, when: str, vm: str = "web-01") -> str:
        """Have the server serve what is defined; return the time as the command shows it."""
        time = datetime.fromisoformat(when).astimezone(UTC)
        text = (self.instances / f"{vm}.yaml").read_bytes()
        snapshot = Snapshot(parse_definition(text, ""))
        ServedRecords(StateDirectory(self.state), lambda: time).note(vm, vm, snapshot.by_name)
        return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"
