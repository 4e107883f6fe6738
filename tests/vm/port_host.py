"""The other end of a VM's serial port, played by the test: no server and no ESXi host between.

It answers requests in version 2, and what a script in the VM asks for beside them:

    RAW NUMBER      so many bytes, as fast as they are taken
    DONE            nothing: the script has them all
    SERVE NUMBER    from now on this user-data: so many bytes that compression makes no smaller
"""

import base64
import random
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.guest.conversation import Version2Server


class Said(NamedTuple):
    """A line of the VM's: when it came, what it asks for, and how large the answer is."""

    when: float
    what: str
    size: int


class PortHost:
    """A context manager: ``path`` is the Unix socket for QEMU to connect to."""

    def __init__(self, user_data: bytes) -> None:
        self.said: list[Said] = []
        self._server = Version2Server(NETWORKDATA=None, USERDATA=user_data, VENDORDATA=b"#cloud-config\n{}\n")

    def __enter__(self) -> Self:
        # Not in pytest's directory: the path of a socket may have 107 bytes.
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name) / "port"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # if QEMU never came
        self._thread.join()
        self._listener.close()
        self._directory.cleanup()

    def rates_of_raw(self) -> list[float]:
        """Return the bytes a second of each RAW that was done."""
        began = [said for said in self.said if said.what == "RAW"]
        ended = [said for said in self.said if said.what == "DONE"]
        return [raw.size / (done.when - raw.when) for raw, done in zip(began, ended, strict=True)]

    def rate_of_user_data(self) -> float:
        """Return the bytes a second, on the line, of the last fetch's user-data."""
        last = max(index for index, said in enumerate(self.said) if said.what == "METADATA")
        asked = [said for said in self.said[last:] if said.what == "USERDATA"]
        (after,) = (said for said in self.said[last:] if said.what == "VENDORDATA")
        return sum(said.size for said in asked) / (after.when - asked[0].when)

    def _run(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            heard = b""
            while data := connection.recv(65536):
                *lines, heard = (heard + data).split(b"\n")
                for line in lines:
                    now = time.monotonic()
                    what, answer = self._answer(line)
                    if what:
                        self.said.append(Said(now, what, len(answer)))
                    connection.sendall(answer)

    def _answer(self, line: bytes) -> tuple[str, bytes]:
        word, _, number = line.strip().decode("ascii", "replace").partition(" ")
        if word == "RAW":
            return word, base64.b64encode(_noise(int(number)))[: int(number)]
        if word == "SERVE":
            self._server.documents["USERDATA"] = _noise(int(number))
            return word, b""
        if word == "DONE":
            return word, b""
        if b"!!RE" not in line:
            return "", b""  # what else comes over a port, such as an echo
        answer = self._server.answer(line[line.rindex(b"!!") :])
        return self._server.codes[-1], answer


def _noise(size: int) -> bytes:
    return random.Random(size).getrandbits(8 * size).to_bytes(size, "big")
