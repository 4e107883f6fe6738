import json
from typing import Any, Dict, List, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_guest.documents import DocumentError
from vmw_cloudinit_guest.nics import NIC
from vmw_cloudinit_guest.placeholders import Filled, fill, needs

A, B, C = "00:50:56:00:00:0a", "00:50:56:00:00:0b", "00:50:56:00:00:0c"
# In bus order, as udev calls them.
NICS = [NIC("ens160", A, 2), NIC("ens192", B, 3), NIC("ens224", C, 4)]


def physical(name: str, mac: Optional[str], **more: Any) -> Dict[str, Any]:
    """Return a device of version 1."""
    address = {"mac_address": mac} if mac else {}
    return {"type": "physical", "name": name, **address, "subnets": [{"type": "dhcp4"}], **more}


def ethernet(name: str, mac: Optional[str]) -> Dict[str, Any]:
    """Return a device of version 2, with its key."""
    match = {"match": {"macaddress": mac}, "set-name": name} if mac else {}
    return {name: {**match, "dhcp4": True}}


def version_1(**macs: Optional[str]) -> bytes:
    config = [physical(name, mac) for name, mac in macs.items()]
    return json.dumps({"version": 1, "config": config}).encode()


def version_2(**macs: Optional[str]) -> bytes:
    ethernets: Dict[str, Any] = {}
    for name, mac in macs.items():
        ethernets.update(ethernet(name, mac))
    return json.dumps({"version": 2, "ethernets": ethernets}).encode()


both_versions = pytest.mark.parametrize("document", [version_1, version_2])


def filled(content: bytes, nics: List[NIC] = NICS, earlier: Optional[Dict[str, Any]] = None) -> Filled:
    return fill(content, nics, earlier or {})


@both_versions
def test_each_number_is_a_nic_in_bus_order_whatever_it_is_called(document: Any) -> None:
    result = filled(document(eth0="@1", eth1="@2", lan0="@3"))
    assert json.loads(result.content.decode()) == json.loads(document(eth0=A, eth1=B, lan0=C).decode())
    assert result.macs == {"eth0": A, "eth1": B, "lan0": C}
    assert result.sentences == []


@both_versions
def test_the_kernel_s_names_never_say_which_nic_is_meant(document: Any) -> None:
    nics = [NIC("eth1", A, 2), NIC("eth0", B, 3)]
    assert filled(document(eth0="@1", eth1="@2"), nics).macs == {"eth0": A, "eth1": B}


@both_versions
def test_any_other_name_that_a_nic_has_says_it(document: Any) -> None:
    assert filled(document(ens192="@1", ens160="@2")).macs == {"ens192": B, "ens160": A}
    # As cloud-init has called them in an earlier boot.
    nics = [NIC("lan1", A, 2), NIC("lan0", B, 3)]
    assert filled(document(lan0="@1", lan1="@2"), nics).macs == {"lan0": B, "lan1": A}


@both_versions
def test_a_nic_that_is_meant_by_its_name_is_not_given_away(document: Any) -> None:
    assert filled(document(eth0="@1", ens160="@2")).macs == {"eth0": B, "ens160": A}
    assert filled(document(ens224="@1", eth0="@2", eth1="@3")).macs == {"ens224": C, "eth0": A, "eth1": B}


@both_versions
def test_a_nic_whose_mac_address_is_in_the_document_is_not_given_away(document: Any) -> None:
    result = filled(document(lan0=A.upper(), eth1="@1"))
    assert result.macs == {"eth1": B}
    assert json.loads(result.content.decode()) == json.loads(document(lan0=A.upper(), eth1=B).decode())
    # Not even to a device that has its name, or had it before.
    assert filled(document(lan0=A, ens160="@1"), earlier={"ens160": A}).macs == {"ens160": B}


@both_versions
def test_a_number_counts_the_nics_that_others_have_too(document: Any) -> None:
    assert filled(document(eth0="@3")).macs == {"eth0": C}
    assert filled(document(lan0=B, eth0="@3")).macs == {"eth0": C}
    assert filled(document(lan0=C, eth1="@2")).macs == {"eth1": B}
    # As a server numbers them: the second of the list is the second, the third the third.
    assert filled(document(lan0=A, eth1="@2", eth2="@3")).macs == {"eth1": B, "eth2": C}


