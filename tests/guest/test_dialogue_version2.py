import gzip
import random
from collections import deque
from typing import Callable, Tuple

import pytest

from tests.guest.conversation import (
    METADATA,
    NETWORKDATA,
    PAYLOADS,
    RANDOM,
    USERDATA,
    Version2Conversation,
    Version2Server,
    asked_for,
    response,
)
from vmw_cloudinit_guest.dialogue import FIRST_WAIT, HASTE, MAX_RUNS

NOISE = bytes(range(256))


# Attempts


def test_a_broken_answer_is_asked_for_at_once_a_few_times_and_then_after_the_wait() -> None:
    guest = Version2Conversation(Version2Server())
    for _ in range(HASTE):
        guest.hears(guest.server.answer(guest.says()).replace(b"status", b"stadus"))
        assert guest.elapsed == 0
    guest.hears(guest.server.answer(guest.says()).replace(b"status", b"stadus"))
    assert guest.says()
    assert guest.elapsed == FIRST_WAIT
    assert guest.dialogue.version is None
    assert guest.dialogue.retries == HASTE + 1


# An instance that changes


def test_what_changes_in_the_middle_is_asked_for_anew_in_a_new_run() -> None:
    old = Version2Server(METADATA=b'{"instance-id": "old"}', USERDATA=b"old" * 4000)
    new = Version2Server(METADATA=b'{"instance-id": "new"}', USERDATA=b"new" * 5000)
    old.largest = 4000
    guest = Version2Conversation(old)
    for _ in range(3):
        guest.hears(old.answer(guest.says()))
    guest.server = new
    guest.goes_on()
    assert guest.contents["user-data"] == b"new" * 5000
    assert guest.contents["meta-data"] == b'{"instance-id": "new", "public-keys": []}\n'
    assert old.requests[0][1]["run"] != new.requests[-1][1]["run"]


def test_what_changes_all_the_time_is_given_up() -> None:
    server = Version2Server(NETWORKDATA=None)
    server.statuses["USERDATA"] = "changed"
    guest = Version2Conversation(server)
    guest.goes_on()
    assert guest.dialogue.refusal
    assert guest.dialogue.refusal.status == "changed"
    assert len({options["run"] for _, options in server.requests}) == MAX_RUNS


# Two versions


def test_a_server_can_go_over_to_version_1_by_saying_that_all_has_changed() -> None:
    server = Version2Server()
    server.statuses["USERDATA"] = "changed"
    guest = Version2Conversation(server)
    while server.codes[-1:] != ["USERDATA"]:
        guest.hears(server.answer(guest.says()))
    for document in ("METADATA", "NETWORKDATA", "USERDATA", "METADATA"):
        assert asked_for(guest.says())[0] == document
        guest.hears(response(document, PAYLOADS[document]))
    assert guest.dialogue.version == 1
    assert guest.contents["user-data"] == USERDATA


def test_after_version_2_an_answer_of_version_1_is_noise() -> None:
    server = Version2Server()
    guest = Version2Conversation(server)
    guest.hears(server.answer(guest.says()))
    guest.says()
    guest.hears(response("NETWORKDATA", b"version: 1\n"))
    guest.goes_on()
    assert guest.contents["network-config"] == NETWORKDATA


@pytest.mark.parametrize("answers", [1, 2, 3])
def test_after_version_1_an_answer_of_version_2_begins_anew_and_discards_what_came(answers: int) -> None:
    guest = Version2Conversation(Version2Server())
    v1 = {"METADATA": b'{"instance-id": "i-1"}', "NETWORKDATA": b"", "USERDATA": b"of version 1"}
    for _ in range(answers):
        code, _ = asked_for(guest.says())
        guest.hears(response(code, v1[code]))
    assert guest.dialogue.version == 1
    guest.goes_on()
    assert guest.dialogue.version == 2
    assert guest.contents["user-data"] == USERDATA
    assert guest.server.codes[1:] == ["METADATA", "NETWORKDATA", "USERDATA"]
    assert guest.elapsed == 0


