"""A VM that a definition is not for: what it is told in both versions, and what the operator reads."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import peer
from tests.support.peer import METADATA, Peer, Run, Site, serving
from tests.support.version2 import Answered, line, read_line, request
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.vspc.access import SENTENCE

# Of the VMs of these tests, VC and BIOS UUID alike.
UUID = "684c916c-5f6c-4c2f-aa50-dfd661a22e0d"
OTHER = "00000000-0000-4000-8000-000000000001"
TOKEN = "correct-horse"
SECRET = "tr0ub4dor"


def driver(directory: Path, conditions: str, **options: Any) -> FileDriver:
    """Return a driver with one definition, web-01."""
    text = f"metadata: {{instance-id: i-0042, hostname: web-01}}\nuserdata: {SECRET}\n{conditions}\n"
    (directory / "web-01.yaml").write_text(text)
    return FileDriver({"directory": str(directory), **options})


async def connect(site: Site, name: str, query: str = "") -> Peer:
    vm = await site.connect()
    uri = f"\xff\xfa\xe8\x46Smy-metadata{query}\xff\xf0".encode("latin-1")
    await vm.send(peer.introduction(name).replace(peer.DO_PROXY, uri))
    await vm.take(peer.WILL_PROXY)
    return vm


async def ask(vm: Peer, document: str = "metadata") -> Answered:
    await vm.send(line(request(document)))
    # An answer begins on a line of its own: an empty one comes first.
    while (text := await vm.take(b"\r\n")) == b"\r\n":
        continue
    return read_line(text)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


PINNED_ELSEWHERE = f"match: {{vc-uuid: {OTHER}, bios-uuid: {UUID}}}"
CASES = [
    (PINNED_ELSEWHERE, "", f"its vc-uuid is {UUID}, the definition is for {OTHER}"),
    (f"match: {{bios-uuid: {OTHER}}}", "", f"its bios-uuid is {UUID}, the definition is for {OTHER}"),
    (f"token: {TOKEN}", "", "its service URI carries no token, the definition demands one"),
    (f"token: {TOKEN}", "?token=wrong-horse", "its service URI carries another token than the definition's"),
]


@pytest.mark.parametrize(("conditions", "query", "difference"), CASES)
def test_in_version_2_it_is_denied_with_a_sentence_and_the_log_says_once_what_differs(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, conditions: str, query: str, difference: str
) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, conditions)) as site:
            vm = await connect(site, "web-01", query)
            for document in ("metadata", "userdata", "vendordata", "networkdata", "metadata"):
                answer = await ask(vm, document)
                assert (answer.status, answer.payload.decode()) == ("denied", SENTENCE)
                assert "docs" not in answer.options
                assert "etag" not in answer.options

    caplog.set_level(logging.DEBUG)
    run(test())
    assert logged(caplog) == [f"'web-01' denied: {difference}"]
    for secret in (TOKEN, "wrong-horse", SECRET):
        assert secret not in caplog.text


@pytest.mark.parametrize(("conditions", "query", "difference"), CASES)
def test_in_version_1_it_is_not_answered_and_the_log_says_once_what_differs(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, conditions: str, query: str, difference: str
) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, conditions)) as site:
            vm = await connect(site, "web-01", query)
            await vm.send(METADATA, peer.NETWORKDATA, peer.USERDATA)
            # What is answered comes in the order of the questions: nothing was, before this.
            assert (await ask(vm, "metadata")).status == "denied"

    caplog.set_level(logging.DEBUG)
    run(test())
    assert logged(caplog) == [f"'web-01' denied: {difference}"]
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("conditions", "query"),
    [
        (f"match: {{vc-uuid: {UUID}, bios-uuid: '{{{UUID.upper()}}}'}}", ""),
        (f"token: {TOKEN}", f"?port=2&token={TOKEN}"),
        (
            f"token: {TOKEN}\nmatch: {{vc-uuid: 68 4c 91 6c 5f 6c 4c 2f-aa 50 df d6 61 a2 2e 0d}}",
            f"?token={TOKEN}",
        ),
    ],
)
def test_the_vm_it_is_for_gets_it(run: Run, tmp_path: Path, conditions: str, query: str) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, conditions)) as site:
            vm = await connect(site, "web-01", query)
            assert (await ask(vm)).status == "ok"
            assert (await ask(vm, "userdata")).payload.decode() == SECRET
            assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


def test_a_vm_that_does_not_say_a_uuid_that_is_pinned_is_denied(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, f"match: {{vc-uuid: {UUID}}}")) as site:
            vm = await site.connect()
            nothing = b"\xff\xfa\xe8\x50\xff\xf0"
            await vm.send(peer.introduction("web-01").replace(peer.VC_UUID, nothing))
            await vm.take(peer.WILL_PROXY)
            assert (await ask(vm)).status == "denied"

    run(test())
    assert logged(caplog) == [f"'web-01' denied: its vc-uuid is not known, the definition is for {UUID}"]


def test_what_differs_is_said_again_when_it_changes_and_a_definition_that_fits_is_served(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, PINNED_ELSEWHERE)) as site:
            vm = await connect(site, "web-01")
            assert (await ask(vm)).status == "denied"
            driver(tmp_path, f"token: {TOKEN}")
            assert (await ask(vm)).status == "denied"
            driver(tmp_path, f"match: {{vc-uuid: {UUID}}}")
            assert (await ask(vm)).status == "ok"

    run(test())
    assert [re.sub(r".*?: its ", "", text).split()[0] for text in logged(caplog)] == ["vc-uuid", "service"]


def test_a_definition_without_pins_is_denied_where_they_are_demanded(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, "", **{"require-match": True})) as site:
            vm = await connect(site, "web-01")
            assert (await ask(vm)).status == "denied"

    run(test())
    assert logged(caplog) == ["'web-01' denied: its definition has no match, which require-match demands"]


def test_a_renamed_vm_gets_the_definition_of_its_uuid(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        files = driver(tmp_path, f"match: {{vc-uuid: {UUID}}}", **{"find-by": ["vc-uuid", "name"]})
        async with serving(files) as site:
            vm = await connect(site, "renamed")
            assert (await ask(vm, "userdata")).payload.decode() == SECRET

    run(test())


def test_a_definition_with_faults_is_invalid_and_the_log_has_them_once(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(driver(tmp_path, "match: {vc-uuid: }")) as site:
            vm = await connect(site, "web-01")
            for _ in range(3):
                answer = await ask(vm)
                assert answer.status == "invalid"
                assert answer.payload == b"the definition of this VM has faults; see the server's log"

    run(test())
    assert logged(caplog) == [
        f"'web-01' is not served: {tmp_path}/web-01.yaml:3: match.vc-uuid: is not a UUID"
    ]
