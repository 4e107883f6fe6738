import builtins
from typing import Any, List, Optional

import pytest

from tests.guest.conversation import METADATA, NETWORKDATA, USERDATA
from vmw_cloudinit_guest.course import ChangedError
from vmw_cloudinit_guest.documents import DocumentError
from vmw_cloudinit_guest.version1 import Version1

YAML_OF_0_0_8 = b"config:\n- {name: eth0, type: physical}\nversion: 1\n"


def answered(*payloads: bytes) -> Version1:
    course = Version1()
    for payload in payloads:
        course.take(payload, {})
    return course


def test_metadata_comes_first_and_last() -> None:
    course = Version1()
    asked: List[Optional[str]] = []
    for payload in (METADATA, NETWORKDATA, USERDATA, METADATA):
        assert course.documents is None
        asked.append(course.kind.code if course.kind else None)
        course.take(payload, {})
    assert asked == ["METADATA", "NETWORKDATA", "USERDATA", "METADATA"]
    assert course.documents
    assert (course.documents.user_data, course.documents.vendor_data) == (USERDATA, None)
    assert course.etags == {}


def test_a_request_has_neither_options_nor_parts() -> None:
    course = Version1()
    course.missed()
    assert (list(course.options()), course.part) == ([], "")


def test_an_instance_that_was_replaced_meanwhile_makes_no_mixture() -> None:
    course = answered(METADATA, NETWORKDATA, USERDATA)
    with pytest.raises(ChangedError):
        course.take(b'{"instance-id": "another"}', {})
    assert course.documents is None


def test_after_the_last_answer_others_do_not_count() -> None:
    course = answered(METADATA, NETWORKDATA, USERDATA, METADATA)
    course.take(b"late", {})
    assert course.documents
    assert course.documents.user_data == USERDATA


@pytest.mark.parametrize("payload", [b"", b'{"version": 1, "config": []}', YAML_OF_0_0_8, b"version: 2\n"])
def test_network_data_that_parses_is_taken(payload: bytes) -> None:
    answered(METADATA, payload)


@pytest.mark.parametrize(
    "payload",
    [
        YAML_OF_0_0_8[:20],
        YAML_OF_0_0_8.replace(b"}", b""),
        b'{"version": 1, "config": [',
        b"- a list\n",
        b"text",
        pytest.param(b"[" * 100_000, id="deep"),
        b"config: !!python/object:os.system {}\n",
        b"a: &a [*b]\n",
        b"version: 2001-99-99\n",
        b"\x01",
    ],
)
def test_network_data_that_does_not_is_asked_for_again(payload: bytes) -> None:
    course = answered(METADATA)
    with pytest.raises(DocumentError, match="the network data is n"):
        course.take(payload, {})
    assert course.kind
    assert course.kind.code == "NETWORKDATA"


def test_without_a_parser_for_yaml_it_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_yaml(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    answered(METADATA, YAML_OF_0_0_8[:20])


@pytest.mark.parametrize("payload", [b"#cloud-config\n[", bytes(range(256)), b""])
def test_user_data_is_nobody_s_business(payload: bytes) -> None:
    course = answered(METADATA, NETWORKDATA, payload, METADATA)
    assert course.documents
    assert course.documents.user_data == payload
