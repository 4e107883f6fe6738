"""Canaries in every secret there is, sent through all that can go wrong: none of them is found outside.

What is looked through: the server's log at its most talkative, in each format; what the guest prints, with
-v; the reprs of what holds secrets; and the files that others may read.
"""

import asyncio
import base64
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.loop import in_loop
from tests.support.machine import Machine
from tests.support.world import World
from vmw_cloudinit_guest.documents import Documents as FetchedDocuments
from vmw_cloudinit_guest.documents import Held
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.config import Settings
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.vspc.port import VMIdentity
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_wire import Packet

CANARY = "tr0ub4dor"


def canary(where: str) -> str:
    return f"{CANARY}-{where}"


WELL: dict[str, Any] = {
    "metadata": {
        "instance-id": "i-1",
        "hostname": "web-01",
        "public-keys": [f"ssh-ed25519 AAAA {canary('key')}"],
        "password": canary("metadata"),
    },
    "userdata": f"#cloud-config\npassword: {canary('userdata')}\n",
    "vendordata": f"#cloud-config\npassword: {canary('vendordata')}\n",
    "token": canary("token-of-the-definition"),
    "serve": {"runs": 1, "until-reported": True},
}

HEAD = "metadata: {instance-id: i-1, hostname: web-01}\n"

BROKEN = {
    "syntax": f"{HEAD}userdata: [{canary('syntax')}\n",
    "indentation": f"{HEAD}userdata: |\n  #cloud-config\npassword {canary('indentation')}\n",
    "quotes": f'{HEAD}token: "{canary("quotes")}\n',
    "unknown-key": f"{HEAD}password: {canary('unknown-key')}\n",
    "not-a-mapping": canary("not-a-mapping"),
    "metadata-is-text": f"metadata: {canary('metadata-is-text')}\n",
    "token-is-a-list": f"{HEAD}token: [{canary('token-is-a-list')}]\n",
    "token-is-too-long": f"{HEAD}token: {canary('token-is-too-long') * 30}\n",
    "userdata-is-a-list": f"{HEAD}userdata: [{canary('userdata-is-a-list')}]\n",
    "keys-are-a-mapping": f"metadata: {{instance-id: i-1, hostname: w, public-keys: {{a: {canary('k')}}}}}\n",
    "twice": f"{HEAD}userdata: {canary('once')}\nuserdata: {canary('twice')}\n",
    "anchor": f"{HEAD}userdata: &a {canary('anchor')}\nvendordata: *b\n",
    "not-utf-8": f"{HEAD}userdata: {canary('not-utf-8')}\udcff\n",
    "control": f"{HEAD}userdata: {canary('control')}\x07\n",
}

TALKATIVE = ["raising", "key-error", "exiting", "nonsense", "own-client"]


def found_in(text: str) -> list[str]:
    """Return the canaries in a text, in base64, whatever their place in it, too."""
    plain = re.findall(rf".*{CANARY}.*", text)
    # Of three alignments, without the characters that share bits with what stands around.
    encoded = [
        base64.b64encode(b"\0" * shift + CANARY.encode())[4 if shift else 0 :][:8].decode()
        for shift in range(3)
    ]
    return plain + [line for line in text.splitlines() if any(each in line for each in encoded)]


async def fetch(machine: Machine, timeout: float) -> tuple[int, str]:
    """Run a guest that tells all it may; return its exit code and all it has printed."""
    process, _ = await machine.start_guest(timeout, None, "-v")
    said, complaint = await process.communicate()
    return process.returncode or 0, (said + complaint).decode()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_told_by_the_server_or_the_guest_whatever_goes_wrong(
    log_format: str, tmp_path: Path
) -> None:
    definitions = {**BROKEN, "well": json.dumps(WELL), "refused": json.dumps(WELL)}
    options = {"directory": str(tmp_path / "definitions"), "password": canary("driver-options")}
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{canary('token-of-the-server')}\n{WELL['token']}\n")
    tokens.chmod(0o600)
    state = tmp_path / "state"
    state.mkdir()

    async def test() -> None:
        world = World(
            tmp_path,
            dict.fromkeys(definitions, ""),
            driver="tests.end_to_end.drivers:TalkativeDriver",
            options=options,
            arguments=[
                *("--token-file", str(tokens), "--log-format", log_format),
                *("--state-directory", str(state)),
            ],
        )
        for name, text in definitions.items():
            (world.definitions / f"{name}.yaml").write_bytes(text.encode(errors="surrogateescape"))
        token = f"my-metadata?token={canary('token-of-the-server')}"
        async with world:
            machines = {
                "well": await world.machine("well", uri=f"my-metadata?token={WELL['token']}"),
                **{name: await world.machine(name, uri=token) for name in ("refused", "missing", *BROKEN)},
            }
            for name in TALKATIVE:
                machines[name] = await world.machine(name, uri=token)
            # The talkative ones make a guest wait.
            ends = (fetch(machine, 1 if name in TALKATIVE else 20) for name, machine in machines.items())
            fetched = dict(zip(machines, await asyncio.gather(*ends), strict=True))
            clientless = world.new_vm("clientless", uri=token)
            await clientless.start()
            await world.server.logged("made no client")
            await clientless.close()
        log = "\n".join(world.server.log)
        assert {
            name: code for name, (code, _) in fetched.items() if name in ("well", "refused", "missing")
        } == {
            "well": 0,
            "refused": 8,
            "missing": 7,
        }
        for name in BROKEN:
            assert fetched[name][0] == 4, name
            assert re.search(rf"{name}.*is not served", log), name
        # The dialogue is there, and of each fault a line.
        for part in (
            "RESPONSE_USERDATA",
            "raised RuntimeError",
            "raised KeyError",
            "returned a str",
            "made no client",
        ):
            assert part in log, part
        assert found_in(log) == []
        for name, (_, said) in fetched.items():
            assert found_in(said) == [], name
        own = {tokens, *world.definitions.iterdir()}
        for path in tmp_path.rglob("*"):
            if path.is_file() and path not in own and found_in(path.read_text(errors="replace")):
                assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path

    in_loop(test, 120)()


def test_a_token_that_is_wrong_is_not_told_either(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(canary("token-of-the-server") + "\n")

    @in_loop
    async def test() -> None:
        async with World(tmp_path, arguments=["--token-file", str(tokens)]) as world:
            vm = world.new_vm("stranger", uri=f"my-metadata?token={canary('wrong')}")
            with pytest.raises(Exception, match="does not serve") as refused:
                await vm.start()
            await world.server.logged("refused")
            log = "\n".join(world.server.log)
        assert found_in(log) == []
        assert found_in(str(refused.value).replace(canary("wrong"), "")) == []

    test()


def test_no_secret_is_in_the_repr_of_anything_that_holds_it() -> None:
    instance = parse_definition(json.dumps(WELL).encode(), "web-01.yaml")
    documents = nocloud.render(instance)
    secret = canary("anything").encode()
    for holder in (
        instance,
        documents,
        Snapshot(instance),
        Packet("RESPONSE_USERDATA", secret),
        Settings(uri="u", driver="d", driver_options={"password": canary("options")}),
        VMIdentity("web-01", token=canary("token")),
        FetchedDocuments(secret, secret, secret, secret),
        Held("0" * 16, secret),
    ):
        assert found_in(repr(holder)) == []
        assert found_in(f"{holder} {[holder]}") == []


def test_canaries_are_found_where_they_are() -> None:
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + canary("x").encode()).decode()
        assert found_in(f"RESPONSE_USERDATA {text}\n")
    assert found_in(canary("x"))
    assert not found_in("tr0ub")
