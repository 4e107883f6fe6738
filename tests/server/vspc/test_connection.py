"""One connection and its VM: who it is, whether it is served. Its data and its vMotions have a file each."""

import itertools
import uuid

import pytest

from tests.support.vspc import (
    AGREES,
    DONT_AUTHENTICATION,
    DONT_COM_PORT,
    GET_VM_BIOS_UUID,
    GET_VM_NAME,
    GET_VM_VC_UUID,
    KNOWN_SUBOPTIONS_1,
    KNOWN_SUBOPTIONS_2,
    OPENING,
    REQUEST,
    REQUESTED,
    VM_BIOS_UUID,
    VM_LOCATION_UUID,
    VM_VC_UUID,
    WILL_AUTHENTICATION,
    WILL_COM_PORT,
    WILL_EXT,
    WILL_PROXY,
    WONT_PROXY,
    Host,
    do_proxy,
    ext,
    identified,
    packets,
    unknown_suboption_rcvd_1,
    unknown_suboption_rcvd_2,
    violation,
    vm_name,
)
from vmw_cloudinit_metadata.vspc.connection import UUID_SECONDS
from vmw_cloudinit_metadata.vspc.events import (
    Limits,
    ProxyRefused,
    TokenRefused,
    VMLeft,
)
from vmw_cloudinit_metadata.vspc.port import VMIdentity

UUID = uuid.UUID("684c916c-5f6c-4c2f-aa50-dfd661a22e0d")


@pytest.fixture
def host() -> Host:
    return Host()


# The first connect


def test_the_first_connect_is_a_dialogue_in_the_documented_order(host: Host) -> None:
    assert host.hears() == OPENING
    host.says(WILL_AUTHENTICATION)
    assert host.hears() == DONT_AUTHENTICATION
    host.says(AGREES)
    assert host.hears() == b""
    host.says(KNOWN_SUBOPTIONS_1, do_proxy())
    assert host.hears() == KNOWN_SUBOPTIONS_2 + GET_VM_VC_UUID + GET_VM_NAME + GET_VM_BIOS_UUID + WILL_PROXY
    assert host.events() == []
    host.says(VM_VC_UUID, vm_name("web-01"))
    assert host.events() == []
    host.says(VM_BIOS_UUID)
    assert identified(host.events()) == VMIdentity("web-01", UUID, UUID)
    host.says(WILL_COM_PORT)
    assert host.hears() == DONT_COM_PORT
    host.says(REQUEST)
    assert packets(host.events()) == [REQUESTED]
    host.connection.send_serial(b"!!RESPONSE_METADATA#e30=\r\n")
    assert host.hears() == b"!!RESPONSE_METADATA#e30=\r\n"
    host.leaves()
    assert host.events() == [VMLeft(host.connection.port)]


def test_a_host_that_waits_for_the_proxy_and_one_that_offers_first_end_alike(host: Host) -> None:
    host.hears()
    host.says(WILL_EXT)  # an answer to our DO: not to be answered
    assert host.hears() == b""
    host.says(WILL_EXT)
    assert host.hears() == b""


@pytest.mark.parametrize(
    "answers", list(itertools.permutations([VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID, do_proxy()]))
)
def test_the_answers_come_in_any_order(host: Host, answers: tuple[bytes, ...]) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1)
    for answer in answers[:-1]:
        host.says(answer)
        assert host.events() == []
    host.says(answers[-1])
    assert identified(host.events()) == VMIdentity("web-01", UUID, UUID)


def test_do_proxy_may_come_before_known_suboptions(host: Host) -> None:
    host.hears()
    host.says(AGREES, do_proxy())
    assert host.hears() == GET_VM_VC_UUID + GET_VM_NAME + GET_VM_BIOS_UUID + WILL_PROXY
    host.says(KNOWN_SUBOPTIONS_1)
    assert host.hears() == KNOWN_SUBOPTIONS_2
    host.says(VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    assert identified(host.events()).name == "web-01"


def test_a_vm_is_identified_once_and_later_claims_change_nothing(host: Host) -> None:
    host.connects("web-01")
    host.says(vm_name("db-01"), VM_LOCATION_UUID, do_proxy("my-metadata?port=2"))
    assert host.events() == []
    assert host.connection.port.identity == VMIdentity("web-01", UUID, UUID)


def test_of_names_repeated_before_the_vm_is_known_the_last_counts(host: Host) -> None:
    host.says(
        AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), vm_name("old"), VM_VC_UUID, vm_name("new"), VM_BIOS_UUID
    )
    assert identified(host.events()).name == "new"


