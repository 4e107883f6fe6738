"""The packets that wait in line for a session, who asks, and what the log takes of it."""

import logging
import re

import pytest

from tests.server.vspc.talk import Talk
from tests.server.vspc.test_session import SECRET
from tests.support.peer import Run
from tests.support.version2 import id_of, report, request
from vmw_cloudinit_metadata.vspc import session as session_module
from vmw_cloudinit_metadata.vspc.session import MAX_WAITING_PACKETS
from vmw_cloudinit_wire import Packet

REPORT = b'{"stage": "seed", "boot-id": "0a0a"}'


# Packets in line


def test_a_request_that_comes_again_takes_the_place_of_the_one_in_line(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        first, second, third = (request("metadata") for _ in range(3))
        other, later = request("userdata"), request("metadata", run="00000002")
        talk.receive(first)
        await talk.driver.until_held()
        talk.receive(second, other, later, third)
        release()
        answers = await talk.answers()
        assert [answer.options["id"] for answer in answers] == [
            id_of(packet) for packet in (first, third, other, later)
        ]

    run(test())


def test_so_does_a_report(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        talk.receive(request("metadata"))
        await talk.driver.until_held()
        again, other = report(REPORT), report(REPORT.replace(b"seed", b"final"))
        talk.receive(report(REPORT), other, again)
        release()
        _, *answers = await talk.answers()
        assert [answer.options["id"] for answer in answers] == [id_of(again), id_of(other)]

    run(test())


def test_requests_of_made_up_runs_are_bounded_as_all_others(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        talk.receive(request("metadata"))
        await talk.driver.until_held()
        talk.receive(*(request("metadata", run=f"{number:08x}") for number in range(100)))
        release()
        assert len(await talk.answers()) == 1 + MAX_WAITING_PACKETS

    run(test())


def test_a_packet_is_looked_at_once_however_many_are_in_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        looked_at = []
        question = session_module._question

        def look_at(packet: Packet, given: dict[str, str] | None) -> object:
            looked_at.append(packet)
            return question(packet, given)

        monkeypatch.setattr(session_module, "_question", look_at)
        talk.receive(request("metadata"))
        await talk.driver.until_held()
        flood = [request("metadata", run=f"{number:08x}") for number in range(100)]
        talk.receive(*flood)
        assert looked_at[1:] == flood
        release()
        await talk.answers()

    run(test())


# Who asks, and the log


def test_the_client_knows_the_token_of_the_service_uri(run: Run) -> None:
    async def test() -> None:
        assert Talk().session.client.vm_token == "between-us"

    run(test())


def test_a_boot_is_logged_with_its_word_when_it_is_not_ok(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        talk = Talk()
        talk.driver.options["raises"] = ValueError(SECRET)
        await talk.ask("metadata")
        await talk.ask("metadata")
        del talk.driver.options["raises"]
        etag = (await talk.ask("metadata")).options["etag"]
        await talk.ask("userdata")
        await talk.ask("metadata", run="00000002", have=etag)

    caplog.set_level(logging.INFO)
    run(test())
    lines = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert [re.sub(r"\d\.\d{3}", "N", line).partition(": ")[2] for line in lines] == [
        "REQUEST_METADATA answered busy in N s, 153 bytes",
        "REQUEST_METADATA answered in N s, 257 bytes",
        "REQUEST_METADATA answered unchanged in N s, 150 bytes",
    ]


def test_a_broken_request_is_no_boot(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        talk = Talk()
        for _ in range(3):
            await talk.ask("metadata")
            whole = request("metadata")
            talk.receive(whole._replace(payload=whole.payload[:-1]))
            assert await talk.answers() == []

    caplog.set_level(logging.INFO)
    run(test())
    assert len(caplog.messages) == 1
