import gzip
from typing import List

import pytest

from tests.guest.conversation import (
    METADATA,
    NETWORKDATA,
    RANDOM,
    USERDATA,
    Version2Conversation,
    Version2Server,
    asked_for,
    etag,
)
from vmw_cloudinit_guest.dialogue import FIRST_WAIT
from vmw_cloudinit_guest.documents import Held
from vmw_cloudinit_guest.version2 import MAX_SENTENCE


def held(content: bytes, served: bytes = b"") -> Held:
    return Held(etag(served or content), content)


# The questions


def test_metadata_lists_what_there_is_and_that_is_asked_for() -> None:
    server = Version2Server(VENDORDATA=b"#cloud-config\nvendor: {}\n")
    guest = Version2Conversation(server)
    guest.goes_on()
    assert guest.dialogue.version == 2
    assert server.codes == ["METADATA", "NETWORKDATA", "USERDATA", "VENDORDATA"]
    assert guest.contents["network-config"] == NETWORKDATA
    assert guest.contents["user-data"] == USERDATA
    assert guest.contents["vendor-data"] == b"#cloud-config\nvendor: {}\n"
    assert guest.dialogue.etags == {
        "meta-data": etag(METADATA),
        "network-config": etag(NETWORKDATA),
        "user-data": etag(USERDATA),
        "vendor-data": etag(b"#cloud-config\nvendor: {}\n"),
    }
    assert (guest.elapsed, guest.dialogue.retries) == (0, 0)


def test_what_there_is_not_is_not_asked_for() -> None:
    server = Version2Server(NETWORKDATA=None, USERDATA=None)
    guest = Version2Conversation(server)
    guest.goes_on()
    assert server.codes == ["METADATA"]
    assert (guest.contents["network-config"], guest.contents["user-data"]) == (None, b"")
    assert guest.contents["vendor-data"] is None


def test_a_request_says_its_run_and_an_id_of_its_own() -> None:
    server = Version2Server()
    guest = Version2Conversation(server)
    guest.goes_on()
    asked = [options for _, options in server.requests]
    assert {options["run"] for options in asked} == {"00000001"}
    assert [options["id"] for options in asked] == ["00000002", "00000003", "00000004"]
    assert {options["v"] for options in asked} == {"2"}
    assert {options["accept"] for options in asked} == {"gzip"}
    assert asked[1]["etag"] == etag(NETWORKDATA)
    assert "etag" not in asked[0]


def test_a_document_that_the_server_does_not_serve_after_all_is_absent() -> None:
    server = Version2Server(VENDORDATA=b"x")
    server.statuses = {"VENDORDATA": "unsupported", "USERDATA": "unsupported"}
    guest = Version2Conversation(server)
    guest.goes_on()
    assert (guest.contents["vendor-data"], guest.contents["user-data"]) == (None, b"")


def test_an_instance_that_goes_away_in_the_middle_is_asked_for_anew_and_no_half_of_it_is_taken() -> None:
    """A listed document that is not found: the definition was removed, or the server has started anew."""
    server = Version2Server()
    server.statuses = {"USERDATA": "not-found"}
    guest = Version2Conversation(server)
    for _ in range(3):
        guest.hears(server.answer(guest.says()))
    assert server.codes == ["METADATA", "NETWORKDATA", "USERDATA"]
    server.statuses = {"METADATA": "not-found"}
    guest.goes_on()
    assert server.codes[3:] == ["METADATA"]
    assert guest.dialogue.refusal
    assert guest.dialogue.refusal.status == "not-found"
    assert guest.dialogue.documents is None


# What is held


def test_a_reboot_with_nothing_new_is_one_round_trip() -> None:
    server = Version2Server()
    files = {"meta_data": METADATA, "network_config": NETWORKDATA, "user_data": USERDATA}
    guest = Version2Conversation(server, **{file: held(content) for file, content in files.items()})
    guest.goes_on()
    assert [(code, options.get("have")) for code, options in server.requests] == [
        ("METADATA", etag(METADATA))
    ]
    assert guest.contents["user-data"] == USERDATA
    assert guest.dialogue.etags["user-data"] == etag(USERDATA)


def test_what_is_held_is_the_file_as_it_is_whatever_was_served() -> None:
    guest = Version2Conversation(Version2Server(), user_data=held(b"blanked\n", served=USERDATA))
    guest.goes_on()
    assert guest.contents["user-data"] == b"blanked\n"


@pytest.mark.parametrize(("used_by", "codes"), [("i-0042", []), ("i-0041", ["USERDATA"])])
def test_what_one_instance_has_used_up_is_asked_for_again_for_another(used_by: str, codes: List[str]) -> None:
    server = Version2Server()
    blanked = Held(etag(USERDATA), b"", used_by)
    guest = Version2Conversation(server, network_config=held(NETWORKDATA), user_data=blanked)
    guest.goes_on()
    assert server.codes == ["METADATA", *codes]
    assert guest.contents["user-data"] == (USERDATA if codes else b"")