@pytest.mark.parametrize(
    "name", ["Büro-01", "サーバー", "a%2fb", "x" * 80, "\N{SMILING FACE WITH SUNGLASSES} 1"]
)
def test_a_name_is_any_utf_8(host: Host, name: str) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), VM_VC_UUID, vm_name(name), VM_BIOS_UUID)
    assert identified(host.events()).name == name


def test_a_name_that_is_not_utf_8_or_empty_names_nobody(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), VM_VC_UUID, VM_BIOS_UUID, ext(82, b"\xff\xfe"))
    assert "VM_NAME is not UTF-8" in violation(host.events())
    host.says(vm_name(""))
    assert host.events() == []
    host.says(vm_name("web-01"))
    assert identified(host.events()).name == "web-01"


# UUIDs that do not come


def test_a_uuid_not_answered_for_two_seconds_is_absent(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), vm_name("web-01"), VM_BIOS_UUID)
    assert host.connection.deadline == host.clock.now + UUID_SECONDS
    host.clock.now += UUID_SECONDS - 0.01
    host.connection.check_deadline()
    assert host.events() == []
    host.clock.now += 0.01
    host.connection.check_deadline()
    assert identified(host.events()) == VMIdentity("web-01", None, UUID)
    assert host.connection.deadline is None


def test_nothing_waits_for_a_deadline_once_the_vm_is_known(host: Host) -> None:
    assert host.connection.deadline is None
    host.connects()
    assert host.connection.deadline is None
    host.clock.now += 1000
    host.connection.check_deadline()
    assert host.events() == []


def test_a_name_is_waited_for_beyond_the_deadline(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy())
    host.clock.now += UUID_SECONDS
    host.connection.check_deadline()
    assert host.events() == []
    host.says(vm_name("web-01"))
    assert identified(host.events()) == VMIdentity("web-01")


def test_an_empty_uuid_is_an_answer(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), vm_name("web-01"), ext(80), ext(84))
    assert identified(host.events()) == VMIdentity("web-01", None, None)


def test_a_get_the_vm_does_not_know_is_not_waited_for(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), vm_name("web-01"), VM_BIOS_UUID)
    host.says(unknown_suboption_rcvd_1(81))
    assert identified(host.events()) == VMIdentity("web-01", None, UUID)


def test_a_uuid_the_vm_does_not_list_is_neither_asked_for_nor_waited_for(host: Host) -> None:
    host.hears()
    host.says(AGREES, ext(0, bytes([0, 2, 70, 82, 83])), do_proxy(), vm_name("web-01"))
    assert host.hears() == KNOWN_SUBOPTIONS_2 + GET_VM_NAME + WILL_PROXY
    assert identified(host.events()) == VMIdentity("web-01")


@pytest.mark.parametrize("listed", [bytes([80, 84]), bytes([81, 85])])
def test_either_code_of_a_uuid_means_that_the_vm_knows_it(host: Host, listed: bytes) -> None:
    host.hears()
    host.says(AGREES, ext(0, listed))
    assert host.hears() == KNOWN_SUBOPTIONS_2 + GET_VM_VC_UUID + GET_VM_NAME + GET_VM_BIOS_UUID


def test_a_broken_uuid_counts_as_not_answered(host: Host) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(), vm_name("web-01"), VM_BIOS_UUID, ext(80, b"no uuid"))
    assert "VM_VC_UUID is not a UUID" in violation(host.events())
    host.clock.now += UUID_SECONDS
    host.connection.check_deadline()
    assert identified(host.events()) == VMIdentity("web-01", None, UUID)


def test_a_location_is_taken_when_the_vm_tells_it(host: Host) -> None:
    host.says(
        AGREES, KNOWN_SUBOPTIONS_1, VM_LOCATION_UUID, do_proxy(), VM_VC_UUID, VM_BIOS_UUID, vm_name("x")
    )
    assert identified(host.events()).location_uuid == UUID


# The service URI


@pytest.mark.parametrize("direction", [b"C", b"S"])
def test_both_directions_are_served(host: Host, direction: bytes) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(direction=direction))
    assert host.hears().endswith(WILL_PROXY)


@pytest.mark.parametrize(
    ("uri", "label"),
    [
        ("my-metadata?port=2", "2"),
        ("my-metadata?token=hunter2&port=b%C3%BCro", "büro"),
        ("my-metadata?", ""),
        ("my-metadata?port=", ""),
        ("my-metadata?&&=;%ff", ""),
    ],
)
def test_a_query_behind_our_uri_may_label_the_port(host: Host, uri: str, label: str) -> None:
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(uri), VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    assert identified(host.events()).port == label


def test_our_uri_may_have_a_query_itself() -> None:
    host = Host(uri="my?x=1")
    host.says(do_proxy("my?x=1"))
    assert host.hears().endswith(WILL_PROXY)
    host = Host(uri="my?x=1")
    host.says(do_proxy("my?x=2"))
    assert host.hears().endswith(WONT_PROXY)


