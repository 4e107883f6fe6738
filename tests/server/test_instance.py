import contextlib
import ipaddress
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata.checks import MAX_USERDATA
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import (
    DEFAULT_USERDATA,
    INSTANCE_KEYS,
    MATCH_KEYS,
    SERVE_KEYS,
    InstanceData,
    InstanceMatch,
    InstanceMetadata,
    InstanceNetworkData,
    ServingWindow,
)

# Hypothesis makes its table of Unicode at the first draw of text, which takes seconds on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

IDENTITY = {"instance-id": "i-0042", "hostname": "web-01"}
NETWORK = {"address": "192.0.2.10", "netmask": "255.255.255.0"}


def faults(instance: InstanceData) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        instance.validate()
    return str(caught.value).splitlines()


def test_an_instance_is_built_empty_and_filled_by_attributes() -> None:
    instance = InstanceData()
    assert instance.metadata is None
    assert instance.network is None
    assert instance.userdata == DEFAULT_USERDATA == "#cloud-config\n{}"
    instance.metadata = InstanceMetadata()
    assert instance.metadata.tags == {}
    assert instance.metadata.public_keys == []
    instance.metadata.instance_id = "i-0042"
    instance.metadata.hostname = "web-01"
    instance.network = InstanceNetworkData()
    instance.network.address = ipaddress.IPv4Address("192.0.2.10")
    instance.network.netmask = "255.255.255.0"
    instance.network.nameservers.append(ipaddress.IPv4Address("192.0.2.53"))
    instance.userdata = b"#!/bin/sh\n"
    instance.validate()


@pytest.mark.parametrize("dash", ["-", "_"])
def test_a_dictionary_may_have_dashes_or_underscores_in_its_keys(dash: str) -> None:
    metadata: dict[str, Any] = {
        f"ami{dash}id": "debian-12",
        f"instance{dash}id": "i-0042",
        "region": "eu",
        f"availability{dash}zone": "eu-1",
        f"public{dash}keys": ["ssh-ed25519 AAAA"],
        "hostname": "web-01",
        "tags": {"env": "prod"},
    }
    made = InstanceData({"metadata": metadata}).metadata
    assert made is not None
    assert (made.ami_id, made.instance_id, made.region) == ("debian-12", "i-0042", "eu")
    assert (made.availability_zone, made.hostname) == ("eu-1", "web-01")
    assert made.public_keys == ["ssh-ed25519 AAAA"]
    assert made.tags == {"env": "prod"}
    assert made.extra == {}


def test_other_keys_of_metadata_are_kept_as_extra() -> None:
    made = InstanceMetadata({**IDENTITY, "rack": 7, "owner": None})
    assert made.extra == {"rack": 7, "owner": None}


def test_local_hostname_is_another_name_of_hostname() -> None:
    assert InstanceMetadata({"local-hostname": "web-01"}).hostname == "web-01"


def test_a_dictionary_assigned_to_a_part_becomes_that_part() -> None:
    instance = InstanceData()
    instance.metadata = IDENTITY
    instance.network = NETWORK
    assert isinstance(instance.metadata, InstanceMetadata)
    assert isinstance(instance.network, InstanceNetworkData)
    instance.validate()


def test_null_in_a_dictionary_is_a_key_left_out() -> None:
    raw = {"metadata": {**IDENTITY, "tags": None, "public-keys": None}, "network": None, "userdata": None}
    instance = InstanceData(raw)
    assert instance.userdata == DEFAULT_USERDATA
    instance.validate()


