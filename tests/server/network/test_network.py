"""The forms that a network has, and what all of them have in common."""

from typing import Any

import pytest

from vmw_cloudinit_metadata import network
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.network import InstanceNetworkData, NetworkConfig

CARD = {"address": "192.0.2.10/24"}
WHOLE = {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}


def test_dictionaries_and_lists_become_what_they_describe() -> None:
    assert network.from_raw(None) is None
    assert isinstance(network.from_raw(CARD), InstanceNetworkData)
    assert isinstance(network.from_raw(WHOLE), NetworkConfig)
    cards = network.from_raw((CARD, InstanceNetworkData(CARD)))
    assert isinstance(cards, list)
    assert [type(card) for card in cards] == [InstanceNetworkData, InstanceNetworkData]


def test_what_is_a_network_already_stays_the_same() -> None:
    for made in (InstanceNetworkData(CARD), NetworkConfig(WHOLE)):
        assert network.from_raw(made) is made


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (5, "network: is a int, not a mapping"),
        ([CARD, None], "network[1]: is a NoneType, not a mapping"),
        ([WHOLE], "network[0]: no such key: version, ethernets (known: mac, "),
    ],
)
def test_anything_else_is_refused(raw: Any, sentence: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        network.from_raw(raw)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("raw", [CARD, [CARD], WHOLE])
def test_a_copy_shares_nothing_with_what_it_was_made_of(raw: Any) -> None:
    made = network.from_raw(raw)
    other = network.copy(made)
    assert type(other) is type(made)
    assert other is not made
    assert network.document(other, placeholders=True) == network.document(made, placeholders=True)
    if isinstance(made, list) and isinstance(other, list):
        assert other[0] is not made[0]


def test_what_a_driver_has_put_into_the_list_and_nobody_understands_is_a_fault() -> None:
    cards: Any = network.from_raw([CARD])
    cards.append({"address": "192.0.2.11/24"})
    assert list(network.faults(cards)) == ["network[1]: is a dict, not InstanceNetworkData"]


def test_without_a_network_there_is_nothing_to_say() -> None:
    assert network.copy(None) is None
    assert network.document(None, placeholders=True) is None
    assert list(network.faults(None)) == list(network.warnings(None)) == []


def test_a_whole_config_of_version_1_is_without_doubt() -> None:
    assert list(network.warnings(network.from_raw({"version": 1, "config": []}))) == []