@pytest.mark.parametrize(
    "uri", ["", "other", "my-metadata2", "my-metadat", "MY-METADATA", "x?my-metadata", "büro"]
)
def test_another_uri_is_refused_and_nothing_more_is_taken(host: Host, uri: str) -> None:
    host.hears()
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(uri), do_proxy(), VM_VC_UUID, vm_name("web-01"), REQUEST)
    assert host.hears().endswith(GET_VM_BIOS_UUID + WONT_PROXY)
    assert host.events() == [ProxyRefused("x?..." if "?" in uri else uri)]
    host.says(WILL_COM_PORT, do_proxy(), VM_BIOS_UUID, REQUEST)
    host.clock.now += UUID_SECONDS
    host.connection.check_deadline()
    host.leaves()
    assert host.hears() == b""
    assert host.events() == []


def test_a_refusal_does_not_tell_the_token(host: Host) -> None:
    host.says(do_proxy("other?token=hunter2"))
    assert host.events() == [ProxyRefused("other?...")]


def test_a_token_behind_our_uri_belongs_to_the_vm_and_is_not_shown(host: Host) -> None:
    uri = "my-metadata?port=2&token=correct+horse/=="
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy(uri), VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    identity = identified(host.events())
    assert (identity.token, identity.port) == ("correct+horse/==", "2")
    assert "correct" not in repr(identity)


def test_a_vm_with_a_token_that_is_accepted_is_served() -> None:
    host = Host(token="correct-horse")
    host.says(AGREES, KNOWN_SUBOPTIONS_1, do_proxy("my-metadata?token=correct-horse"))
    host.says(VM_VC_UUID, vm_name("web-01"), VM_BIOS_UUID)
    assert host.hears().endswith(WILL_PROXY)
    assert identified(host.events()).token == "correct-horse"


@pytest.mark.parametrize(
    "query", ["", "?", "?token=", "?token=wrong", "?TOKEN=correct-horse", "?port=correct-horse"]
)
def test_a_vm_without_the_token_gets_wont_proxy_and_is_not_served(query: str) -> None:
    host = Host(token="correct-horse")
    host.says(
        AGREES, KNOWN_SUBOPTIONS_1, do_proxy(f"my-metadata{query}"), VM_VC_UUID, vm_name("web-01"), REQUEST
    )
    assert host.hears().endswith(GET_VM_BIOS_UUID + WONT_PROXY)
    assert host.events() == [TokenRefused()]
    host.says(do_proxy("my-metadata?token=correct-horse"), VM_BIOS_UUID, REQUEST)
    assert host.hears() == b""
    assert host.events() == []


# Suboptions that are none


@pytest.mark.parametrize("command", [4, 42, 99, 254, 255])
def test_an_unknown_command_is_named_to_the_vm_and_does_no_harm(host: Host, command: int) -> None:
    host.connects()
    host.says(b"\xff\xfa\xe8", bytes([command]).replace(b"\xff", b"\xff\xff"), b"parameters\xff\xf0")
    assert host.hears() == b"\xff\xfa\xe8\x03" + bytes([command]).replace(b"\xff", b"\xff\xff") + b"\xff\xf0"
    host.says(REQUEST)
    assert packets(host.events()) == [REQUESTED]


@pytest.mark.parametrize("command", [1, 41, 43, 45, 71, 73, 81, 83, 85, 87])
def test_a_command_of_the_proxy_s_side_is_unknown_from_a_vm(host: Host, command: int) -> None:
    host.connects()
    host.says(ext(command))
    assert host.hears() == unknown_suboption_rcvd_2(command)


def test_a_suboption_of_another_option_is_not_taken_for_ours(host: Host) -> None:
    host.hears()
    host.says(AGREES, do_proxy("x").replace(b"\xe8", b"\x18"))
    assert "option 24" in violation(host.events())
    assert host.hears() == b""


@pytest.mark.parametrize(
    "broken", [b"\xff\xfa\xe8\xff\xf0", ext(2), ext(70), ext(70, b"Xuri"), ext(70, b"C\xfe")]
)
def test_a_broken_suboption_is_a_violation_the_connection_lives_on_with(host: Host, broken: bytes) -> None:
    host.connects()
    host.says(broken, REQUEST)
    broke, received = host.events()
    assert violation([broke])
    assert packets([received]) == [REQUESTED]


def test_a_suboption_over_the_limit_is_dropped_and_what_follows_is_whole() -> None:
    host = Host(limits=Limits(max_suboption=100))
    host.says(AGREES, vm_name("x" * 100))
    assert "longer than 100 bytes" in violation(host.events())
    assert host.connects().connection.port.identity is not None
