"""The forms of ``network`` in a definition: how YAML's values are taken, and the line of each fault."""

import textwrap
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.definitions import LEAST, card, faults, parse
from vmw_cloudinit_metadata import network
from vmw_cloudinit_metadata.definition import schema
from vmw_cloudinit_metadata.network import InstanceNetworkData, NetworkConfig

CARDS = """\
network:
  - address: [192.0.2.10/24, 2001:db8::10/64]
    gateway: [192.0.2.1, fe80::1]
    nameservers: [192.0.2.53, 2001:db8::53]
    mtu: 9000
    routes:
      - {to: 198.51.100.0/24, via: 192.0.2.2, metric: 100}
  - mac: 10:50:56:01:02:03
    dhcp4: true
    dhcp6: false
    slaac: true
    mtu:
"""

WHOLE = """\
network:
  network:
    version: 2
    ethernets:
      eth0:
        match: {macaddress: 10:50:56:01:02:03}
        dhcp4: yes
        dhcp6: off
        addresses: [192.0.2.10/24]
        gateway4: 192.0.2.1
        mtu: 9000
"""


def test_a_list_of_cards_is_read() -> None:
    cards = parse(LEAST + CARDS).network
    assert isinstance(cards, list)
    first, second = cards
    assert first.address == ["192.0.2.10/24", "2001:db8::10/64"]
    assert first.gateway == ["192.0.2.1", "fe80::1"]
    assert (first.mtu, first.dhcp4) == (9000, False)
    assert first.routes == [{"to": "198.51.100.0/24", "via": "192.0.2.2", "metric": 100}]
    assert (second.mac, second.mtu) == ("10:50:56:01:02:03", None)
    assert (second.dhcp4, second.dhcp6, second.slaac) == (True, False, True)


def test_a_whole_network_config_is_read_as_cloud_init_reads_it_but_for_mac_addresses() -> None:
    made = parse(LEAST + WHOLE).network
    assert isinstance(made, NetworkConfig)
    assert made.content["ethernets"]["eth0"] == {
        "match": {"macaddress": "10:50:56:01:02:03"},
        "dhcp4": True,
        "dhcp6": False,
        "addresses": ["192.0.2.10/24"],
        "gateway4": "192.0.2.1",
        "mtu": 9000,
    }


def test_numbers_and_truth_values_may_be_quoted() -> None:
    made = card(parse(LEAST + "network: {dhcp4: 'true', mtu: '1500'}\n"))
    assert (made.dhcp4, made.mtu) == (True, 1500)


@pytest.mark.parametrize("text", [CARDS, WHOLE.replace("10:50:56", "00:50:56"), "network: {dhcp4: true}\n"])
def test_editors_take_what_is_read(text: str) -> None:
    jsonschema.validate(
        yaml.safe_load(LEAST + text.replace("mtu:\n", "").replace("mac: 10", "mac: 00")), schema()
    )


def test_a_fault_is_told_with_the_line_of_its_value_or_of_where_it_is_missing() -> None:
    text = textwrap.dedent(
        """\
        network:
          - address:
              - 192.0.2.10
              - 2001:db8::10/64
            gateway: [192.0.2.1, 192.0.2.2]
            dhcp4: yes
            routes:
              - {to: 198.51.100.7/24, via: x, metrik: 5}
              - via: 192.0.2.1
          - slaac: true
            name: eth0
            nameservers:
              - 2001:db8::53
              - 192.0.2.53
        """
    )
    assert faults(LEAST + text) == [
        "web-01.yaml:3: network[0].netmask: is missing, and address has no prefix length, such as /24",
        "web-01.yaml:6: network[0].gateway[1]: '192.0.2.2' is the second IPv4 gateway;"
        " routes can have a metric",
        "web-01.yaml:7: network[0].dhcp4: is neither true nor false",
        "web-01.yaml:9: network[0].routes[0].metrik: is not a known key; did you mean metric?",
        "web-01.yaml:9: network[0].routes[0].to: '198.51.100.7/24' is not a network; write 198.51.100.0/24",
        "web-01.yaml:9: network[0].routes[0].via: 'x' is neither an IPv4 nor an IPv6 address",
        "web-01.yaml:10: network[0].routes[1]: to is missing",
        "web-01.yaml:12: network[1].name: 'eth0' is that of network[0], too",
        "web-01.yaml:15: network[1].nameservers[1]: '192.0.2.53' is IPv4, which this card has not:"
        " no address, DHCP or SLAAC",
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "network: []\n",
            ["2: network: is an empty list; leave it out where the guest's image is to decide"],
        ),
        ("network: [dhcp]\n", ["2: network[0]: is not a mapping"]),
        ("network: {version: 3}\n", ["2: network.version: is neither 1 nor 2"]),
        ("network: {version: one}\n", ["2: network.version: 'one' is neither 1 nor 2"]),
        ("network:\n  config: []\n", ["2: network: version is missing; it is 1 or 2"]),
        (
            "network: {version: 2, ethernets: {eth0: {mtu: 0x10, set-name: 1:30}}}\n",
            [
                "2: network.ethernets.eth0.mtu: is another number to YAML 1.1 than it looks; quote it",
                "2: network.ethernets.eth0.set-name: is another number to YAML 1.1 than it looks; quote it",
            ],
        ),
        (
            "network:\n  version: 1\n  config:\n    - type: physical\n      name: eth0\n"
            "      subnets:\n        - type: static\n          address: 192.0.2.300\n",
            ["9: network.config[0].subnets[0].address: '192.0.2.300' is not an IPv4 address"],
        ),
        (
            "network: {gateway: 192.0.2.1, dhcp4: true}\n",
            ["2: network.gateway: '192.0.2.1' needs an IPv4 address in address"],
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, sentences: list[str]) -> None:
    assert faults(LEAST + text) == [f"web-01.yaml:{sentence}" for sentence in sentences]


@pytest.mark.parametrize(
    "text", ["{mtu: 1499, address: 192.0.2.1/24}", "{version: 2, ethernets: {eth0: {}}}"]
)
def test_what_is_read_is_whole(text: str) -> None:
    made: Any = parse(LEAST + f"network: {text}\n")
    made.validate()
    assert isinstance(made.network, InstanceNetworkData | NetworkConfig)
    assert network.document(made.network, placeholders=True)
