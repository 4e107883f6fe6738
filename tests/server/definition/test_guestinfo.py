"""Metadata of guestinfo in a definition, as DataSourceVMware takes it."""

import base64
import gzip
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.definitions import SECRET, faults, parse
from vmw_cloudinit_metadata.definition import Definition, Source
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceNetworkData

NETWORK = "address: 192.0.2.10\nnetmask: 255.255.255.0\n"
KEYS = ["ssh-ed25519 AAAA one", "ssh-rsa BBBB two"]


def network(text: str | bytes) -> InstanceNetworkData | None:
    found = parse(text).network
    assert found is None or isinstance(found, InstanceNetworkData)
    return found


def public_keys(text: str) -> list[str]:
    made = parse(text).metadata
    assert made is not None
    assert not {"public-keys-data", "public_keys_data"} & set(made.extra)
    return made.public_keys


def encoded(encoding: str) -> str:
    data = NETWORK.encode()
    if encoding.startswith("gz"):
        data = gzip.compress(data)
    return base64.b64encode(data).decode()


# The network in the metadata


def test_a_network_in_the_metadata_is_the_instance_s() -> None:
    instance = parse(
        "metadata:\n"
        "  instance-id: i-1\n"
        "  local-hostname: web-01\n"
        "  wait-on-network: {ipv4: true}\n"
        "  network: {address: 192.0.2.10, netmask: 255.255.255.0}\n"
    )
    assert isinstance(instance.network, InstanceNetworkData)
    assert instance.network.address == "192.0.2.10"
    assert instance.metadata is not None
    assert (instance.metadata.hostname, instance.metadata.instance_id) == ("web-01", "i-1")
    assert instance.metadata.extra == {"wait-on-network": {"ipv4": True}}


@pytest.mark.parametrize("encoding", ["base64", "b64", "gzip+base64", "gz+b64", "gz+base64", "gzip+b64"])
def test_it_may_be_encoded(encoding: str) -> None:
    text = f"metadata: {{hostname: h, network.encoding: {encoding}, network: {encoded(encoding)}}}"
    found = network(text)
    assert found is not None
    assert (found.address, found.netmask) == ("192.0.2.10", "255.255.255.0")


@pytest.mark.parametrize("encoding", ["", "  network.encoding:\n"])
def test_it_may_be_text_as_it_is(encoding: str) -> None:
    text = (
        f"metadata:\n  hostname: h\n{encoding}  network: |\n    address: 192.0.2.10\n    netmask: 255.0.0.0\n"
    )
    found = network(text)
    assert found is not None
    assert found.netmask == "255.0.0.0"


@pytest.mark.parametrize("said", ["network: ", "network.encoding: base64"])
def test_without_a_network_there_is_none(said: str) -> None:
    instance = parse(f"metadata:\n  hostname: h\n  {said}\n")
    assert instance.network is None
    assert instance.metadata is not None
    assert instance.metadata.extra == {}


def test_where_there_is_none_in_the_metadata_that_at_the_top_counts() -> None:
    found = network("metadata: {hostname: h, network: }\nnetwork: {address: 192.0.2.1, netmask: 255.0.0.0}\n")
    assert found is not None
    assert found.address == "192.0.2.1"


@pytest.mark.parametrize(
    ("lines", "sentences"),
    [
        (
            "  network: {address: 192.0.2.10}\nnetwork: {address: 192.0.2.10}\n",
            [
                "3: metadata.network: is given on line 4, too; leave out one of them",
                "4: network.netmask: is missing",
            ],
        ),
        ("  network.encoding: base64\n  network: '?'\n", ["4: metadata.network: is not base64"]),
        (
            "  network.encoding: gz+b64\n  network: aHVudGVyMg==\n",
            ["4: metadata.network: is not gzip, or not whole"],
        ),
        (
            "  network.encoding: rot13\n  network: hunter2\n",
            [
                "3: metadata.network.encoding: is none of base64, gzip and gzip+base64 (or b64, gz, gz+b64)",
            ],
        ),
        ("  network.encoding: [b64]\n  network: x\n", ["3: metadata.network.encoding: is none of"]),
        (
            "  network: 'a: hunter2: b'\n",
            [
                "3: metadata.network: not YAML: mapping values are not allowed in this context"
                " (on line 1 of its text)"
            ],
        ),
        ("  network: ''\n", ["3: metadata.network: the file is empty (on line 1 of its text)"]),
        ("  network: hunter2\n", ["3: network: is neither a mapping nor a list"]),
        ("  network:\n    address: 192.0.2.10\n", ["3: network.netmask: is missing"]),
        (
            "  network: |\n    netmask: 255.0.0.0\n    address: 192.0.2\n",
            ["3: network.address: '192.0.2' is not an IPv4 address"],
        ),
    ],
)
def test_what_is_wrong_is_told_where_the_file_says_it(lines: str, sentences: list[str]) -> None:
    found = faults(f"metadata:\n  hostname: h\n{lines}")
    assert len(found) == len(sentences)
    for one, sentence in zip(found, sentences, strict=True):
        assert one.startswith(f"web-01.yaml:{sentence}")
        assert SECRET not in one