def test_an_answer_to_an_earlier_attempt_is_passed_over_and_the_next_one_waited_for() -> None:
    guest = Version2Conversation(Version2Server())
    early = guest.server.answer(guest.says())
    late = guest.server.answer(guest.says())
    guest.clock.now += 1.5
    guest.hears(early)
    assert guest.dialogue.progressed is None
    assert guest.dialogue.seconds_until_due(guest.clock.now) == 4
    guest.hears(late)
    assert guest.dialogue.progressed == guest.clock.now


@pytest.mark.parametrize("late", [0.5, 1.5, 7, 8, 8.01, 15, 19.99, 20, 20.01, 50])
def test_a_slow_server_is_heard_in_the_end_and_never_overtaken(late: float) -> None:
    guest = Version2Conversation(Version2Server())
    coming: deque[Tuple[float, bytes]] = deque()
    while guest.dialogue.progressed is None:
        due = guest.clock.now + guest.dialogue.seconds_until_due(guest.clock.now)
        if coming and coming[0][0] < due:
            guest.clock.now, answer = coming.popleft()
            guest.hears(answer)
        else:
            answer = guest.server.answer(guest.says())
            coming.append((guest.clock.now + late, answer))
        # Not the first answer counts, but that to the last attempt before it.
        assert guest.elapsed <= 2 * late


def test_an_answer_before_any_question_is_passed_over() -> None:
    guest = Version2Conversation(Version2Server())
    guest.hears(guest.server.say("METADATA", {"id": ""}, "denied"))
    assert guest.dialogue.refusal is None


def test_the_dialogue_is_traced_by_codes_places_and_sizes() -> None:
    guest = Version2Conversation(Version2Server(NETWORKDATA=None))
    guest.goes_on()
    assert guest.log == [
        "> REQUEST_METADATA from 0, at most 4096 bytes",
        f"< RESPONSE_METADATA {len(gzip.compress(METADATA))} bytes ok",
        "> REQUEST_USERDATA from 0, at most 8192 bytes",
        f"< RESPONSE_USERDATA {len(USERDATA)} bytes ok",
    ]


# A bad line


def spoilt(data: bytes, draw: "Callable[[int], int]") -> bytes:
    """Return the bytes with one in 400 lost, altered or doubled."""
    line = bytearray()
    for byte in data:
        what = draw(1200)
        line += {0: b"", 1: bytes([byte, byte]), 2: bytes([byte ^ 1 << draw(8)])}.get(what, bytes([byte]))
    return bytes(line)


@pytest.mark.parametrize("seed", range(8))
def test_over_a_bad_line_everything_arrives_exact(seed: int) -> None:
    draw = random.Random(seed).randrange
    server = Version2Server(USERDATA=RANDOM[:20_000], VENDORDATA=NOISE * 20)
    guest = Version2Conversation(server)
    heard = bytearray()
    for _ in range(2000):
        if guest.dialogue.documents:
            break
        sent = spoilt(guest.says(), draw)
        try:
            heard += spoilt(server.answer(sent), draw)
        except (ValueError, AssertionError):
            continue  # it is none of the server's business
        while heard:
            cut = 1 + draw(500)
            guest.hears(bytes(heard[:cut]))
            del heard[:cut]
    assert guest.dialogue.refusal is None
    assert guest.contents["user-data"] == RANDOM[:20_000]
    assert guest.contents["vendor-data"] == NOISE * 20
    assert b'"i-0042"' in (guest.dialogue.documents.meta_data if guest.dialogue.documents else b"")


@pytest.mark.parametrize(
    "data", [b"[ 1.0] usb!!\r\n", b"\r\nweb-01 login: ", b"!!RESPONSE_USERDATA#\n", NOISE]
)
def test_noise_between_the_answers_does_not_matter(data: bytes) -> None:
    guest = Version2Conversation(Version2Server())
    guest.goes_on(lambda answer: data + answer + data)
    assert guest.contents["user-data"] == USERDATA
    assert "i-0042" in str(guest.contents["meta-data"])
