import ipaddress
import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData

IDENTITY = {"instance-id": "i-0042", "hostname": "web-01"}


def instance(metadata: dict[str, Any] | None = None, **parts: Any) -> InstanceData:
    return InstanceData({"metadata": {**IDENTITY, **(metadata or {})}, **parts})


def meta_data(metadata: dict[str, Any]) -> dict[str, Any]:
    """Read the rendered document as cloud-init does (YAML) and as old guests may (JSON); both must agree."""
    document = nocloud.render_meta_data(instance(metadata))
    as_json: dict[str, Any] = json.loads(document)
    assert yaml.load(document, Loader=yaml.SafeLoader) == as_json
    return as_json


def test_meta_data_has_the_keys_that_are_defined_in_the_order_of_0_0_8() -> None:
    document = meta_data(
        {
            "hostname": "web-01",
            "ami-id": "debian-12",
            "tags": ["a"],
            "public-keys": ["ssh-ed25519 AAAA"],
            "region": "eu",
            "availability-zone": "eu-1",
            "rack": 7,
        }
    )
    assert list(document.items()) == [
        ("ami-id", "debian-12"),
        ("instance-id", "i-0042"),
        ("region", "eu"),
        ("availability-zone", "eu-1"),
        ("tags", ["a"]),
        ("public-keys", ["ssh-ed25519 AAAA"]),
        ("hostname", "web-01"),
        ("local-hostname", "web-01"),
        ("rack", 7),
    ]


def test_what_is_not_defined_is_left_out() -> None:
    assert meta_data({}) == {"instance-id": "i-0042", "hostname": "web-01", "local-hostname": "web-01"}


def test_an_instance_id_is_always_a_string() -> None:
    assert meta_data({"instance-id": 42})["instance-id"] == "42"


def test_extra_keys_pass_through_but_never_replace_a_known_one() -> None:
    made = instance()
    assert made.metadata is not None
    made.metadata.extra = {"local-hostname": "evil", "owner": None, "deep": {"list": [1, 2.5, True]}}
    document = json.loads(nocloud.render_meta_data(made))
    assert document["local-hostname"] == "web-01"
    assert document["owner"] is None
    assert document["deep"] == {"list": [1, 2.5, True]}


def test_meta_data_is_one_line_of_utf_8_without_tabs() -> None:
    document = nocloud.render_meta_data(instance({"owner": "Zoë\t✓ 🐘"}))
    assert "Zoë\\t✓ 🐘".encode() in document
    assert b"\t" not in document
    assert b"\n" not in document


def test_a_key_copied_with_its_line_end_is_served_without() -> None:
    assert meta_data({"public-keys": ["ssh-ed25519 AAAA web\n"]})["public-keys"] == ["ssh-ed25519 AAAA web"]


@pytest.mark.parametrize(
    "character", ["\x7f", "\x85", "\x9f", "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff"]
)
def test_characters_that_yaml_would_refuse_or_change_are_escaped(character: str) -> None:
    assert meta_data({"note": f"a{character}b"})["note"] == f"a{character}b"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=100), st.text()))
def test_any_text_arrives_as_it_was(extra: dict[str, str]) -> None:
    made = instance()
    assert made.metadata is not None
    made.metadata.extra = dict(extra)
    document = nocloud.render_meta_data(made)
    assert yaml.load(document, Loader=yaml.CSafeLoader) == json.loads(document)
    known = {"ami-id", "region", "availability-zone", "tags", "public-keys", "local-hostname", *IDENTITY}
    passed = {key: value for key, value in json.loads(document).items() if key not in known}
    assert passed == {key: value for key, value in extra.items() if key not in known}


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", float("nan"), float("inf"), "\ud800", {(1, 2): 3}]
)
def test_a_value_that_json_has_not_is_a_fault_that_does_not_quote_it(value: Any) -> None:
    with pytest.raises(DefinitionError, match=r"^metadata: a value is none that JSON has"):
        nocloud.render_meta_data(instance({"owner": value}))


def test_a_value_that_contains_itself_is_a_fault() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(DefinitionError):
        nocloud.render_meta_data(instance({"owner": endless}))


def test_network_config_is_version_1_of_cloud_init() -> None:
    network = {
        "address": "192.0.2.10",
        "netmask": ipaddress.IPv4Address("255.255.255.0"),
        "gateway": "192.0.2.1",
        "search": ["example.org"],
        "nameservers": ["192.0.2.53", ipaddress.IPv4Address("192.0.2.54")],
    }
    document = nocloud.render_network_config(instance(network=network))
    assert document is not None
    expected = {
        "version": 1,
        "config": [
            {
                "type": "physical",
                "name": "eth0",
                "mac_address": "@1",
                "subnets": [
                    {
                        "type": "static",
                        "address": "192.0.2.10",
                        "netmask": "255.255.255.0",
                        "gateway": "192.0.2.1",
                        "dns_search": ["example.org"],
                        "dns_nameservers": ["192.0.2.53", "192.0.2.54"],
                    }
                ],
            }
        ],
    }
    assert json.loads(document) == expected
    assert yaml.load(document, Loader=yaml.SafeLoader) == expected


