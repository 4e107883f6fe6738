"""A session and a driver that takes its time."""

import asyncio
import gc
import logging

import pytest

from tests.server.vspc.talk import Moody, Talk, turns
from tests.server.vspc.test_session import SECRET
from tests.support.peer import Run
from tests.support.version2 import request
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc import session as session_module
from vmw_cloudinit_metadata.vspc.run import RUN_SECONDS
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient, Writer
from vmw_cloudinit_wire import Packet


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a driver that does not answer at once be one that takes its time."""
    monkeypatch.setattr(session_module, "DRIVER_SECONDS", 0.0)


class Ready(Moody):
    """A driver that may have a snapshot at hand."""

    at_hand: Snapshot | None = None

    def snapshot_at_hand(self, vm_client: VMClient) -> Snapshot | None:
        return self.at_hand


def test_what_is_at_hand_is_fetched_by_no_thread(run: Run) -> None:
    async def test() -> None:
        driver = Ready({})
        talk = Talk(driver)
        driver.at_hand = Snapshot(InstanceData({"metadata": {"instance-id": "i-1", "hostname": "web-01"}}))
        for document in ("metadata", "networkdata", "userdata"):
            await talk.ask(document)
        talk.receive(Packet("REQUEST_METADATA"))
        if talk.session.task:
            await asyncio.wait([talk.session.task])
        sent, talk.line.sent = talk.line.sent, b""
        assert sent.startswith(b"!!RESPONSE_METADATA#")
        assert driver.asked == []
        assert talk.workers._threads == []
        driver.at_hand = None
        assert (await talk.ask("metadata", run="00000002")).status == "ok"
        assert driver.asked == ["web-01"]

    run(test())


@pytest.mark.usefixtures("impatient")
def test_a_driver_that_was_asked_is_waited_for_whatever_is_at_hand_meanwhile(run: Run) -> None:
    async def test() -> None:
        driver = Ready({})
        talk = Talk(driver)
        release = driver.hold()
        assert (await talk.ask("metadata")).status == "busy"
        driver.at_hand = Snapshot(InstanceData({"metadata": {"instance-id": "i-1", "hostname": "web-01"}}))
        assert (await talk.ask("metadata")).status == "busy"
        await driver.until_held()
        release()

    run(test())


def silence(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the VM been silent for as long as it takes to be forgotten, at the loop's next turn."""
    monkeypatch.setattr(session_module, "RUN_SECONDS", 0.0)
    assert talk.session in talk.session._silent
    asyncio.get_running_loop().call_soon(talk.session.forget)


# A driver that takes its time