def test_search_may_be_one_string() -> None:
    assert InstanceNetworkData({"search": "example.org  lab.example.org"}).search == [
        "example.org",
        "lab.example.org",
    ]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (5, "instance: is a int, not a mapping"),
        ({"metadata": "web-01"}, "metadata: is a str, not a mapping"),
        ({"network": ["192.0.2.1"]}, "network[0]: is a str, not a mapping"),
        ({"network": "dhcp"}, "network: is a str, not a mapping"),
        (
            {"user-data": "x", "meta": {}},
            "instance: no such key: user-data, meta"
            " (known: metadata, network, userdata, vendordata, match, token, serve)",
        ),
        (
            {"network": {"ip": "192.0.2.1"}},
            "network: no such key: ip (known: mac, name, address, netmask, gateway, search, nameservers,"
            " dhcp4, dhcp6, slaac, mtu, routes)",
        ),
        ({"match": "x"}, "match: is a str, not a mapping"),
        ({"match": {"vm-uuid": "x"}}, "match: no such key: vm-uuid (known: vc-uuid, bios-uuid)"),
        ({"match": {"vc-uuid": "5012ab34"}}, "match.vc-uuid: is not a UUID"),
        ({"match": {"bios-uuid": None}}, "match.bios-uuid: is not a UUID"),
        ({"serve": 3}, "serve: is a int, not a mapping"),
        ({"serve": {"times": 3}}, "serve: no such key: times (known: runs, until, until-reported)"),
        ({"serve": {"until": "tomorrow"}}, "serve.until: is not a time such as 2030-12-31T18:00:00Z"),
    ],
)
def test_a_dictionary_of_another_form_is_refused(raw: Any, sentence: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        InstanceData(raw)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("mac", ["00:50:56:01:02:03", "00:50:56:AA:BB:CC", "02:00:00:00:00:01"])
@pytest.mark.parametrize("name", ["eth0", "ens192", "enp0s31f6", "lan.100", "a" * 15])
def test_a_card_may_be_named_by_its_mac_address_and_get_a_name(mac: str, name: str) -> None:
    InstanceData({"metadata": IDENTITY, "network": {**NETWORK, "mac": mac, "name": name}}).validate()


@pytest.mark.parametrize(
    "mac", ["", "00:50:56:01:02", "005056010203", "00-50-56-01-02-03", "01:00:5e:00:00:01", "@1", 80, b"x"]
)
def test_what_is_not_the_mac_address_of_a_card_is_a_fault(mac: Any) -> None:
    instance = InstanceData({"metadata": IDENTITY, "network": {**NETWORK, "mac": mac}})
    assert faults(instance) == [
        "network.mac: is not the MAC address of a card, such as 00:50:56:01:02:03",
    ]


@pytest.mark.parametrize(
    "name", ["", "0eth", "a" * 16, "eth 0", "eth/0", "eth0:1", "eth0\n", "..", "büro", 0]
)
def test_what_is_not_the_name_of_an_interface_is_a_fault(name: Any) -> None:
    instance = InstanceData({"metadata": IDENTITY, "network": {**NETWORK, "name": name}})
    assert faults(instance) == [
        "network.name: is not the name of an interface, such as eth0 (at most 15 letters, digits and . _ -)",
    ]


def test_every_fault_is_named_at_once() -> None:
    instance = InstanceData(
        {
            "metadata": {"hostname": "", "region": 1.5, "tags": "a", "public-keys": [" ", 7, "a\nb", "a\n"]},
            "network": {
                "address": "192.0.2.300",
                "gateway": "0.0.0.0",
                "search": ["example.org", None],
                "nameservers": [53],
            },
            "userdata": 42,
        }
    )
    assert faults(instance) == [
        "metadata.hostname: is empty",
        "metadata.region: is not text",
        "metadata.tags: is neither a mapping nor a list",
        "metadata.public-keys[0]: is empty",
        "metadata.public-keys[1]: is not text",
        "metadata.public-keys[2]: is more than one line; a key is one",
        "network.address: is not an IPv4 address",
        "network.gateway: is not the address of one machine",
        "network.search[1]: is not text",
        "network.nameservers[0]: is neither an IPv4 nor an IPv6 address",
        "userdata: is neither text nor bytes",
    ]


def test_lists_must_be_lists() -> None:
    instance = InstanceData({"metadata": {**IDENTITY, "public-keys": "ssh-ed25519 AAAA"}, "network": NETWORK})
    assert isinstance(instance.network, InstanceNetworkData)
    instance.network.search = "example.org"  # type: ignore[assignment]
    instance.network.nameservers = "192.0.2.53"  # type: ignore[assignment]
    assert faults(instance) == [
        "metadata.public-keys: is not a list",
        "network.search: is not a list",
        "network.nameservers: is not a list",
    ]


def test_an_instance_without_metadata_is_not_whole() -> None:
    assert faults(InstanceData()) == ["metadata: is missing"]


def test_a_whole_number_is_good_enough_for_an_instance_id_and_a_truth_value_is_not() -> None:
    InstanceData({"metadata": {"instance_id": 42, "hostname": "web-01"}}).validate()
    wrong = InstanceData({"metadata": {"instance_id": True, "hostname": "web-01"}})
    assert faults(wrong) == ["metadata.instance-id: is not text"]


def test_half_a_surrogate_pair_is_not_text() -> None:
    raw = {"metadata": {"instance-id": "i\udc80", "hostname": "web-01"}, "userdata": "\ud800"}
    assert faults(InstanceData(raw)) == [
        "metadata.instance-id: is not Unicode text",
        "userdata: is not Unicode text",
    ]


@pytest.mark.parametrize("userdata", ["é" * (MAX_USERDATA // 2), b"x" * MAX_USERDATA])
def test_user_data_is_as_long_as_a_line_can_carry_and_no_longer(userdata: Any) -> None:
    instance = InstanceData({"metadata": IDENTITY, "userdata": userdata})
    instance.validate()
    instance.userdata = userdata + userdata[:1]
    (fault,) = faults(instance)
    assert fault.startswith("userdata: is 3,000,00")
    assert "carries 3,000,000" in fault


def test_neither_repr_nor_faults_show_secrets() -> None:
    secret = "hunter2"
    instance = InstanceData(
        {
            "metadata": {**IDENTITY, "public-keys": [secret], "token": secret, "tags": {"t": secret}},
            "network": NETWORK,
            "userdata": secret,
            "vendordata": secret,
            "token": secret,
        }
    )
    assert secret not in repr(instance)
    assert "web-01" in repr(instance)
    assert "192.0.2.10" in repr(instance)
    instance.userdata = [secret]  # type: ignore[assignment]
    instance.vendordata = [secret]  # type: ignore[assignment]
    assert faults(instance) == [
        "userdata: is neither text nor bytes",
        "vendordata: is neither text nor bytes",
        "token: is not 8 to 128 characters long",
    ]


def test_a_copy_shares_nothing_that_can_be_changed() -> None:
    instance = InstanceData(
        {
            "metadata": {**IDENTITY, "tags": ["a"], "deep": {"list": [1]}},
            "network": {**NETWORK, "search": "x"},
        }
    )
    other = instance.copy()
    assert other.metadata is not None
    assert isinstance(other.network, InstanceNetworkData)
    other.metadata.hostname = "changed"
    other.metadata.tags.append("b")  # type: ignore[union-attr]
    other.metadata.public_keys.append("key")
    other.metadata.extra["deep"]["list"].append(2)
    other.network.search.append("y")
    other.network.nameservers.append("192.0.2.53")
    other.userdata = b""
    assert instance.metadata is not None
    assert isinstance(instance.network, InstanceNetworkData)
    assert instance.metadata.hostname == "web-01"
    assert instance.metadata.tags == ["a"]
    assert instance.metadata.public_keys == []
    assert instance.metadata.extra == {"deep": {"list": [1]}}
    assert instance.network.search == ["x"]
    assert instance.network.nameservers == []
    assert instance.userdata == DEFAULT_USERDATA


def test_an_empty_instance_can_be_copied() -> None:
    assert InstanceData().copy().metadata is None


VC_UUID = uuid.UUID("5012ab34-cd56-4e78-9012-3456789abcde")
BIOS_UUID = uuid.UUID("4212ab34-cd56-4e78-9012-3456789abcde")


def test_a_definition_may_say_for_whom_it_is_and_for_how_long() -> None:
    instance = InstanceData(
        {
            "metadata": IDENTITY,
            "vendordata": "#cloud-config\n",
            "match": {"vc-uuid": str(VC_UUID), "bios-uuid": BIOS_UUID},
            "token": "correct-horse",
            "serve": {"runs": 3, "until": "2030-12-31T18:00:00+01:00", "until-reported": True},
        }
    )
    instance.validate()
    assert instance.vendordata == "#cloud-config\n"
    assert instance.match == InstanceMatch(VC_UUID, BIOS_UUID)
    assert instance.token == "correct-horse"
    until = datetime(2030, 12, 31, 17, tzinfo=UTC)
    assert instance.serve == ServingWindow(runs=3, until=until, until_reported=True)


def test_by_default_an_instance_is_for_whoever_has_the_name_for_ever() -> None:
    instance = InstanceData({"metadata": IDENTITY, "vendordata": None, "match": None, "serve": None})
    assert (instance.vendordata, instance.match, instance.token, instance.serve) == (None, None, None, None)
    assert (instance.source, instance.denied) == (None, None)
    assert ServingWindow() == ServingWindow(runs=None, until=None, until_reported=False)


def test_pins_and_windows_that_limit_nothing_are_faults() -> None:
    instance = InstanceData({"metadata": IDENTITY, "match": {}, "serve": {}, "token": ""})
    assert faults(instance) == [
        "token: is not 8 to 128 characters long",
        "match: names neither vc-uuid nor bios-uuid",
        "serve: has none of runs, until and until-reported: true",
    ]


def test_what_a_driver_assigned_and_nobody_understands_is_a_fault() -> None:
    instance = InstanceData({"metadata": IDENTITY})
    instance.match = {"vc-uuid": str(VC_UUID)}  # type: ignore[assignment]
    instance.serve = 3  # type: ignore[assignment]
    assert faults(instance) == ["match: is a dict, not InstanceMatch", "serve: is a int, not ServingWindow"]
    instance.match = InstanceMatch(str(VC_UUID), 5)  # type: ignore[arg-type]
    instance.serve = ServingWindow(0, datetime(2030, 12, 31), "yes")  # type: ignore[arg-type]
    assert faults(instance) == [
        "match.vc-uuid: is not a UUID",
        "match.bios-uuid: is not a UUID",
        "serve.runs: is not a whole number from 1",
        "serve.until: is not a time with its zone",
        "serve.until-reported: is neither true nor false",
    ]
    instance.serve = ServingWindow(True, "2030-12-31")  # type: ignore[arg-type]
    assert faults(instance)[2:] == [
        "serve.runs: is not a whole number from 1",
        "serve.until: is not a time with its zone",
    ]


def anything() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
    )


@patient
@given(st.dictionaries(st.sampled_from([*INSTANCE_KEYS, "x"]), anything()))
def test_whatever_a_dictionary_holds_only_definition_error_comes_out(raw: dict[str, Any]) -> None:
    with contextlib.suppress(DefinitionError):
        InstanceData(raw).validate()


@patient
@given(
    st.dictionaries(st.sampled_from(["instance-id", "hostname", "tags", "public-keys"]), anything()),
    st.dictionaries(
        st.sampled_from(["address", "netmask", "gateway", "search", "nameservers"]),
        st.just("192.0.2.1") | st.lists(st.just("192.0.2.1")) | anything(),
    ),
)
def test_whatever_the_parts_hold_only_definition_error_comes_out(
    metadata: dict[str, Any], network: dict[str, Any]
) -> None:
    with contextlib.suppress(DefinitionError):
        InstanceData({"metadata": metadata, "network": network}).validate()


@patient
@given(
    st.dictionaries(st.sampled_from(MATCH_KEYS), st.uuids().map(str) | anything()),
    st.dictionaries(st.sampled_from(SERVE_KEYS), st.datetimes() | anything()),
)
def test_whatever_pins_and_windows_hold_only_definition_error_comes_out(
    match: dict[str, Any], serve: dict[str, Any]
) -> None:
    with contextlib.suppress(DefinitionError):
        InstanceData({"metadata": IDENTITY, "match": match, "serve": serve}).validate()
