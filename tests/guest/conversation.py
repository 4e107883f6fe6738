"""What the tests of the guest share: answers as servers send them, a clock that is set by hand."""

import base64
import json
from typing import List

META_DATA = {
    "instance-id": "i-0042",
    "hostname": "web-01",
    "local-hostname": "web-01",
    "public-keys": ["ssh-ed25519 A"],
}
METADATA = json.dumps(META_DATA).encode()
NETWORKDATA = b"config:\n- name: eth0\n  type: physical\nversion: 1\n"
USERDATA = b"#cloud-config\n{}"
PAYLOADS = {"METADATA": METADATA, "NETWORKDATA": NETWORKDATA, "USERDATA": USERDATA}

# 0.0.8 ends lines with LF CR.
LINE_END = b"\n\r"


def response(document: str, payload: bytes, end: bytes = LINE_END) -> bytes:
    return b"!!RESPONSE_%b#%b%b" % (document.encode(), base64.b64encode(payload), end)


def request(document: str) -> bytes:
    return b"!!REQUEST_%b#\n" % document.encode()


class Clock:
    """Monotonic seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log(List[str]):
    """A trace to look at afterwards."""

    def __call__(self, line: str) -> None:
        self.append(line)