@pytest.mark.usefixtures("impatient")
def test_a_guest_of_version_2_is_told_to_ask_again_and_is_answered_by_the_same_call(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        for document in ("metadata", "metadata", "userdata"):
            answer = await talk.ask(document)
            assert (answer.status, answer.options["retry"]) == ("busy", "2")
            assert answer.payload == b"the server is still looking for this VM's definition"
        await talk.driver.until_held()
        call = talk.session._call
        assert call is not None
        release()
        await asyncio.wait([call])
        assert (await talk.ask("metadata")).status == "ok"
        assert talk.driver.asked == ["web-01"]

    run(test())


@pytest.mark.usefixtures("impatient")
def test_a_run_that_has_its_snapshot_goes_on_while_the_driver_hangs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        talk = Talk()
        with monkeypatch.context() as patient:
            patient.setattr(session_module, "DRIVER_SECONDS", 20.0)
            assert (await talk.ask("metadata")).status == "ok"
        stranger = Talk(talk.driver, talk.workers, "other")
        release = talk.driver.hold("other")
        assert (await stranger.ask("metadata")).status == "busy"
        await talk.driver.until_held()
        assert (await talk.ask("userdata")).status == "ok"
        assert (await talk.ask("metadata", run="00000002")).status == "busy"
        release()

    run(test())


@pytest.mark.usefixtures("impatient")
def test_a_guest_of_version_1_waits_as_long_as_it_takes(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        talk.receive(Packet("REQUEST_USERDATA"))
        await talk.driver.until_held()
        await turns()
        assert talk.line.sent == b""
        release()
        assert talk.session.task
        await asyncio.wait([talk.session.task])
        assert talk.line.sent.startswith(b"!!RESPONSE_USERDATA#")

    run(test())


def test_a_client_that_asks_twice_at_once_is_answered_twice_by_one_call(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        asked = [asyncio.ensure_future(talk.session.client.take_snapshot()) for _ in range(2)]
        await talk.driver.until_held()
        release()
        first, second = await asyncio.gather(*asked)
        assert first is second is not None
        assert talk.driver.asked == ["web-01"]

    run(test())


class Loud(VMClient):
    async def write_metadata(self) -> None:
        if await self.documents():
            await self.write("RESPONSE_METADATA", "{}")


class OfVersion1(Moody):
    def new_client(self, vm_name: str, writer: Writer) -> VMClient:
        return Loud(vm_name, writer, self)


@pytest.mark.usefixtures("impatient")
def test_so_does_any_guest_of_a_client_that_speaks_version_1_only(run: Run) -> None:
    async def test() -> None:
        talk = Talk(OfVersion1({}))
        release = talk.driver.hold()
        talk.receive(request("metadata"))
        await talk.driver.until_held()
        await turns()
        release()
        assert talk.session.task
        await asyncio.wait([talk.session.task])
        assert talk.line.sent == b"!!RESPONSE_METADATA#e30=\r\n"

    run(test())


@pytest.mark.usefixtures("impatient")
def test_a_call_that_no_thread_has_begun_is_not_made_for_a_vm_that_has_gone(run: Run) -> None:
    async def test() -> None:
        first = Talk()
        release = first.driver.hold()
        await first.ask("metadata")
        await first.driver.until_held()
        gone = Talk(first.driver, first.workers, "gone")
        assert (await gone.ask("metadata")).status == "busy"
        gone.session.close()
        await turns()
        last = Talk(first.driver, first.workers, "last")
        release()
        last.receive(Packet("REQUEST_METADATA"))
        assert last.session.task
        await asyncio.wait([last.session.task])
        assert first.driver.asked == ["web-01", "last"]

    run(test())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("seconds", "asked"), [(60.0, 1), (0.0, 2)])
def test_what_a_driver_said_is_not_kept_for_ever_for_a_guest_that_does_not_come_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, seconds: float, asked: int
) -> None:
    async def test() -> None:
        monkeypatch.setattr(session_module, "RUN_SECONDS", seconds)
        talk = Talk()
        release = talk.driver.hold()
        await talk.ask("metadata")
        await talk.driver.until_held()
        call = talk.session._call
        assert call is not None
        release()
        await asyncio.wait([call])
        await turns()
        talk.receive(Packet("REQUEST_METADATA"))
        assert talk.session.task
        await asyncio.wait([talk.session.task])
        assert len(talk.driver.asked) == asked

    run(test())


@pytest.mark.usefixtures("impatient")
def test_it_is_dropped_when_the_guest_has_been_silent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        talk = Talk()
        release = talk.driver.hold()
        await talk.ask("metadata")
        await talk.driver.until_held()
        call = talk.session._call
        assert call is not None
        release()
        await asyncio.wait([call])
        await talk.answers()
        silence(talk, monkeypatch)
        talk.session._call_ended(call)
        while talk.session._call:
            await asyncio.sleep(0)

    run(test())


@pytest.mark.usefixtures("impatient")
def test_the_end_of_an_earlier_call_says_nothing_of_the_one_under_way(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        monkeypatch.setattr(session_module, "RUN_SECONDS", 0.0)
        talk = Talk()
        release = talk.driver.hold()
        await talk.ask("metadata")
        await talk.driver.until_held()
        under_way = talk.session._call
        earlier = asyncio.create_task(asyncio.sleep(0))
        await earlier
        talk.session._call_ended(earlier)
        await talk.ask("metadata")
        assert talk.session._call is under_way
        release()

    run(test())


@pytest.mark.usefixtures("impatient")
def test_an_exception_that_nobody_comes_for_is_not_logged_with_its_text(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        talk = Talk()
        talk.driver.options["raises"] = ValueError(SECRET)
        release = talk.driver.hold()
        await talk.ask("metadata")
        await talk.driver.until_held()
        call = talk.session._call
        assert call is not None
        release()
        await asyncio.wait([call])
        del call
        talk.session._call = None
        gc.collect()
        await turns()

    caplog.set_level(logging.DEBUG)
    run(test())
    assert SECRET not in caplog.text
    assert "never retrieved" not in caplog.text


def test_what_a_driver_raises_is_answered_and_its_text_stays_unsaid(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        talk = Talk(Moody({"raises": SystemExit(SECRET)}))
        answer = await talk.ask("metadata")
        assert (answer.status, answer.options["retry"]) == ("busy", "5")
        del talk.driver.options["raises"]
        assert (await talk.ask("metadata")).status == "ok"

    run(test())
    assert SECRET not in caplog.text


def test_a_vm_that_has_been_silent_for_a_minute_is_forgotten(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        talk = Talk()
        await talk.ask("metadata")
        assert await talk.ask("userdata")
        assert talk.driver.asked == ["web-01"]
        silence(talk, monkeypatch)
        while talk.session.client._runs._version_2:
            await asyncio.sleep(0)
        await talk.ask("userdata")
        assert talk.driver.asked == ["web-01"] * 2
        talk.session.close()

    run(test())


def test_the_minute_begins_anew_with_every_packet_and_sets_no_timer(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        silent = talk.session._silent
        await talk.ask("metadata")
        deadline, timer = silent._deadlines[talk.session], silent._timer
        while talk.session._loop.time() == deadline - RUN_SECONDS:
            await asyncio.sleep(0.001)
        await talk.ask("userdata")
        assert silent._deadlines[talk.session] > deadline
        assert silent._timer is timer
        talk.session.close()
        assert talk.session not in silent
        silent.close()


def test_a_vm_that_is_being_answered_is_not_silent(run: Run) -> None:
    async def test() -> None:
        talk = Talk()
        assert (await talk.ask("metadata")).status == "ok"
        release = talk.driver.hold()
        talk.receive(request("metadata", run="00000002"))
        await talk.driver.until_held()
        talk.session.forget()
        assert talk.session.client._runs._version_2
        release()
        assert [answer.status for answer in await talk.answers()] == ["ok"]

    run(test())

    run(test())
