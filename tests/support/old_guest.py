"""A guest of version 0.0.8's time, as far as the protocol knows it; not the guest of this project.

It reads lines, skips those that do not start with ``!!``, skips codes it does not wait for, and takes the
second ``#`` field whatever follows it. A ``!!`` line without ``#`` crashes it.
"""

import base64

import serial

# It waited for 60 s; nothing here is to take that long.
PATIENCE = 15.0


class OldGuest:
    """It has the port for itself, for as long as the ``with`` block lasts. It blocks: use a thread."""

    def __init__(self, port: str) -> None:
        self._serial = serial.Serial(port, 115200, timeout=PATIENCE)

    def ask(self, document: str) -> bytes:
        """Return what ``!!REQUEST_document#`` is answered with."""
        self._serial.write(f"!!REQUEST_{document}#\n".encode())
        while line := self._serial.readline().decode("ascii").strip():
            if not line.startswith("!!"):
                continue
            fields = line.split("#")
            if fields[0] == f"!!RESPONSE_{document}":
                return base64.b64decode(fields[1])
        raise AssertionError(f"no answer to REQUEST_{document}")

    def __enter__(self) -> "OldGuest":
        return self

    def __exit__(self, *error: object) -> None:
        self._serial.close()


def boot(port: str) -> dict[str, bytes]:
    """Return what it asks for at every boot."""
    with OldGuest(port) as guest:
        return {document: guest.ask(document) for document in ("METADATA", "NETWORKDATA", "USERDATA")}
