import json
from typing import Any

import pytest
import yaml

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.from_seed import Seed, seed_definition
from vmw_cloudinit_metadata.writing.yaml_text import definition_text

META_DATA = b"instance-id: i-0042\nlocal-hostname: web-01\n"


def taken(seed: Seed) -> tuple[dict[str, Any], list[str]]:
    notes: list[str] = []
    return seed_definition(seed, "the-vm", notes.append), notes


def served(seed: Seed) -> nocloud.Documents:
    """Return what the definition of a seed is served as."""
    text = definition_text(taken(seed)[0])
    return nocloud.render(parse_definition(text.encode(), "web-01.yaml"))


def test_the_least_seed_there_is() -> None:
    definition, notes = taken(Seed(META_DATA, b""))
    assert definition == {"metadata": {"instance-id": "i-0042", "hostname": "web-01"}, "userdata": b""}
    assert notes == []


@pytest.mark.parametrize(
    "user_data", [b"", b"#!/bin/sh\r\n", b"#cloud-config\n{}", "#cloud-config\n# ü\n\n".encode()]
)
def test_documents_are_served_byte_for_byte(user_data: bytes) -> None:
    documents = served(Seed(META_DATA, user_data, vendor_data=b"#!/bin/sh\nexit"))
    assert (documents.user_data, documents.vendor_data) == (user_data, b"#!/bin/sh\nexit")


def test_a_seed_of_this_server_s_is_served_again_as_it_was() -> None:
    instance = parse_definition(
        b"""
        metadata:
          instance-id: i-0042
          hostname: web-01.example.org
          ami-id: "0123"
          tags: {role: web, "no": "12:30"}
          public-keys: [ssh-ed25519 AAAA admin@example.org]
          nested: {list: [1, 1.5, true, null, "0x10"], text: "a\\tb"}
        userdata: "#cloud-config\\n{}"
        vendordata: "#!/bin/sh\\n"
        """,
        "web-01.yaml",
    )
    before = nocloud.render(instance)
    after = served(Seed(before.meta_data, before.user_data, before.vendor_data, before.network_config))
    assert after == before


def test_without_a_host_name_it_is_the_vm_s() -> None:
    definition, notes = taken(Seed(b"instance-id: i-1\nowner: web\n"))
    assert list(definition["metadata"].items()) == [
        ("instance-id", "i-1"),
        ("hostname", "the-vm"),
        ("owner", "web"),
    ]
    assert notes == ["there is no local-hostname: the VM's name the-vm is taken for it"]


def test_vendor_data_that_is_empty_is_none() -> None:
    assert "vendordata" not in taken(Seed(META_DATA, b"", vendor_data=b""))[0]


@pytest.mark.parametrize(
    "text",
    [
        b"version: 2\nethernets: {eth0: {dhcp4: true}}\n",
        b"network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n",
        b'{"network": {"network": {"version": 2, "ethernets": {"eth0": {"dhcp4": true}}}}}',
    ],
)
def test_a_network_config_is_taken_whole_without_what_stands_around_it(text: bytes) -> None:
    network = taken(Seed(META_DATA, network_config=text))[0]["network"]
    assert network == {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}


def test_an_empty_network_config_is_none() -> None:
    for text in (b"", b"{}", b"# nothing\n", b"network: {}\n"):
        assert "network" not in taken(Seed(META_DATA, network_config=text))[0]


def test_a_network_config_that_is_none_stays_none() -> None:
    for text in (b"config: disabled\n", b"network: {config: disabled}\n"):
        seed = Seed(META_DATA, network_config=text)
        assert taken(seed)[0]["network"] == {"config": "disabled"}
        assert json.loads(served(seed).network_config or b"") == {"config": "disabled"}


@pytest.mark.parametrize(
    "text",
    [
        b"version: 1\nconfig:\n  - {type: physical, name: eth0, mac_address: '52:54:00:12:34:56', "
        b"subnets: [{type: dhcp}]}\n",
        b"version: 2\nethernets: {nics: {match: {name: 'ens*'}, dhcp4: true}}\n",
    ],
)
def test_a_network_config_is_served_as_it_was(text: bytes) -> None:
    assert json.loads(served(Seed(META_DATA, network_config=text)).network_config or b"") == yaml.safe_load(
        text
    )


def test_a_network_config_without_a_version_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"^network-config: version is missing"):
        taken(Seed(META_DATA, network_config=b"ethernets: {}\n"))


def test_no_repr_shows_a_document() -> None:
    assert repr(Seed(b"hunter2", b"hunter2")) == "<Seed>"


def test_meta_data_is_json_that_says_the_same() -> None:
    text = (
        b"local-hostname: web-01\ninstance-id: 0123\npublic-keys: {a: ssh-rsa A}\ndsmode: local\nx: {1: 2}\n"
    )
    document = json.loads(served(Seed(text)).meta_data)
    assert document == {
        "instance-id": str(yaml.safe_load("0123")),
        "hostname": "web-01",
        "local-hostname": "web-01",
        "public-keys": ["ssh-rsa A"],
        "dsmode": "local",
        "x": {"1": 2},
    }
