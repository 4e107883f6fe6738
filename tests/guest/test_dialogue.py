from typing import List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest.conversation import (
    ASKED,
    META_DATA,
    METADATA,
    NETWORKDATA,
    PAYLOADS,
    USERDATA,
    Clock,
    Log,
    asked_for,
    counted_ids,
    response,
)
from vmw_cloudinit_guest.dialogue import FIRST_WAIT, LONGEST_WAIT, Dialogue
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_wire import LineBuffer

ALL = [(name, PAYLOADS[name]) for name in ASKED]


class Conversation:
    """A dialogue with a server of version 1 and its clock, so that tests read as what is heard and said."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log = Log()
        self.dialogue = Dialogue(self.clock.now, self.log, {}, counted_ids())

    def says(self, after: float = 0.0) -> Optional[str]:
        """Let time pass; return the document that is asked for then."""
        self.clock.now += after
        line = self.dialogue.data_to_send(self.clock.now)
        return asked_for(line)[0] if line else None

    def hears(self, data: bytes) -> None:
        self.dialogue.receive_data(data, self.clock.now)

    def ends(self) -> Documents:
        """Have METADATA asked once more, and return what came of all."""
        assert self.dialogue.documents is None
        assert self.says() == "METADATA"
        self.hears(response("METADATA", METADATA))
        assert self.dialogue.documents
        return self.dialogue.documents


@pytest.fixture
def guest() -> Conversation:
    return Conversation()


def answered_up_to(document: str) -> Conversation:
    """Return a conversation in which this document has just been asked for."""
    guest = Conversation()
    for name, payload in PAYLOADS.items():
        assert guest.says() == name
        if name == document:
            break
        guest.hears(response(name, payload))
    return guest


def test_a_question_and_an_answer_for_each_document_make_the_documents(guest: Conversation) -> None:
    for name, payload in ALL:
        assert guest.dialogue.documents is None
        assert guest.says() == name
        guest.hears(response(name, payload))
    documents = guest.dialogue.documents
    assert documents
    assert documents.instance_id == META_DATA["instance-id"]
    assert (documents.network_config, documents.user_data) == (NETWORKDATA, USERDATA)
    assert guest.says(after=100) is None


def test_an_empty_network_answer_means_no_network_config() -> None:
    guest = answered_up_to("NETWORKDATA")
    guest.hears(response("NETWORKDATA", b""))
    guest.says()
    guest.hears(response("USERDATA", b""))
    documents = guest.ends()
    assert (documents.network_config, documents.user_data) == (None, b"")


def test_silence_is_waited_for_1_2_4_8_8_seconds(guest: Conversation) -> None:
    assert guest.says() == "METADATA"
    for wait in (1, 2, 4, 8, 8, 8):
        assert guest.dialogue.seconds_until_due(guest.clock.now) == wait
        assert guest.says(after=wait - 0.01) is None
        assert guest.says(after=0.01) == "METADATA"


def test_every_question_begins_with_the_short_wait_again() -> None:
    guest = answered_up_to("METADATA")
    guest.says(after=1)
    guest.says(after=2)
    guest.hears(response("METADATA", METADATA))
    assert guest.says() == "NETWORKDATA"
    assert guest.says(after=FIRST_WAIT) == "NETWORKDATA"


@pytest.mark.parametrize("end", [b"\n\r", b"\r\n", b"\n"])
def test_every_line_end_in_use_is_understood(guest: Conversation, end: bytes) -> None:
    for name, payload in ALL:
        guest.says()
        guest.hears(response(name, payload, end))
    assert guest.dialogue.documents


@pytest.mark.parametrize(
    "noise",
    [
        b"[    1.234567] usb 1-1: new device!!\r\n",
        b"\r\nDebian GNU/Linux 12 web-01 ttyS1\r\n\r\nweb-01 login: ",
        b"!!REQUEST_METADATA#\r\n",
        b"!!RESPONSE_SECURITYDATA#aGk=\n\r",
        b"!!RESPONSE_USERDATA#aGk=\n\r",
        b"GhlIHRhaWwgb2YgYW4gb2xkZXIgYW5zd2Vy\n\r",
        b"\xff\xfe\x00\n",
        b"!!\n",
        b"!!RESPONSE_META",
        b"\n\n\r\r\n",
    ],
)
def test_noise_an_echo_other_codes_and_half_lines_are_skipped(guest: Conversation, noise: bytes) -> None:
    guest.says()
    guest.hears(noise)
    guest.hears(response("METADATA", METADATA))
    assert guest.says() == "NETWORKDATA"
    assert guest.dialogue.fault is None


def test_noise_does_not_put_off_the_next_request(guest: Conversation) -> None:
    guest.says()
    for _ in range(9):
        assert guest.says(after=0.1) is None
        guest.hears(b"[ 1.0] chatter\n[ 1.0] more, without an end")
    assert guest.says(after=0.1) == "METADATA"


def test_an_answer_is_arriving_from_its_code_to_the_end_of_its_line(guest: Conversation) -> None:
    assert guest.says() == "METADATA"
    answer = b"\r\nlogin: " + response("METADATA", METADATA, end=b"\n")
    begun = answer.index(b"#")
    for position, byte in enumerate(answer[:-1]):
        assert guest.dialogue.arriving == (position > begun)
        guest.hears(bytes([byte]))
    assert guest.dialogue.arriving
    guest.hears(answer[-1:])
    assert not guest.dialogue.arriving


def test_a_line_that_is_still_arriving_is_never_asked_for_twice() -> None:
    guest = answered_up_to("USERDATA")
    line = response("USERDATA", b"x" * 3000, end=b"\n")
    guest.hears(line[:20])
    for position in range(20, len(line)):
        assert guest.says(after=0.9 * FIRST_WAIT) is None
        guest.hears(line[position : position + 1])
    assert guest.ends().user_data == b"x" * 3000


def test_a_line_that_stops_arriving_is_asked_for_again_and_its_half_does_not_spoil_the_next() -> None:
    guest = answered_up_to("USERDATA")
    guest.hears(response("USERDATA", USERDATA)[:25])
    assert guest.says(after=FIRST_WAIT) == "USERDATA"
    guest.hears(response("USERDATA", USERDATA))
    assert guest.ends().user_data == USERDATA


def test_a_broken_answer_is_asked_for_again_after_the_wait() -> None:
    guest = answered_up_to("USERDATA")
    guest.hears(b"!!RESPONSE_USERDATA#not base64\n")
    assert guest.dialogue.fault == "the payload of RESPONSE_USERDATA is not base64"
    assert guest.says(after=FIRST_WAIT / 2) is None
    assert guest.says(after=FIRST_WAIT / 2) == "USERDATA"
    guest.hears(response("USERDATA", USERDATA))
    assert guest.dialogue.fault is None
    assert guest.ends().user_data == USERDATA


def test_metadata_that_is_no_use_to_cloud_init_is_a_fault(guest: Conversation) -> None:
    guest.says()
    guest.hears(response("METADATA", b'{"hostname": "web-01"}'))
    assert guest.dialogue.fault == "the metadata has no instance-id"
    assert guest.dialogue.progressed is None


def test_a_second_answer_to_one_question_is_skipped() -> None:
    guest = answered_up_to("NETWORKDATA")
    guest.hears(response("METADATA", b'{"instance-id": "late"}'))
    guest.hears(response("NETWORKDATA", NETWORKDATA) + response("NETWORKDATA", b"late"))
    guest.says()
    guest.hears(response("USERDATA", USERDATA) + response("USERDATA", b"late"))
    documents = guest.ends()
    assert documents.instance_id == META_DATA["instance-id"]
    assert (documents.network_config, documents.user_data) == (NETWORKDATA, USERDATA)


def test_there_is_no_progress_before_the_first_good_answer(guest: Conversation) -> None:
    guest.says()
    guest.hears(response("METADATA", METADATA)[:-4])
    assert guest.dialogue.progressed is None
    guest.clock.now += 1
    guest.hears(response("METADATA", METADATA)[-4:])
    assert guest.dialogue.progressed == guest.clock.now


def test_progress_is_more_of_an_answer_than_ever_came_before() -> None:
    guest = answered_up_to("USERDATA")
    line = response("USERDATA", b"x" * 300)
    began = guest.clock.now
    guest.clock.now = began + 1
    guest.hears(line[:202])
    assert guest.dialogue.progressed == began + 1

    # A server that breaks off at the same place again and again would hold up the boot for ever.
    guest.clock.now = began + 2
    guest.hears(b"\n" + line[:202])
    assert guest.dialogue.progressed == began + 1

    guest.clock.now = began + 3
    guest.hears(line[202:203])
    assert guest.dialogue.progressed == began + 3


def test_a_broken_answer_is_no_progress() -> None:
    guest = answered_up_to("USERDATA")
    progressed = guest.dialogue.progressed
    guest.clock.now += 1
    guest.hears(b"!!RESPONSE_USERDATA#%\n")
    assert guest.dialogue.progressed == progressed


def test_a_line_without_an_end_is_a_fault_and_the_next_answer_counts(guest: Conversation) -> None:
    guest.dialogue._lines = LineBuffer(limit=1000)
    guest.says()
    guest.hears(b"!!RESPONSE_METADATA#" + b"A" * 1000)
    assert guest.dialogue.fault == "a line of more than 1000 bytes"
    guest.hears(b"AAAA\n" + response("METADATA", METADATA))
    assert guest.dialogue.fault is None
    assert guest.says() == "NETWORKDATA"


def test_the_dialogue_is_traced_by_codes_and_sizes_and_never_by_contents() -> None:
    guest = answered_up_to("USERDATA")
    guest.hears(b"password: hunter2\n")
    guest.hears(b"!!RESPONSE_USERDATA#hunter2\n")
    guest.hears(response("USERDATA", b"hunter2"))
    assert guest.log == [
        "> REQUEST_METADATA from 0, at most 4096 bytes",
        f"< RESPONSE_METADATA {len(METADATA)} bytes",
        "> REQUEST_NETWORKDATA",
        f"< RESPONSE_NETWORKDATA {len(NETWORKDATA)} bytes",
        "> REQUEST_USERDATA",
        "< skipped a line of 17 bytes: no packet on this line",
        "< skipped a line of 27 bytes: the payload of RESPONSE_USERDATA is not base64",
        "  refused: the payload of RESPONSE_USERDATA is not base64",
        "< RESPONSE_USERDATA 7 bytes",
    ]


def test_no_request_is_a_blank_line_or_lacks_its_number_sign() -> None:
    """A server of 0.0.8 disconnects for either."""
    for name in PAYLOADS:
        guest = answered_up_to(name)
        sent = guest.dialogue.data_to_send(guest.clock.now + LONGEST_WAIT)
        assert sent.count(b"#") == 1
        assert sent.count(b"\n") == 1
        assert sent.endswith(b"\n")
        assert sent.startswith(b"!!")


STREAM = b"".join(b"login: " + response(name, payload) + b"[ 1.0] noise!!\r\n" for name, payload in ALL)


@given(st.lists(st.integers(0, len(STREAM))))
def test_cuts_in_the_stream_do_not_matter(cuts: List[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})
    guest = Conversation()
    for start, end in zip(edges, edges[1:]):
        guest.says()
        guest.hears(STREAM[start:end])
    assert guest.dialogue.documents


@given(st.lists(st.binary()))
def test_garbage_is_survived_and_the_answer_behind_it_is_found(pieces: List[bytes]) -> None:
    guest = answered_up_to("NETWORKDATA")
    for piece in pieces:
        guest.hears(piece)
    guest.hears(b"\n" + response("NETWORKDATA", NETWORKDATA))
    assert guest.says() == "USERDATA"
