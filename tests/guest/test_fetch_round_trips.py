"""How often a boot asks: each question is a round trip, on a line on which that may take its time."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Iterator, List

import pytest

from tests.guest.conversation import Version2Server
from tests.guest.line import Pty
from tests.guest.machine import UUID, Machine
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.fetch import fetch

# A definition as most are: 4 KiB in all.
USERDATA = b"#cloud-config\n" + b"# a line of thirty-two characters\n" * 110
VENDORDATA = b"#cloud-config\n{}\n"


@pytest.fixture
def line() -> Iterator[Pty]:
    with contextlib.closing(Pty()) as line:
        yield line


class Boots:
    """A machine that boots as often as it is told to, with a server at its port."""

    def __init__(self, directory: Path, line: Pty, server: Version2Server) -> None:
        self.line = line
        self.server = server
        self.machine = Machine(directory)
        self.machine.has_uuid(UUID)
        self.machine.write("/proc/sys/kernel/random/boot_id", "0b6c1a1e-6a0f-4d1c-9a53-6f2a9e0e7d10\n")

    def questions(self, count: int) -> List[str]:
        """Boot, and return what was asked; the server answers so many questions."""
        before = len(self.server.codes)
        host = threading.Thread(target=self._serve, args=(count,))
        host.start()
        settings = Settings(port=self.line.path, seed_directory=str(self.machine.path("/seeds/nocloud")))
        lines: List[str] = []
        fetch(settings, 10, lines.append, lines.append, self.machine.root, boot=True)
        host.join(10)
        assert not host.is_alive()
        return self.server.codes[before:]

    def _serve(self, count: int) -> None:
        heard = b""
        for _ in range(count):
            while b"\n" not in heard:
                heard += os.read(self.line.host, 4096)
            request, _, heard = heard.partition(b"\n")
            answer = self.server.answer(request)
            while answer:
                answer = answer[os.write(self.line.host, answer[:2048]) :]


def test_a_first_boot_takes_five_and_a_reboot_with_nothing_new_one_beside_its_report(
    tmp_path: Path, line: Pty
) -> None:
    boots = Boots(tmp_path, line, Version2Server(USERDATA=USERDATA, VENDORDATA=VENDORDATA))
    assert boots.questions(5) == ["METADATA", "NETWORKDATA", "USERDATA", "VENDORDATA", "REPORT"]
    assert boots.questions(2) == ["METADATA", "REPORT"]
