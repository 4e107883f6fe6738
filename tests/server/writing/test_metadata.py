import datetime
from collections.abc import Mapping

import pytest

from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.metadata import definition_metadata, load_mapping, plain

SECRET = "hunter2"


def written(document: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    notes: list[str] = []
    return definition_metadata(document, notes.append), notes


@pytest.mark.parametrize("text", [b"", b"\n", b"# nothing\n", b"---\n", b"{}"])
def test_an_empty_document_is_an_empty_mapping(text: bytes) -> None:
    assert load_mapping(text, "meta-data") == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"a: [", "meta-data:2: not YAML: did not find expected node content"),
        (b"a: 1\n\tb: 2\n", "meta-data:2: a tab stands where YAML wants spaces"),
        (b"- a\n", "meta-data: is not a mapping"),
        (b"text", "meta-data: is not a mapping"),
        (b"a: \xff", "meta-data:1: not UTF-8 text"),
        (b"a: \x07", "meta-data:1: a control character, which YAML refuses"),
        (b"a: 2026-13-45", "meta-data: a value is none that cloud-init reads"),
        (b"a: !!python/object:x {}", "meta-data:1: a value is none that cloud-init reads"),
        (b"[" * 100_000, "meta-data:1: nested more than 64 deep"),
        (b"a: &a [*a]", "meta-data:1: an alias stands inside the value it repeats"),
    ],
)
def test_what_is_no_mapping_is_a_sentence(text: bytes, fault: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_mapping(text, "meta-data")
    assert str(caught.value) == fault


def test_no_fault_quotes_what_it_is_about() -> None:
    for text in (f"a: [{SECRET}", f"a: *{SECRET}", f"!{SECRET} a: b", f"{SECRET}: {SECRET}: {SECRET}"):
        with pytest.raises(DefinitionError) as caught:
            load_mapping(text.encode(), "meta-data")
        assert SECRET not in str(caught.value)


def test_what_identifies_the_machine_comes_first_and_other_keys_stay() -> None:
    document = {"owner": "web", "local-hostname": "web-01", "region": None, "instance-id": "i-1", "x": None}
    metadata, notes = written(document)
    assert list(metadata.items()) == [
        ("instance-id", "i-1"),
        ("hostname", "web-01"),
        ("owner", "web"),
        ("x", None),
    ]
    assert notes == []


def test_a_number_is_the_text_that_cloud_init_makes_of_it() -> None:
    metadata, _ = written({"instance-id": 83, "local-hostname": "a", "ami-id": 1.5, "tags": [1, "b"]})
    assert metadata == {"instance-id": "83", "hostname": "a", "ami-id": "1.5", "tags": ["1", "b"]}


def test_the_machine_has_the_name_that_cloud_init_gives_it() -> None:
    assert written({"hostname": "a", "local-hostname": "a"}) == ({"hostname": "a"}, [])
    assert written({"hostname": "a"}) == ({"hostname": "a"}, [])
    metadata, notes = written({"hostname": "a", "local-hostname": "b"})
    assert metadata == {"hostname": "b"}
    assert notes == ["hostname is left out: cloud-init names the machine by local-hostname"]


def test_what_cloud_init_does_not_know_does_not_come_to_life() -> None:
    metadata, notes = written({"local-hostname": "a", "public_keys": ["ssh-rsa A"], "instance_id": "x"})
    assert metadata == {"hostname": "a"}
    assert notes == [
        "public_keys is left out: cloud-init does not know it, only public-keys",
        "instance_id is left out: cloud-init does not know it, only instance-id",
    ]


def test_nor_does_what_another_datasource_would_know() -> None:
    metadata, notes = written(
        {"local-hostname": "a", "network": {"version": 2}, "public-keys-data": "ssh-rsa A"}
    )
    assert metadata == {"hostname": "a"}
    assert notes == [
        "network is left out: cloud-init's NoCloud does not know it",
        "public-keys-data is left out: cloud-init's NoCloud does not know it",
    ]


@pytest.mark.parametrize(
    "keys",
    [
        ["ssh-rsa A a", "ssh-rsa B b"],
        "ssh-rsa A a\n\nssh-rsa B b\n",
        ["ssh-rsa A a\nssh-rsa B b", None],
        {"0": {"openssh-key": "ssh-rsa A a"}, "1": ["ssh-rsa B b"]},
        {"one": "ssh-rsa A a", "two": ("ssh-rsa B b",)},
    ],
)
def test_public_keys_are_a_list_whatever_form_they_had(keys: object) -> None:
    assert written({"public-keys": keys})[0]["public-keys"] == ["ssh-rsa A a", "ssh-rsa B b"]


def test_no_keys_are_left_out() -> None:
    assert written({"public-keys": None})[0] == written({"public-keys": 7})[0] == {}


def test_tags_are_a_mapping_or_a_list() -> None:
    assert written({"tags": {"role": "web", 1: 2}})[0]["tags"] == {"role": "web", "1": "2"}
    assert written({"tags": "web"})[0]["tags"] == ["web"]


def test_what_json_has_not_is_text() -> None:
    value = {
        1: datetime.date(2026, 12, 1),
        "time": datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC),
        "bytes": b"a\xff",
        "set": {"a"},
        "numbers": [10**17, 10**18, 1.5, float("nan"), True, None],
    }
    assert plain(value) == {
        "1": "2026-12-01",
        "time": "2026-12-01T12:00:00+00:00",
        "bytes": "a\ufffd",
        "set": ["a"],
        "numbers": [10**17, "1000000000000000000", 1.5, "nan", True, None],
    }
