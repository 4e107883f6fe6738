import hashlib
from typing import Any

import pytest

from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot, checked

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


def test_etags_are_made_once_and_only_when_they_are_needed() -> None:
    snapshot = Snapshot(web())
    assert "by_name" not in vars(snapshot)
    assert snapshot.by_name is snapshot.by_name


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
