"""The command fetch without a serial line, for the tests of what it makes of an answer."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest

from tests.guest.machine import Machine
from vmw_cloudinit_guest import binding, fetch, seed
from vmw_cloudinit_guest.binding import State
from vmw_cloudinit_guest.client import Result
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.documents import Documents, Held, etag, from_files
from vmw_cloudinit_guest.errors import GuestError

DOCUMENTS = Documents(b'{"instance-id": "i-0042"}\n', None, b"#cloud-config\n")
INHERITED = Documents(b'{"instance-id": "i-parent"}\n', b"version: 1\n", b"#cloud-config\nparent: true\n")


class Fetch:
    """The command on a machine, with the serial line left out: ``answer`` is what the asking comes to."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.directory = machine.path("/seeds/nocloud")
        self.warnings: List[str] = []
        self.answer: Callable[[], Documents] = lambda: DOCUMENTS
        self.timeout: Optional[float] = None
        self.found_when_asking: Optional[List[str]] = None
        self.held: Dict[str, Held] = {}
        self.came: List[str] = []
        self.in_version_2 = True
        self.trace: List[str] = []

    def __call__(
        self, timeout: Optional[float] = None, directory: Optional[Path] = None, boot: bool = False
    ) -> str:
        settings = Settings(port="/dev/ttyS1", seed_directory=str(directory or self.directory))
        self.warnings.clear()
        self.trace.clear()
        root = self.machine.root
        return fetch.fetch(settings, timeout, self.warnings.append, self.trace.append, root, boot=boot)

    def ask(self, ports: Any, timeout: float, clock: Any, trace: Any, held: Dict[str, Held]) -> Result:
        self.timeout = timeout
        self.held = held
        self.found_when_asking = self.files()
        documents = self.answer()
        contents = documents.files()
        etags = {file: etag(content) for file, content in contents.items() if content is not None}
        # What is held does not come again, and may be other bytes than those that were served.
        had = {
            file: held[file].content
            for file in etags
            if file in held
            and held[file].etag == etags[file]
            and held[file].instance_id in (None, documents.instance_id)
        }
        self.came = [file for file in etags if file not in had]
        documents = from_files({**contents, **had})
        version = 2 if self.in_version_2 else 1
        return Result("ttyS1", version, documents, etags if version == 2 else {}, retries=0, seconds=0.1)

    def fails(self, error: GuestError) -> GuestError:
        def answer() -> Documents:
            raise error

        self.answer = answer
        with pytest.raises(GuestError) as caught:
            self()
        return caught.value

    def files(self) -> List[str]:
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []

    def state(self) -> Optional[State]:
        return binding.from_bytes(seed.state(str(self.directory)))

    def inherits(self, uuid: Optional[str]) -> None:
        """Put the seed of a parent there, bound to its machine."""
        state = State(uuid and uuid.replace("-", ""), "i-parent", "ttyS1", 0)
        seed.write(str(self.directory), INHERITED, binding.to_bytes(state))