@both_versions
def test_where_one_is_spoken_for_those_that_are_left_come_in_their_order(document: Any) -> None:
    assert filled(document(lan0=B, eth1="@2")).macs == {"eth1": A}
    assert filled(document(lan0=C, eth1="@2", eth2="@3")).macs == {"eth1": A, "eth2": B}
    assert filled(document(lan0=B, eth1="@2"), NICS[:2]).macs == {"eth1": A}
    # One of three is not there.
    assert filled(document(lan0="00:50:56:00:00:ff", eth1="@2", eth2="@3"), NICS[:2]).macs == {
        "eth1": A,
        "eth2": B,
    }


@both_versions
def test_a_device_keeps_the_nic_that_it_had(document: Any) -> None:
    # A card was plugged in between the two.
    assert filled(document(eth0="@1", eth1="@2"), earlier={"eth0": A, "eth1": C}).macs == {
        "eth0": A,
        "eth1": C,
    }
    # And the definition has it, too, wherever it stands there.
    earlier = {"eth0": A, "eth1": C}
    assert filled(document(eth0="@1", eth1="@2", eth2="@3"), earlier=earlier).macs["eth2"] == B
    assert filled(document(eth2="@1", eth0="@2", eth1="@3"), earlier=earlier).macs["eth2"] == B


@both_versions
def test_a_nic_that_is_gone_is_not_kept(document: Any) -> None:
    earlier = {"eth0": "00:50:56:00:00:ff", "eth1": B}
    assert filled(document(eth0="@1", eth1="@2"), earlier=earlier).macs == {"eth0": A, "eth1": B}


def test_what_a_nic_is_called_counts_more_than_what_it_was() -> None:
    result = filled(version_1(ens192="@1", eth1="@2"), earlier={"ens192": A, "eth1": B})
    assert result.macs == {"ens192": B, "eth1": A}


@both_versions
@pytest.mark.parametrize("earlier", [{}, {"eth2": None}])
def test_without_a_nic_the_key_is_left_out_and_it_is_said(document: Any, earlier: Dict[str, Any]) -> None:
    result = filled(document(eth0="@1", eth1="@2", eth2="@3"), NICS[:2], earlier)
    assert json.loads(result.content.decode()) == json.loads(document(eth0=A, eth1=B, eth2=None).decode())
    assert result.macs == {"eth0": A, "eth1": B, "eth2": None}
    assert result.sentences == [
        "eth2 of the definition is for network card 3, and this machine has 2: its network data is written "
        "without a MAC address, and may configure nothing; add the card, or correct the definition"
    ]


def test_version_2_is_called_what_set_name_says() -> None:
    entry = {"match": {"macaddress": "@1"}, "set-name": "ens192"}
    content = json.dumps({"version": 2, "ethernets": {"id0": entry}}).encode()
    assert filled(content).macs == {"ens192": B}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"config:\n- {type: physical, name: eth0, mac_address: '@1'}\nversion: 1\n",  # of 0.0.8: YAML
        version_1(eth0=A, eth1=None),
        version_2(eth0=A, eth1=None),
        b'{"version": 1,   "config": []}',
        b'{"version": 1, "config": [{"type": "bond", "name": "bond0", "mac_address": "@1"}]}',
        b'{"version": 1, "config": [{"type": "physical", "mac_address": "@0"}, {"mac_address": "@1"}]}',
        b'{"version": 1, "config": [{"type": "physical", "mac_address": ["@1"]}, 1, null]}',
        b'{"version": 2, "ethernets": {"a": "@1", "b": {"match": "@1"}, "c": {"match": {"name": "@1"}}}}',
        b'{"version": 2, "ethernets": {"a": {"match": {"macaddress": "@1a"}}}, "config": "@1"}',
        b'{"version": 2, "ethernets": ["@1"]}',
        b'["@1"]',
        b'"@1"',
        b'{"@1":' * 100_000,
        b'"@1\xff',
    ],
)
def test_a_document_without_a_placeholder_stays_as_it_is(content: bytes) -> None:
    assert needs(content) is None
    assert filled(content) == Filled(content, {}, [])


