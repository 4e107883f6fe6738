"""What the tests of the guest share: answers as servers send them, a clock that is set by hand."""

import base64
import gzip
import hashlib
import itertools
import json
import random
from typing import Callable, Dict, List, Optional, Tuple

from vmw_cloudinit_guest.dialogue import Dialogue
from vmw_cloudinit_guest.documents import Held
from vmw_cloudinit_wire import decode, encode, options

META_DATA = {
    "instance-id": "i-0042",
    "hostname": "web-01",
    "local-hostname": "web-01",
    "public-keys": ["ssh-ed25519 A"],
}
METADATA = json.dumps(META_DATA).encode()
NETWORKDATA = b"config:\n- name: eth0\n  type: physical\nversion: 1\n"
USERDATA = b"#cloud-config\n{}"
# It does not get smaller by compression.
RANDOM = random.Random(0).getrandbits(8 * 80_000).to_bytes(80_000, "big")
PAYLOADS = {"METADATA": METADATA, "NETWORKDATA": NETWORKDATA, "USERDATA": USERDATA}
# What is asked of a server of version 1: METADATA once more at the end.
ASKED = [*PAYLOADS, "METADATA"]

# 0.0.8 ends lines with LF CR.
LINE_END = b"\n\r"


def response(document: str, payload: bytes, end: bytes = LINE_END) -> bytes:
    return b"!!RESPONSE_%b#%b%b" % (document.encode(), base64.b64encode(payload), end)


def asked_for(line: bytes) -> Tuple[str, Dict[str, str]]:
    """Return the document that a request asks for, and its options, which it must have."""
    packet = decode(line)
    assert packet.code.startswith("REQUEST_")
    pairs = options.read_request(packet)
    assert pairs
    return packet.code[len("REQUEST_") :], pairs


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def counted_ids() -> Callable[[], str]:
    """Return what gives ids that can be told at sight."""
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):08x}"


class Version2Server:
    """The server's half of version 2: give it a request, and it gives the answer.

    Attributes:
        documents: by code; None for one that there is not.
        statuses: what it answers instead, by code: a status, and perhaps more options behind it.
        requests: the options of all requests, with their codes.
    """

    def __init__(self, **documents: Optional[bytes]) -> None:
        self.documents = {**PAYLOADS, "VENDORDATA": None, **documents}
        self.statuses: Dict[str, str] = {}
        self.sentence = b""
        self.largest = 16384
        self.requests: List[Tuple[str, Dict[str, str]]] = []

    @property
    def codes(self) -> List[str]:
        return [code for code, _ in self.requests]

    @property
    def docs(self) -> str:
        listed = {code.lower(): content for code, content in self.documents.items() if code != "METADATA"}
        return ",".join(
            f"{name}:{'-' if content is None else etag(content)}" for name, content in listed.items()
        )

    def answer(self, line: bytes) -> bytes:
        if decode(line).code == "REPORT_STATUS":
            return self.acknowledge(line)
        code, asked = asked_for(line)
        self.requests.append((code, asked))
        if code in self.statuses:
            return self.say(code, asked, self.statuses[code], self.sentence)
        content = self.documents[code]
        if content is None:
            return self.say(code, asked, "not-found")
        if asked.get("etag", etag(content)) != etag(content):
            return self.say(code, asked, "changed")
        docs = f";docs={self.docs}" if code == "METADATA" else ""
        if asked.get("have") == etag(content):
            return self.say(code, asked, f"unchanged;etag={etag(content)}{docs}")
        offset = int(asked.get("offset", 0))
        piece = content[offset : offset + min(int(asked.get("limit", self.largest)), self.largest)]
        small = gzip.compress(piece)
        packed = asked.get("accept") == "gzip" and len(small) < len(piece)
        place = f"ok;offset={offset};total={len(content)};etag={etag(content)}"
        encoding = ";enc=gzip" if packed else ""
        return self.say(code, asked, place + encoding + docs, small if packed else piece)

    def acknowledge(self, line: bytes) -> bytes:
        """Return what a report is answered with."""
        said = options.read_answer(decode(line))
        assert said
        self.requests.append(("REPORT", said))
        return self.say("REPORT", said, "ok")

    def say(self, code: str, asked: Dict[str, str], status: str, payload: bytes = b"") -> bytes:
        """Return an answer: a status, and perhaps more options behind it."""
        pairs = [("v", "2"), ("id", asked["id"])]
        for pair in f"status={status}".split(";"):
            key, _, value = pair.partition("=")
            pairs.append((key, value))
        return b"\r\n" + encode(options.answer(f"RESPONSE_{code}", payload, pairs))


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


class Version2Conversation:
    """A dialogue with a server of version 2, and the time that passes while nobody speaks."""

    def __init__(self, server: Version2Server, **held: Held) -> None:
        self.clock = Clock()
        self.began = self.clock.now
        self.log = Log()
        self.server = server
        files = {file.replace("_", "-"): each for file, each in held.items()}
        self.dialogue = Dialogue(self.clock.now, self.log, files, counted_ids())

    def hears(self, data: bytes) -> None:
        self.dialogue.receive_data(data, self.clock.now)

    def says(self) -> bytes:
        """Return the next request, whenever it comes."""
        self.clock.now += self.dialogue.seconds_until_due(self.clock.now)
        return self.dialogue.data_to_send(self.clock.now)

    def goes_on(self, line: Callable[[bytes], bytes] = lambda data: data, limit: int = 10_000) -> None:
        """Have everything asked and answered, over a line that does something to each answer."""
        while not self.dialogue.documents and not self.dialogue.refusal:
            limit -= 1
            assert limit, "it goes on for ever"
            self.hears(line(self.server.answer(self.says())))

    @property
    def elapsed(self) -> float:
        return self.clock.now - self.began

    @property
    def contents(self) -> Dict[str, object]:
        documents = self.dialogue.documents
        assert documents
        return dict(documents.files())
