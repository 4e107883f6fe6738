import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmw_cloudinit_guest.documents import (
    META_DATA,
    NETWORK_CONFIG,
    SECRET,
    USER_DATA,
    VENDOR_DATA,
    DocumentError,
    Documents,
    Held,
    etag,
    from_files,
    meta_data,
    network_config,
    sha256,
    user_data,
    vendor_data,
)


def made(**values: Any) -> Any:
    """Return the meta-data that becomes of an answer with these keys (with _ for -)."""
    answer = {key.replace("_", "-"): value for key, value in values.items()}
    return json.loads(meta_data(json.dumps(answer).encode()).decode())


def test_meta_data_keeps_what_it_does_not_know() -> None:
    tags = {"role": "web", "nested": [1, None, {"x": 1.5}]}
    assert made(instance_id="i-1", tags=tags)["tags"] == tags


@pytest.mark.parametrize(("given_id", "written"), [("i-1", "i-1"), (42, "42"), (" i-1\n", "i-1"), (0, "0")])
def test_an_instance_id_becomes_a_string(given_id: Any, written: str) -> None:
    assert made(instance_id=given_id)["instance-id"] == written


@pytest.mark.parametrize("instance_id", [None, "", "  ", [], {}, ["i-1"], True])
def test_metadata_without_an_instance_id_is_refused(instance_id: Any) -> None:
    with pytest.raises(DocumentError, match="instance-id"):
        made(instance_id=instance_id)


def test_cloud_init_takes_the_name_from_local_hostname_so_it_is_filled_in() -> None:
    assert made(instance_id="i", hostname="web-01")["local-hostname"] == "web-01"
    assert made(instance_id="i", hostname="web-01", local_hostname="web-02")["local-hostname"] == "web-02"
    assert made(instance_id="i", hostname="web-01", local_hostname=None)["local-hostname"] == "web-01"
    assert "local-hostname" not in made(instance_id="i")


def test_public_keys_are_a_list_of_strings() -> None:
    assert made(instance_id="i", public_keys=["a", "b"])["public-keys"] == ["a", "b"]
    assert made(instance_id="i", public_keys="a")["public-keys"] == ["a"]
    assert made(instance_id="i", public_keys=None)["public-keys"] == []
    assert made(instance_id="i")["public-keys"] == []


@pytest.mark.parametrize("keys", [{"0": "ssh"}, [1], [["a"]], 7])
def test_public_keys_of_another_kind_are_refused(keys: Any) -> None:
    with pytest.raises(DocumentError, match="public-keys"):
        made(instance_id="i", public_keys=keys)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"instance-id"',
        b"\xff{}",
        b'{"instance-id": "i", "tags": NaN}',
        b"[" * 100000,
        b'{"instance-id": "\\ud83d"}',
    ],
)
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(DocumentError):
        meta_data(payload)


def test_text_is_written_as_itself_because_yaml_does_not_join_surrogates() -> None:
    assert "wéb \U0001f600".encode() in meta_data(
        json.dumps({"instance-id": "i", "tags": "wéb \U0001f600"}).encode()
    )


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\ufffe", "\uffff"])
def test_what_yaml_refuses_or_folds_is_escaped(character: str) -> None:
    answer = json.dumps({"instance-id": "i", "tags": f"a{character}b"}, ensure_ascii=False).encode()
    written = meta_data(answer).decode()
    assert f"a\\u{ord(character):04x}b" in written
    assert json.loads(written)["tags"] == f"a{character}b"


def test_meta_data_holds_no_tabs_and_ends_with_a_line_end() -> None:
    written = meta_data(b'{"instance-id":\t"i",\t"tags": "a\\tb"}\r\n')
    assert b"\t" not in written
    assert written.endswith(b"}\n")


@given(st.binary())
def test_garbage_raises_document_error_and_nothing_else(payload: bytes) -> None:
    for check in (meta_data, network_config):
        with contextlib.suppress(DocumentError):
            check(payload)


def test_a_refusal_does_not_quote_the_answer() -> None:
    with pytest.raises(DocumentError) as caught:
        meta_data(b'{"instance-id": "i", "public-keys": {"hunter2": 1}, "password": "hunter2"')
    assert "hunter2" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text().map("x-{}".format), JSON, max_size=3))
def test_meta_data_of_meta_data_is_the_same(tags: Any) -> None:
    once = meta_data(json.dumps({"instance-id": "i-1", **tags}).encode())
    assert meta_data(once) == once
    assert {key: value for key, value in json.loads(once.decode()).items() if key in tags} == tags


@pytest.mark.parametrize("payload", [b"version: 1\nconfig: []\n", b'{"version": 2}', "# é\n{}".encode()])
def test_network_data_is_passed_on_as_it_came_be_it_yaml_or_json(payload: bytes) -> None:
    assert network_config(payload) == payload


@pytest.mark.parametrize("payload", [b"", b"\n", b"  \r\n"])
def test_empty_network_data_means_no_network_config(payload: bytes) -> None:
    assert network_config(payload) is None


@pytest.mark.parametrize("payload", [b"\xff\xfe", b"version: 1\0"])
def test_network_data_that_is_no_text_is_refused(payload: bytes) -> None:
    with pytest.raises(DocumentError, match="network data"):
        network_config(payload)


@given(st.binary())
def test_user_data_is_bytes_and_stays_so(payload: bytes) -> None:
    assert user_data(payload) == payload
    assert vendor_data(payload) == payload


def test_documents_are_files_and_files_are_documents_meta_data_last() -> None:
    documents = Documents(b"{}", None, b"", b"vendor")
    assert list(documents.files()) == ["user-data", "vendor-data", "network-config", "meta-data"]
    assert from_files(documents.files()) == documents
    assert from_files({**documents.files(), "user-data": None}).user_data == b""
    assert {kind.file for kind in (META_DATA, NETWORK_CONFIG, USER_DATA, VENDOR_DATA)} == set(
        documents.files()
    )


def test_an_etag_is_the_beginning_of_the_sha_256() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert etag(b"abc") == "ba7816bf8f01cfea"


def test_a_repr_shows_sizes_and_no_secrets() -> None:
    documents = Documents(b'{"instance-id": "hunter2"}', None, b"hunter2")
    assert repr(documents) == "<Documents: 7 bytes of user-data, 26 bytes of meta-data>"
    assert "5 bytes of network-config" in repr(documents._replace(network_config=b"12345"))
    assert "5 bytes of vendor-data" in repr(documents._replace(vendor_data=b"12345"))
    assert repr(Held("0123456789abcdef", b"hunter2")) == "<Held 7 bytes>"
    assert documents.instance_id == "hunter2"


def test_blanked_the_secret_documents_are_empty_and_one_that_there_is_not_stays_so() -> None:
    whole = Documents(b"{}", b"version: 1\n", b"secret", b"secret")
    assert whole.blanked() == Documents(b"{}", b"version: 1\n", b"", b"")
    assert whole._replace(vendor_data=None).blanked() == Documents(b"{}", b"version: 1\n", b"")
    changed = {name for name, content in whole.blanked().files().items() if content != whole.files()[name]}
    assert changed == set(SECRET)
