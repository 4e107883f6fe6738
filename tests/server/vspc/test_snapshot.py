import base64
import gzip
import hashlib
import uuid
import weakref
from typing import Any

import pytest

from tests.server.vspc.runs import VM
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot, checked, snapshot_for

SECRET = "hunter2"
METADATA = {"instance-id": "i-0042", "hostname": "web-01"}


def web(**parts: Any) -> InstanceData:
    return InstanceData({"metadata": METADATA, **parts})


def test_an_etag_is_the_beginning_of_the_sha_256_of_the_whole_document() -> None:
    content = b"#!/bin/sh\n"
    assert Document.of(content) == Document(content, hashlib.sha256(content).hexdigest()[:16])


def test_its_documents_are_those_of_version_1_by_the_names_of_the_packets() -> None:
    snapshot = Snapshot(
        web(
            network={"address": "192.0.2.10", "netmask": "255.255.255.0"},
            userdata="#!/bin/sh\n",
            vendordata="#cloud-config\n{}",
        )
    )
    contents = {name: document and document.content for name, document in snapshot.by_name.items()}
    assert contents == {
        "metadata": snapshot.documents.meta_data,
        "networkdata": snapshot.documents.network_config,
        "userdata": b"#!/bin/sh\n",
        "vendordata": b"#cloud-config\n{}",
    }


def test_its_size_is_that_of_its_documents() -> None:
    small, large = Snapshot(web(userdata="")), Snapshot(web(userdata="x" * 1000, vendordata="y" * 10))
    assert small.size == len(small.documents.meta_data)
    assert large.size == small.size + 1010


def test_what_there_is_besides_metadata_is_said_by_etags() -> None:
    snapshot = Snapshot(web(userdata="x"))
    assert snapshot.etags == f"networkdata:-,userdata:{Document.of(b'x').etag},vendordata:-"


def test_documents_with_the_same_content_are_one_as_long_as_somebody_holds_it() -> None:
    one, other = Snapshot(web(userdata="the same")), Snapshot(web(userdata="the same"))
    assert one.userdata is other.userdata
    assert one.metadata is other.metadata
    held = weakref.ref(one.userdata)
    del one
    assert held() is other.userdata
    del other
    assert held() is None


def test_user_data_is_held_once_and_not_as_text_as_well() -> None:
    snapshot = Snapshot(web(userdata="büro", vendordata=b"\xff"))
    assert snapshot.instance.userdata is snapshot.userdata.content
    assert snapshot.vendordata is not None
    assert snapshot.instance.vendordata is snapshot.vendordata.content


def test_a_piece_is_compressed_and_encoded_once_for_all_who_ask_for_the_same() -> None:
    document = Document.of(b"# a comment\n" * 2000)
    piece = document.piece("RESPONSE_USERDATA", 0, 4096, True)
    assert piece.compressed
    assert gzip.decompress(piece.payload) == document.content[:4096]
    assert piece.begun[0] == b"!!RESPONSE_USERDATA#" + base64.b64encode(piece.payload) + b"#"
    assert document.piece("RESPONSE_USERDATA", 0, 4096, True) is piece
    assert document.piece("RESPONSE_USERDATA", 0, 4096, False).payload == document.content[:4096]


def test_a_document_in_one_piece_is_not_copied_and_limits_beyond_its_end_are_the_same() -> None:
    document = Document.of(b"#!/bin/sh\n")
    piece = document.piece("RESPONSE_USERDATA", 0, 4096, True)
    assert piece.payload is document.content  # it would get no smaller
    assert document.piece("RESPONSE_USERDATA", 0, 16384, True) is piece


def test_a_guest_that_asks_for_ever_other_pieces_fills_no_memory() -> None:
    document = Document.of(bytes(100_000))
    for offset in range(1000):
        assert document.piece("RESPONSE_USERDATA", offset, 16384, False).payload == bytes(16384)
        assert len(document._pieces) <= 20


def test_a_repr_of_a_piece_shows_no_content() -> None:
    assert repr(Document.of(SECRET.encode()).piece("RESPONSE_USERDATA", 0, 99, False)) == "<Piece 7 bytes>"


def test_a_vm_with_an_instance_id_of_its_own_shares_all_but_meta_data() -> None:
    shared = Snapshot(InstanceData({"metadata": {"hostname": "web-01"}, "userdata": "x"}))
    one, other = (shared.for_vm(None, uuid.UUID(int=number)) for number in (7, 8))
    assert b'"instance-id": "00000000-0000-0000-0000-000000000007"' in one.metadata.content
    assert b'"instance-id": "00000000-0000-0000-0000-000000000008"' in other.metadata.content
    assert (one.instance.metadata and one.instance.metadata.instance_id) == str(uuid.UUID(int=7))
    assert one.userdata is other.userdata is shared.userdata
    assert b"instance-id" not in shared.metadata.content
    with pytest.raises(DefinitionError, match="instance-id: is missing"):
        shared.for_vm(None, None)


def test_a_snapshot_that_has_an_instance_id_is_the_same_for_all_vms() -> None:
    snapshot = Snapshot(web())
    assert snapshot.for_vm(uuid.UUID(int=7), None) is snapshot


def test_a_vm_gets_its_snapshot_or_a_refusal() -> None:
    vm = VM(None)
    instance = web(token="a-token-of-its-own")
    assert isinstance(snapshot_for(vm, instance), Refusal)
    vm.vm_token = "a-token-of-its-own"
    snapshot = snapshot_for(vm, instance)
    assert isinstance(snapshot, Snapshot)
    assert b'"i-0042"' in snapshot.metadata.content


def test_it_does_not_change_with_the_instance() -> None:
    instance = web(userdata="first")
    snapshot = Snapshot(instance)
    instance.userdata = "second"
    assert snapshot.by_name["userdata"] == Document.of(b"first")


@pytest.mark.parametrize("instance", [None, {"metadata": METADATA}, InstanceData(), web(userdata=7)])
def test_what_is_no_instance_is_refused(instance: object) -> None:
    with pytest.raises(DefinitionError):
        checked(instance)


def test_a_repr_shows_no_document() -> None:
    assert SECRET not in repr(Snapshot(web(userdata=SECRET)).by_name)
    assert repr(Document.of(b"hunter2")) == "<Document f52fbd32b2b3b86f 7 bytes>"