@pytest.mark.parametrize("new", ["METADATA", "NETWORKDATA", "USERDATA", "VENDORDATA"])
def test_only_what_is_new_is_asked_for(new: str) -> None:
    files = {"meta_data": METADATA, "network_config": NETWORKDATA, "user_data": USERDATA}
    content = b'{"instance-id": "i-0043"}' if new == "METADATA" else b"new: true\n"
    server = Version2Server(**{new: content})
    guest = Version2Conversation(server, **{file: held(content) for file, content in files.items()})
    guest.goes_on()
    assert server.codes == (["METADATA"] if new == "METADATA" else ["METADATA", new])
    assert content.strip(b"}\n") in b"".join(
        each for each in guest.contents.values() if isinstance(each, bytes)
    )


def test_unchanged_counts_only_for_what_was_asked_about() -> None:
    server = Version2Server()
    guest = Version2Conversation(server, meta_data=held(METADATA))
    server.statuses["METADATA"] = f"unchanged;etag={etag(b'other')};docs={server.docs}"
    guest.hears(server.answer(guest.says()))
    assert guest.dialogue.fault == "another etag is unchanged than was asked about"
    del server.statuses["METADATA"]
    guest.goes_on()
    assert guest.contents["user-data"] == USERDATA


# Pieces


def test_pieces_grow_while_they_arrive_whole_and_are_put_together() -> None:
    server = Version2Server(USERDATA=RANDOM)
    guest = Version2Conversation(server)
    guest.goes_on()
    pieces = [options for code, options in server.requests if code == "USERDATA"]
    assert [int(options["limit"]) for options in pieces] == [16384] * 5
    assert [int(options["offset"]) for options in pieces] == [0, 16384, 32768, 49152, 65536]
    assert [int(options["limit"]) for _, options in server.requests[:3]] == [4096, 8192, 16384]
    assert guest.contents["user-data"] == RANDOM


def test_a_piece_smaller_than_asked_for_will_do() -> None:
    server = Version2Server(USERDATA=RANDOM)
    server.largest = 1000
    guest = Version2Conversation(server)
    guest.goes_on()
    assert guest.contents["user-data"] == RANDOM


def test_pieces_shrink_while_none_arrives_whole_and_it_is_asked_from_there_on() -> None:
    server = Version2Server(USERDATA=RANDOM)
    guest = Version2Conversation(server)

    def breaks_what_is_long(data: bytes) -> bytes:
        return data if len(data) < 1000 else data[:500] + b"?" + data[501:]

    guest.goes_on(breaks_what_is_long)
    pieces = [options for code, options in server.requests if code == "USERDATA"]
    assert [int(options["limit"]) for options in pieces[:8]] == [
        *(16384, 8192, 4096, 2048, 1024, 512, 1024, 512)
    ]
    assert [int(options["offset"]) for options in pieces[5:8]] == [0, 512, 512]
    assert guest.contents["user-data"] == RANDOM
    # A line that came and was broken need not be waited for.
    assert guest.elapsed == 0


def test_no_piece_is_smaller_than_256_bytes() -> None:
    server = Version2Server(USERDATA=RANDOM)
    guest = Version2Conversation(server)
    for _ in range(30):
        guest.hears(server.answer(guest.says())[:-20] + b"\r\n")
    assert min(int(options["limit"]) for _, options in server.requests) == 256


def test_pieces_that_do_not_make_their_etag_are_asked_for_from_the_start_and_not_for_ever() -> None:
    server = Version2Server(USERDATA=b"a" * 9000)
    guest = Version2Conversation(server)
    broken = Version2Server(USERDATA=b"b" * 9000)
    misfits = 2

    while not guest.dialogue.documents:
        line = guest.says()
        code, asked = asked_for(line)
        if code == "USERDATA" and misfits:
            misfits -= asked["offset"] != "0"
            place = f"ok;offset={asked['offset']};total=9000;etag={asked['etag']}"
            offset = int(asked["offset"])
            guest.hears(broken.say(code, asked, place, (b"b" * 9000)[offset : offset + 8192]))
        else:
            guest.hears(server.answer(line))
    assert guest.contents["user-data"] == b"a" * 9000

    for_ever = Version2Conversation(server)
    while not for_ever.dialogue.refusal:
        line = for_ever.says()
        code, asked = asked_for(line)
        place = f"ok;offset=0;total=1;etag={asked.get('etag', etag(METADATA))}"
        for_ever.hears(server.say(code, asked, f"{place};docs={server.docs}", b"b"))
    assert for_ever.dialogue.refusal.status == "invalid"
    assert "etag" in for_ever.dialogue.refusal.sentence


BOMB = gzip.compress(b"\0" * 10_000_000)


