"""Definitions over their defaults: where each value came from, and what is wrong where."""

import textwrap
from typing import Any

import pytest

from tests.support.definitions import card
from vmw_cloudinit_metadata.definition import Definition, Place, Source, check_defaults
from vmw_cloudinit_metadata.definition import defaults as module
from vmw_cloudinit_metadata.definition.defaults import MAX_CACHED
from vmw_cloudinit_metadata.definition.strict_yaml import compose
from vmw_cloudinit_metadata.errors import DefinitionError, Fault


def definition(text: str, *defaults: str) -> Definition:
    sources = [Source(f"{number}/_defaults.yaml", each.encode()) for number, each in enumerate(defaults)]
    return Definition(Source("web-01.yaml", textwrap.dedent(text).encode()), sources)


def faults_of(text: str, *defaults: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        definition(text, *defaults)
    assert [str(fault) for fault in caught.value.faults] == str(caught.value).splitlines()
    return str(caught.value).splitlines()


def test_the_nearest_default_wins_and_each_key_remembers_its_place() -> None:
    outer = "metadata: {region: eu, rack: a1}\nnetwork:\n  netmask: 255.255.255.0\n  gateway: 192.0.2.1\n"
    inner = "# of this rack\nmetadata: {rack: a2}\ntoken: 0123456789\n"
    made = definition(
        """\
        metadata:
          hostname: web-01
          instance-id: i-1
        network: {address: 192.0.2.7}
        """,
        outer,
        inner,
    )
    instance = made.instance()
    assert instance.metadata is not None
    assert (instance.metadata.region, instance.metadata.extra) == ("eu", {"rack": "a2"})
    assert (card(instance).address, card(instance).gateway) == ("192.0.2.7", "192.0.2.1")
    assert instance.token == "0123456789"
    places = made.places()
    assert places["metadata",] == ("web-01.yaml", 1)
    assert places["metadata", "instance-id"] == Place("web-01.yaml", 3)
    assert places["metadata", "rack"] == Place("1/_defaults.yaml", 2)
    assert places["metadata", "region"] == Place("0/_defaults.yaml", 1)
    assert places["network", "gateway"] == Place("0/_defaults.yaml", 4)
    assert places["token",] == Place("1/_defaults.yaml", 3)


def test_what_the_nearest_removes_does_not_come_back() -> None:
    made = definition(
        "metadata: {hostname: web-01, instance-id: i-1, region: ~}\n",
        "metadata: {region: eu, rack: a1}\n",
        "metadata: {region: us, rack: ~}\n",
    )
    instance = made.instance()
    assert instance.metadata is not None
    assert (instance.metadata.region, instance.metadata.extra) == (None, {})


def test_a_fault_is_told_where_its_value_stands() -> None:
    least = "metadata: {hostname: web-01, instance-id: i-1}\n"
    defaults = "network:\n  netmask: 255.0.255.0\n  gatway: 192.0.2.1\n"
    assert faults_of(least + "network: {address: x}\n", defaults) == [
        "web-01.yaml:2: network.address: 'x' is neither an IPv4 nor an IPv6 address",
        "0/_defaults.yaml:2: network.netmask: '255.0.255.0' is not a netmask such as 255.255.255.0",
        "0/_defaults.yaml:3: network.gatway: is not a known key; did you mean gateway?",
    ]
    assert faults_of(least, "network: {address: 192.0.2.1}\n") == [
        "0/_defaults.yaml:1: network.netmask: is missing, and address has no prefix length, such as /24"
    ]
    assert faults_of(least + "token:\n", "token: 0123456789\n") == ["web-01.yaml:2: token: is not text"]
    assert faults_of("metadata: {hostname: h, instance_id: i}", "metadata: {ami-id: a, ami_id: b}") == [
        "0/_defaults.yaml:1: metadata.ami_id: means the same as ami-id on line 1"
    ]


@pytest.mark.parametrize(
    ("defaults", "sentence"),
    [
        ("", "0/_defaults.yaml:1: the file is empty"),
        ("- x", "0/_defaults.yaml:1: is not a mapping"),
        ("a: [", "0/_defaults.yaml:2: not YAML: did not find expected node content"),
        ("\nmatch: {}\n", "0/_defaults.yaml:2: match: belongs to one definition; it cannot be a default"),
    ],
)
def test_defaults_that_cannot_be_used_are_a_fault_of_their_own(defaults: str, sentence: str) -> None:
    assert sentence in faults_of("metadata: {hostname: web-01, instance-id: i-1}\n", defaults)


def test_a_fault_says_what_it_says_in_one_line() -> None:
    assert str(Fault("a.yaml", 2, "network.mac", "is missing")) == "a.yaml:2: network.mac: is missing"
    assert str(Fault("a.yaml", 0, "", "the file is too long")) == "a.yaml: the file is too long"


def test_each_instance_is_a_fresh_one() -> None:
    made = definition("metadata: {hostname: web-01, instance-id: i-1, tags: [a]}\n")
    first = made.instance()
    assert first.metadata is not None
    first.metadata.hostname = "other"
    first.metadata.tags.clear()
    second = made.instance().metadata
    assert second is not None
    assert (second.hostname, second.tags) == ("web-01", ["a"])


def test_defaults_are_read_once_for_all_that_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []

    def note(source: Source) -> Any:
        composed.append(source.name)
        return compose(source)

    monkeypatch.setattr(module, "compose", note)
    for name in ("web-01", "web-02"):
        definition(f"metadata: {{hostname: {name}, instance-id: i}}\n", "token: read-once\n")
    assert composed == ["0/_defaults.yaml", "web-01.yaml", "web-01.yaml"]
    assert (
        definition("metadata: {hostname: h, instance-id: i}\n", "token: read-anew\n").instance().token
        == "read-anew"
    )


def test_long_defaults_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []

    def note(source: Source) -> Any:
        composed.append(source.name)
        return compose(source)

    monkeypatch.setattr(module, "compose", note)
    for _ in range(2):
        definition("metadata: {hostname: h, instance-id: i}\n", f"userdata: {'x' * MAX_CACHED}\n")
    assert composed.count("0/_defaults.yaml") == 2


def test_defaults_are_checked_by_themselves() -> None:
    text = """\
        metadata: {region: '{{ vm.region }}', hostname: 'a b'}
        network: {mac: x, address: '{{ vm.ip }}', gatway: 192.0.2.1}
        match: {}
        userdata: '{{ vm.'
        """
    faults = check_defaults(Source("_defaults.yaml", textwrap.dedent(text).encode()))
    assert [str(fault) for fault in faults] == [
        "_defaults.yaml:1: metadata.hostname: 'a b' is not a host name (text without spaces,"
        " of at most 253 characters)",
        "_defaults.yaml:2: network.gatway: is not a known key; did you mean gateway?",
        "_defaults.yaml:2: network.mac: 'x' is not the MAC address of a card, such as 00:50:56:01:02:03",
        "_defaults.yaml:3: match: belongs to one definition; it cannot be a default",
        "_defaults.yaml:4: userdata: {{ vm. is not the beginning of a field such as {{ vm.name }}",
    ]
    assert (
        check_defaults(Source("_defaults.yaml", b"metadata: {rack: a1}\nnetwork: {netmask: 255.255.255.0}\n"))
        == []
    )
    assert check_defaults(Source("_defaults.yaml", b"")) == [
        Fault("_defaults.yaml", 1, "", "the file is empty")
    ]
