import base64
import gzip
import json
from typing import Any

import pytest

from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.from_guestinfo import guestinfo_definition, unpacked

SECRET = b"hunter2"
METADATA = b'{"instance-id": "i-0042", "local-hostname": "web-01"}'
NETWORK = {"version": 2, "ethernets": {"nics": {"match": {"name": "ens*"}, "dhcp4": True}}}


def taken(
    metadata: bytes = METADATA, user_data: bytes | None = None, vendor_data: bytes | None = None
) -> tuple[dict[str, Any], list[str]]:
    notes: list[str] = []
    return guestinfo_definition(metadata, user_data, vendor_data, "the-vm", notes.append), notes


def metadata_with(**keys: Any) -> bytes:
    keys = {
        key.replace("_", "-").replace("network-encoding", "network.encoding"): value
        for key, value in keys.items()
    }
    return json.dumps({"local-hostname": "web-01", **keys}).encode()


def test_the_least_there_is() -> None:
    assert taken() == ({"metadata": {"instance-id": "i-0042", "hostname": "web-01"}, "userdata": b""}, [])


@pytest.mark.parametrize(
    "packed",
    [
        METADATA,
        base64.b64encode(METADATA),
        base64.encodebytes(METADATA * 1),
        gzip.compress(METADATA),
        base64.b64encode(gzip.compress(METADATA)) + b"\n",
    ],
    ids=["plain", "base64", "lines of base64", "gzip", "gzip+base64"],
)
def test_variables_may_be_packed_as_the_vm_has_them(packed: bytes) -> None:
    assert taken(packed)[0]["metadata"]["hostname"] == "web-01"


@pytest.mark.parametrize(
    "user_data",
    [b"#cloud-config\n{}\n", b"#!/bin/sh\n", b"Content-Type: text/x\n\nx", b"{}", b"", b"\n", b"\xff\xfe"],
)
def test_user_data_is_unpacked_and_what_is_plain_stays_as_it_is(user_data: bytes) -> None:
    for packed in (user_data, gzip.compress(user_data), base64.b64encode(gzip.compress(user_data))):
        assert taken(user_data=packed)[0]["userdata"] == user_data
    assert taken(vendor_data=b"#!/bin/sh\n")[0]["vendordata"] == b"#!/bin/sh\n"


def test_what_is_broken_is_a_sentence_without_a_secret() -> None:
    broken = gzip.compress(SECRET * 100)[:-9]
    with pytest.raises(DefinitionError) as caught:
        unpacked(base64.b64encode(broken), "userdata")
    assert str(caught.value) == "userdata: is not gzip, or not whole"
    bomb = gzip.compress(b"\0" * 4_000_000)
    with pytest.raises(
        DefinitionError, match=r"^userdata: is more than 3,000,000 bytes when it is unpacked$"
    ):
        unpacked(bomb, "userdata")


@pytest.mark.parametrize(
    ("network", "encoding"),
    [
        (NETWORK, None),
        ({"network": NETWORK}, None),
        (json.dumps(NETWORK), None),
        (base64.b64encode(json.dumps(NETWORK).encode()).decode(), "base64"),
        (base64.b64encode(gzip.compress(json.dumps({"network": NETWORK}).encode())).decode(), "gzip+base64"),
    ],
)
def test_the_network_inside_metadata_becomes_the_definition_s(network: Any, encoding: str | None) -> None:
    keys = {"network": network} | ({"network.encoding": encoding} if encoding else {})
    definition, _ = taken(metadata_with(**keys))
    assert definition["network"] == NETWORK
    assert definition["metadata"] == {"hostname": "web-01"}


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"network": 7}, "metadata: network is neither a mapping nor text"),
        ({"network": "["}, "metadata: network:2: not YAML: did not find expected node content"),
        (
            {"network": "?", "network.encoding": "base64"},
            "metadata: network is not base64, as network.encoding says",
        ),
        (
            {"network": "?", "network.encoding": "rot13"},
            "metadata: network.encoding is none that cloud-init knows "
            "(base64, b64, gzip, gz, gzip+base64, gz+base64, gzip+b64, gz+b64)",
        ),
        (
            {"network": {"ethernets": {}}},
            "network-config: version is missing; 1 and 2 are what cloud-init takes",
        ),
    ],
)
def test_a_network_that_is_none_is_refused(keys: dict[str, Any], fault: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        taken(metadata_with(**keys))
    assert str(caught.value) == fault


def test_keys_of_both_kinds_are_the_machine_s() -> None:
    definition, _ = taken(
        metadata_with(public_keys=["ssh-rsa A"], **{"public-keys-data": "ssh-rsa B\n\nssh-rsa C\n"})
    )
    assert definition["metadata"]["public-keys"] == ["ssh-rsa A", "ssh-rsa B", "ssh-rsa C"]


def test_what_is_said_to_guestinfo_alone_is_left_out() -> None:
    definition, notes = taken(
        metadata_with(
            **{"cleanup-guestinfo": ["userdata"], "wait-on-network": {"ipv4": True}, "owner": "web"}
        )
    )
    assert definition["metadata"] == {"hostname": "web-01", "owner": "web"}
    assert notes == [
        "cleanup-guestinfo is left out: it is for guestinfo alone",
        "wait-on-network is left out: it is for guestinfo alone",
    ]


def test_user_data_in_the_place_of_metadata_is_refused() -> None:
    with pytest.raises(DefinitionError) as refused:
        taken(b"#cloud-config\npassword: hunter2\n", METADATA)
    assert str(refused.value) == "metadata: begins as user-data does; the file of metadata comes first"
