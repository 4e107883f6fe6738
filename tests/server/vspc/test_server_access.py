"""Who may connect to a server, and with which token; on real sockets."""

import logging
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support import peer
from tests.support.peer import METADATA, Instances, Run, options, serving
from vmw_cloudinit_metadata.vspc.admission import Tokens, parse_network
from vmw_cloudinit_metadata.vspc.server import VSPCServer

SECRET = "correct-horse"
HERE, ELSEWHERE = parse_network("127.0.0.0/8"), parse_network("192.0.2.0/24")


def do_proxy(query: str) -> bytes:
    return b"\xff\xfa\xe8\x46Smy-metadata" + query.encode() + b"\xff\xf0"


def introduction(name: str, query: str) -> bytes:
    return peer.introduction(name).replace(peer.DO_PROXY, do_proxy(query))


def logged(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """What was logged at this level, without the peer's port."""
    messages = [record.getMessage() for record in caplog.records if record.levelname == level]
    return [re.sub(r"127\.0\.0\.1:\d+", "PEER", message) for message in messages]


# The allow-list


def test_who_comes_from_elsewhere_is_closed_before_anything_is_said(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), allow=(ELSEWHERE,)) as site:
            for _ in range(3):
                stranger = await site.connect()
                assert await stranger.until_closed() == b""
            assert not site.server._protocols

    run(test())
    assert logged(caplog, "WARNING") == [
        "refused 1 connection: 127.0.0.1 is in no network that --allow names"
    ]


def test_who_comes_from_a_network_that_is_allowed_is_served(run: Run) -> None:
    async def test() -> None:
        networks = (ELSEWHERE, HERE, parse_network("::1"))
        async with serving(Instances({}), allow=networks, listen=(("127.0.0.1", 0), ("::1", 0))) as site:
            for address in site.addresses:
                vm = await site.vm("web-01", address=address)
                assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


def test_on_a_socket_of_systemds_for_both_an_ipv4_host_is_found_in_ipv4_networks(run: Run) -> None:
    async def test(allow: Any, is_served: bool) -> None:
        both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        async with serving(Instances({}), inherited=((both.detach(), ""),), allow=(allow,)) as site:
            host = await site.connect(("127.0.0.1", site.addresses[0][1]))
            if is_served:
                await host.take(b"\xff\xfd\xe8")
            else:
                assert await host.until_closed() == b""

    run(test(HERE, is_served=True))
    run(test(parse_network("::ffff:127.0.0.0/104"), is_served=True))
    run(test(ELSEWHERE, is_served=False))
    run(test(parse_network("::1"), is_served=False))