def test_a_card_is_matched_by_its_mac_address_in_lower_case_and_renamed() -> None:
    network = {
        "mac": "00:50:56:AA:BB:CC",
        "name": "lan0",
        "address": "192.0.2.10",
        "netmask": "255.255.255.0",
    }
    document = nocloud.render_network_config(instance(network=network))
    assert document is not None
    (card,) = json.loads(document)["config"]
    assert (card["mac_address"], card["name"]) == ("00:50:56:aa:bb:cc", "lan0")
    # All digits, this would be a number to YAML 1.1 if it were not quoted.
    document = nocloud.render_network_config(instance(network={**network, "mac": "00:50:56:01:02:03"}))
    assert document is not None
    (card,) = yaml.load(document, Loader=yaml.SafeLoader)["config"]
    assert card["mac_address"] == "00:50:56:01:02:03"


def test_network_config_leaves_out_what_the_network_has_not() -> None:
    document = nocloud.render_network_config(
        instance(network={"address": "192.0.2.10", "netmask": "255.255.255.0"})
    )
    assert document is not None
    (subnet,) = json.loads(document)["config"][0]["subnets"]
    assert subnet == {"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.0"}


def test_guests_of_version_1_of_the_packets_get_no_placeholders() -> None:
    made = instance(network={"address": "192.0.2.10", "netmask": "255.255.255.0"})
    documents = nocloud.render(made)
    assert documents.network_config == nocloud.render_network_config(made)
    assert documents.network_config_version_1 == nocloud.render_network_config(made, placeholders=False)
    new, old = (
        json.loads(text or "") for text in (documents.network_config, documents.network_config_version_1)
    )
    assert new["config"][0].pop("mac_address") == "@1"
    assert new == old


def test_a_whole_network_config_is_rendered_as_json() -> None:
    whole = {"version": 2, "ethernets": {"eth0": {"match": {"name": "ens*"}, "dhcp4": True}}}
    document = nocloud.render_network_config(instance(network={"network": whole}))
    assert document == json.dumps(whole).encode()


def test_without_network_data_there_is_no_network_config() -> None:
    assert nocloud.render_network_config(instance()) is None


@pytest.mark.parametrize(
    ("userdata", "document"),
    [
        ("#cloud-config\nruncmd: [ls]\n\n", b"#cloud-config\nruncmd: [ls]\n\n"),
        ("  \n", b"  \n"),
        ("", b""),
        (b"\x1f\x8b\x00\xff", b"\x1f\x8b\x00\xff"),
        ("größe", "größe".encode()),
        (None, b"#cloud-config\n{}"),
    ],
)
def test_user_data_is_served_byte_for_byte(userdata: Any, document: bytes) -> None:
    assert nocloud.render_user_data(instance(userdata=userdata)) == document


@pytest.mark.parametrize(
    ("vendordata", "document"),
    [("größe\n", "größe\n".encode()), (b"\x1f\x8b\x00\xff", b"\x1f\x8b\x00\xff"), ("", b""), (None, None)],
)
def test_vendor_data_is_served_byte_for_byte_or_is_absent(vendordata: Any, document: bytes | None) -> None:
    made = instance(vendordata=vendordata)
    assert nocloud.render_vendor_data(made) == document
    assert nocloud.render(made).vendor_data == document


def test_what_says_for_whom_an_instance_is_stands_in_no_document() -> None:
    conditions: dict[str, Any] = {
        "match": {"vc-uuid": "5012ab34-cd56-4e78-9012-3456789abcde"},
        "token": "correct-horse",
        "serve": {"runs": 1},
    }
    made = instance(**conditions)
    made.source = "web-01"
    assert nocloud.render(made) == nocloud.render(instance())


def test_all_documents_come_at_once_and_show_only_their_sizes() -> None:
    documents = nocloud.render(instance(userdata="hunter2"))
    assert documents.meta_data == nocloud.render_meta_data(instance())
    assert documents.network_config is None
    assert documents.user_data == b"hunter2"
    assert documents.vendor_data is None
    assert repr(documents) == (
        "<Documents 75 bytes of meta-data, no network-config, 7 bytes of user-data, no vendor-data>"
    )
    network = {"address": "192.0.2.10", "netmask": "255.255.255.0"}
    assert "bytes of network-config" in repr(nocloud.render(instance(network=network)))