def test_aliases_in_encoded_text_stay_within_the_limits_of_a_definition() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
        for before, name in zip("abcde", "bcdef", strict=True)
    )
    text = base64.b64encode(bomb.encode()).decode()
    (fault,) = faults(f"metadata: {{hostname: h, network.encoding: b64, network: {text}}}")
    assert "metadata.network: more than 100,000 values up to here" in fault


# Keys


@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        (
            "  public-keys-data: |\n    # of the team\n    ssh-ed25519 AAAA one\n\n    ssh-rsa BBBB two\n",
            KEYS,
        ),
        ("  public_keys_data: |\n    ssh-ed25519 AAAA one\n", KEYS[:1]),
        ("  public-keys-data: [ssh-ed25519 AAAA one, ssh-rsa BBBB two]\n", KEYS),
        ("  public-keys-data: ssh-rsa BBBB two\n  public-keys: [ssh-ed25519 AAAA one]\n", KEYS),
        ("  public_keys: [ssh-ed25519 AAAA one]\n  public-keys-data: ssh-rsa BBBB two\n", KEYS),
        ("  public-keys-data:\n", []),
        ("  public-keys-data: ''\n", []),
    ],
)
def test_lines_of_keys_join_the_others(lines: str, keys: list[str]) -> None:
    assert public_keys(f"metadata:\n  hostname: h\n{lines}") == keys


@pytest.mark.parametrize("value", ["{hunter2: x}", "5"])
def test_what_are_no_lines_of_keys_is_a_fault(value: str) -> None:
    assert faults(f"metadata:\n  hostname: h\n  public-keys-data: {value}\n") == [
        "web-01.yaml:3: metadata.public-keys-data: is neither text, one key a line, nor a list of keys"
    ]


def test_keys_that_are_no_list_are_that_fault_alone() -> None:
    assert faults("metadata: {hostname: h, public-keys: x, public-keys-data: y}") == [
        "web-01.yaml:1: metadata.public-keys: is not a list of keys"
    ]


# The host's name


def test_a_host_may_be_named_in_two_ways_if_the_name_is_one() -> None:
    made = parse("metadata: {hostname: web-01, local-hostname: web-01}").metadata
    assert made is not None
    assert made.hostname == "web-01"
    assert faults("metadata: {hostname: web-01, local-hostname: web-02}") == [
        "web-01.yaml:1: metadata.local-hostname: means the same as hostname on line 1"
    ]


# Defaults


def test_defaults_and_definition_may_say_it_in_either_place() -> None:
    def merged(defaults: str, definition: str) -> Any:
        sources = Source("web-01.yaml", definition.encode()), [Source("_defaults.yaml", defaults.encode())]
        return Definition(*sources).instance()

    top = "network: {netmask: 255.255.0.0, gateway: 192.0.2.1}\n"
    inside = "metadata: {network: {netmask: 255.255.0.0, gateway: 192.0.2.1}}\n"
    for defaults in (top, inside):
        for definition in (
            "metadata: {hostname: h, network: {address: 192.0.2.10}}\n",
            "metadata: {hostname: h}\nnetwork: {address: 192.0.2.10}\n",
        ):
            found = merged(defaults, definition).network
            assert (found.address, found.netmask, found.gateway) == ("192.0.2.10", "255.255.0.0", "192.0.2.1")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.text().map(str.encode), st.sampled_from(["base64", "gz+b64", "x"]))
def test_whatever_is_encoded_it_is_an_instance_or_a_definition_error(data: bytes, encoding: str) -> None:
    text = base64.b64encode(gzip.compress(data) if encoding.startswith("gz") else data).decode()
    try:
        parse(f"metadata: {{hostname: h, network.encoding: {encoding}, network: '{text}'}}").validate()
    except DefinitionError:
        return