def test_the_destination_of_a_vmotion_must_be_allowed_like_any_other(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({}), allow=(HERE,), listen=(("127.0.0.1", 0), ("::1", 0))) as site:
            here = await site.vm("web-01")
            await here.send(peer.VMOTION_BEGIN)
            token = await here.go_ahead()
            stranger = await site.connect(site.addresses[1])
            assert await stranger.until_closed() == b""
            there = await site.connect()
            await there.arrive(token)
            await there.send(peer.VMOTION_COMPLETE)
            assert (await there.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


# Tokens


def test_a_vm_whose_service_uri_carries_the_token_is_served(run: Run) -> None:
    async def test() -> None:
        async with serving(Instances({}), tokens=Tokens([SECRET, "battery-staple"])) as site:
            vm = await site.connect()
            await vm.send(introduction("web-01", f"?port=1&token={SECRET}"))
            assert (await vm.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


@pytest.mark.parametrize(
    "query", ["", "?token=wrong-horse", "?token=", f"&token={SECRET}", f"?tokens={SECRET}"]
)
def test_any_other_vm_gets_wont_proxy_and_the_log_a_line_without_tokens(
    run: Run, caplog: pytest.LogCaptureFixture, query: str
) -> None:
    async def test() -> None:
        driver = Instances({})
        async with serving(driver, tokens=Tokens([SECRET])) as site:
            for _ in range(3):
                vm = await site.connect()
                await vm.send(introduction("web-01", query), METADATA)
                answer = await vm.until_closed()
                assert answer.endswith(peer.WONT_PROXY)
                assert peer.WILL_PROXY not in answer
        assert driver.asked == []

    caplog.set_level(logging.DEBUG)
    run(test())
    (line,) = logged(caplog, "WARNING")
    if query.startswith("&"):
        assert line == "PEER: refused: asks for the service 'my-metadata&...', this is 'my-metadata'"
    else:
        assert line == "PEER: refused: its service URI carries no token that is accepted here"
    assert "horse" not in caplog.text


def test_one_kind_of_refusal_does_not_hide_another(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving(Instances({}), tokens=Tokens([SECRET])) as site:
            for _ in range(3):
                for query in ("2", ""):
                    vm = await site.connect()
                    await vm.send(introduction("web-01", query))
                    await vm.until_closed()

    run(test())
    assert len(logged(caplog, "WARNING")) == 2


def test_a_vm_that_moves_keeps_its_token_and_its_destination_needs_none(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(Instances({}), tokens=Tokens([SECRET])) as site:
            here = await site.connect()
            await here.send(introduction("web-01", f"?token={SECRET}"))
            await here.take(peer.WILL_PROXY)
            await here.send(peer.VMOTION_BEGIN)
            there = await site.connect()
            await there.arrive(await here.go_ahead())
            await there.send(peer.VMOTION_COMPLETE)
            assert (await there.ask(METADATA)).code == "RESPONSE_METADATA"
            (port,) = site.server._sessions
            assert port.identity is not None
            assert port.identity.token == SECRET

    caplog.set_level(logging.DEBUG)
    run(test())
    assert SECRET not in caplog.text


def test_a_token_that_is_rotated_holds_for_connections_to_come(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "tokens"
        file.write_text(SECRET)
        tokens = Tokens(file=file)
        async with serving(Instances({}), tokens=tokens) as site:
            old = await site.connect()
            await old.send(introduction("web-01", f"?token={SECRET}"))
            await old.take(peer.WILL_PROXY)
            file.write_text("battery-staple")
            site.server._reload_files()
            late = await site.connect()
            await late.send(introduction("web-01", f"?token={SECRET}"))
            assert (await late.until_closed()).endswith(peer.WONT_PROXY)
            new = await site.connect()
            await new.send(introduction("web-01", "?token=battery-staple"))
            assert (await new.ask(METADATA)).code == "RESPONSE_METADATA"
            assert (await old.ask(METADATA)).code == "RESPONSE_METADATA"

    run(test())


def test_a_file_of_tokens_that_cannot_be_read_again_is_an_error_and_changes_nothing(
    run: Run, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def test() -> None:
        file = tmp_path / "tokens"
        file.write_text(SECRET)
        async with serving(Instances({}), tokens=Tokens(file=file)) as site:
            file.write_text("short")
            site.server._reload_files()
            vm = await site.connect()
            await vm.send(introduction("web-01", f"?token={SECRET}"))
            await vm.take(peer.WILL_PROXY)

    run(test())
    assert logged(caplog, "ERROR") == [
        f"the tokens stay as before: {tmp_path}/tokens:1: the token is not 8 to 128 characters long"
    ]


# What is said at the start

OPEN = (
    "anyone who can connect can claim to be any VM:"
    " give --allow CIDR, the network of your ESXi hosts, or --token-file FILE"
)


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({"listen": (("0.0.0.0", 0),)}, [OPEN]),
        ({"listen": (("127.0.0.1", 0), ("0.0.0.0", 0))}, [OPEN]),
        ({"listen": (("127.0.0.1", 0), ("::1", 0))}, []),
        ({"listen": (("0.0.0.0", 0),), "allow": (HERE,)}, []),
        ({"listen": (("0.0.0.0", 0),), "tokens": Tokens([SECRET])}, []),
    ],
)
def test_a_server_that_anyone_can_use_says_so_and_what_to_do(
    run: Run, caplog: pytest.LogCaptureFixture, changes: Any, warnings: list[str]
) -> None:
    async def test() -> None:
        async with serving(Instances({}), **changes):
            pass

    run(test())
    assert logged(caplog, "WARNING") == warnings


def test_that_is_said_of_a_socket_of_systemds_too(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        async with serving(Instances({}), inherited=((both.detach(), ""),)):
            pass

    run(test())
    assert logged(caplog, "WARNING") == [OPEN]


def test_options_do_not_show_tokens() -> None:
    server = VSPCServer(peer.URI, Instances({}), options(tokens=Tokens([SECRET])))
    assert SECRET not in repr(server.options)