@pytest.mark.parametrize(
    ("options", "payload", "fault"),
    [
        ("ok;offset=1;total=9;etag={etag};docs={docs}", b"x", "does not fit"),
        ("ok;offset=0;total=9;etag={etag};docs={docs}", b"0123456789", "does not fit"),
        ("ok;offset=0;total=9;etag={etag};docs={docs}", b"", "does not fit"),
        ("ok;offset=0;total=9;etag=xyz;docs={docs}", b"x", "broken etag"),
        ("ok;offset=0;total=9;docs={docs}", b"x", "broken etag"),
        ("ok;offset=0;total=9;etag={etag}", b"x", "broken etag"),
        ("ok;offset=0;total=9;etag={etag};docs=userdata:hi", b"x", "broken etag"),
        ("ok;total=9;etag={etag};docs={docs}", b"x", "without offset"),
        ("ok;offset=0;total=-1;etag={etag};docs={docs}", b"x", "without total"),
        ("ok;offset=0;total=9999;etag={etag};docs={docs}", b"x" * 4097, "larger than asked for"),
        ("ok;offset=0;total=9;etag={etag};docs={docs};enc=gzip", b"plain", "not gzip"),
        ("ok;offset=0;total=9;etag={etag};docs={docs};enc=gzip", gzip.compress(b"x")[:-1], "not one whole"),
        ("ok;offset=0;total=9;etag={etag};docs={docs};enc=gzip", gzip.compress(b"x") * 2, "not one whole"),
        ("ok;offset=0;total=9;etag={etag};docs={docs};enc=gzip", BOMB, "more than 4096 bytes"),
        ("ok;offset=0;total=9;etag={etag};docs={docs};enc=br", b"x", "encoding not asked for"),
        ("unchanged;etag={etag};docs={docs}", b"", "makes no sense"),
        ("ready;etag={etag};docs={docs}", b"", "makes no sense"),
        ("busy", b"", "without retry"),
    ],
)
def test_an_answer_that_is_no_use_is_a_fault_and_asked_for_again(
    options: str, payload: bytes, fault: str
) -> None:
    server = Version2Server()
    guest = Version2Conversation(server)
    _, asked = asked_for(guest.says())
    guest.hears(server.say("METADATA", asked, options.format(etag=etag(METADATA), docs=server.docs), payload))
    assert fault in str(guest.dialogue.fault)
    assert guest.dialogue.seconds_until_due(guest.clock.now) == FIRST_WAIT
    guest.goes_on()
    assert guest.contents["user-data"] == USERDATA


def test_a_document_larger_than_the_limit_is_refused_before_it_is_there() -> None:
    server = Version2Server()
    guest = Version2Conversation(server)
    _, asked = asked_for(guest.says())
    place = f"ok;offset=0;total=3145729;etag={etag(METADATA)};docs={server.docs}"
    guest.hears(server.say("METADATA", asked, place, b"x"))
    assert guest.dialogue.refusal
    assert "3145729 bytes; 3145728 are the limit" in guest.dialogue.refusal.sentence


def test_metadata_that_cloud_init_cannot_use_is_refused_at_once_since_it_is_as_the_server_has_it() -> None:
    guest = Version2Conversation(Version2Server(METADATA=b'{"hostname": "web-01"}'))
    guest.goes_on()
    assert guest.dialogue.refusal
    assert guest.dialogue.refusal.sentence == "the metadata has no instance-id"


# Statuses


@pytest.mark.parametrize("status", ["not-found", "invalid", "denied", "unsupported"])
def test_a_refusal_ends_it_with_the_server_s_sentence(status: str) -> None:
    server = Version2Server()
    server.statuses["METADATA"] = status
    server.sentence = "go away, wéb-01\n".encode()
    guest = Version2Conversation(server)
    guest.goes_on()
    assert guest.dialogue.refusal
    assert (guest.dialogue.refusal.status, guest.dialogue.refusal.sentence) == (status, "go away, wéb-01")
    assert guest.says() == b""


@pytest.mark.parametrize("status", ["invalid", "denied"])
def test_user_data_that_is_denied_ends_it_too(status: str) -> None:
    server = Version2Server()
    server.statuses["USERDATA"] = status
    guest = Version2Conversation(server)
    guest.goes_on()
    assert guest.dialogue.refusal
    assert guest.dialogue.documents is None


def test_a_server_s_sentence_is_bounded() -> None:
    server = Version2Server()
    server.statuses["METADATA"] = "denied"
    server.sentence = b"\xff" * 100_000
    guest = Version2Conversation(server)
    guest.goes_on()
    assert guest.dialogue.refusal
    assert len(guest.dialogue.refusal.sentence) == MAX_SENTENCE


def test_a_busy_server_is_asked_again_when_it_says_and_that_is_no_progress() -> None:
    server = Version2Server()
    server.statuses["METADATA"] = "busy;retry=3"
    server.sentence = b"the driver has not answered"
    guest = Version2Conversation(server)
    for seconds in (0, 3, 6):
        request = guest.says()
        assert guest.elapsed == seconds
        guest.hears(server.answer(request))
        assert guest.dialogue.progressed is None
        assert guest.dialogue.busy == "the driver has not answered"
    server.statuses = {}
    guest.goes_on()
    assert guest.dialogue.busy is None
    assert (guest.elapsed, guest.dialogue.retries) == (9, 0)


def test_a_busy_server_has_a_say_for_half_a_minute_at_most() -> None:
    server = Version2Server()
    server.statuses["METADATA"] = "busy;retry=86400"
    guest = Version2Conversation(server)
    guest.hears(server.answer(guest.says()))
    assert guest.says()
    assert guest.elapsed == 30