def test_all_else_in_the_document_stays() -> None:
    device = physical("eth0", "@1", mtu=9000, subnets=[{"type": "static", "dns_search": ["bücher.example"]}])
    other = {"type": "nameserver", "address": ["192.0.2.53"], "of": "@1 \u2028 \U0001f600"}
    values = {"version": 1, "config": [device, other], "more": [1, None, 2.5, True]}
    result = filled(json.dumps(values).encode())
    device["mac_address"] = A
    assert json.loads(result.content.decode()) == values
    # cloud-init reads it as YAML, which does not join the halves of a surrogate pair.
    assert "\\ud83d" not in result.content.decode()
    assert "\\u2028" in result.content.decode()


def test_a_document_that_cannot_be_written_again_is_refused() -> None:
    content = version_1(eth0="@1")[:-1] + b', "half": "\\ud83d"}'
    with pytest.raises(DocumentError, match="the network data holds half a surrogate pair"):
        filled(content)


def test_nothing_is_needed_where_there_is_no_document() -> None:
    assert needs(None) is None


@both_versions
def test_what_is_needed_of_the_machine_is_told(document: Any) -> None:
    assert needs(document(eth0="@1", eth1="@2")) == (2, False)
    assert needs(document(eth0="@1", lan0="@2")) == (2, True)
    # That of another name is found by its MAC address.
    assert needs(document(eth0="@1", lan0=A)) == (2, False)
    assert needs(document(eth0="@3")) == (3, False)


NAMES = st.sampled_from(["eth0", "eth1", "ens160", "ens192", "lan0"])
ADDRESSES = st.sampled_from(["@1", "@2", "@3", "@9999", "@0", A, B, C, "", None])


# A machine under load is no reason for it to fail.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(NAMES, ADDRESSES), st.dictionaries(NAMES, st.sampled_from([A, B, None])), st.booleans()
)
def test_no_nic_is_given_to_two(
    macs: Dict[str, Optional[str]], earlier: Dict[str, Optional[str]], first: bool
) -> None:
    # Each number once, as a server gives them.
    numbers = {name: mac for name, mac in macs.items() if mac and mac.startswith("@")}
    once = {**macs, **{name: f"@{number}" for number, name in enumerate(numbers, 1)}}
    result = filled((version_1 if first else version_2)(**once), earlier=earlier)
    given_away = [mac for mac in result.macs.values() if mac]
    assert len(set(given_away)) == len(given_away)
    assert not set(given_away) & set(macs.values())
    assert sorted(result.macs) == sorted(numbers)
    # As many get one as there are.
    free = [nic.mac for nic in NICS if nic.mac not in macs.values()]
    assert len(given_away) == min(len(numbers), len(free))
    assert needs(result.content) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["@1", "@2", "physical", A]) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["config", "ethernets", "type", "name", "mac_address", "match", "macaddress", "set-name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.lists(st.sampled_from(NICS), unique=True))
def test_no_document_raises_anything_else(values: Any, nics: List[NIC]) -> None:
    content = json.dumps(values).encode()
    try:
        result = filled(content, nics)
    except DocumentError:
        return
    assert (needs(content) is None) == (result.content == content)


@given(st.binary())
def test_garbage_is_passed_as_it_is(content: bytes) -> None:
    assert filled(content) == Filled(content, {}, [])


@both_versions
def test_what_a_server_makes_up_does_not_fill_the_console(document: Any) -> None:
    macs = {"x" * 1000 + str(number): "@9" for number in range(1000)}
    sentences = filled(document(**macs), []).sentences
    assert len(sentences) == 11
    assert all(len(sentence) < 250 for sentence in sentences)
    assert sentences[0].startswith("xxxxxxxxxxxxxxx… of the definition is for network card 9")
    assert sentences[-1] == "and so it is with 990 more of the definition's cards"
