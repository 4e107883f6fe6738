"""Definitions as hypothesis makes them up: near enough to good ones that some are."""

from hypothesis import strategies as st

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=8,
)

words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1)

addresses = st.ip_addresses().map(str) | anything
own_addresses = st.builds("{}/{}".format, st.ip_addresses(), st.integers(1, 32))

cards = st.fixed_dictionaries(
    {"address": own_addresses | st.lists(own_addresses, max_size=2) | addresses},
    optional={
        "netmask": st.just("255.255.255.0") | addresses,
        "gateway": addresses | st.lists(addresses, max_size=2),
        "search": words | st.lists(words),
        "nameservers": st.lists(addresses),
        "dhcp4": st.booleans() | anything,
        "slaac": st.booleans(),
        "mtu": st.integers() | anything,
        "routes": st.lists(
            st.fixed_dictionaries({"to": st.just("default") | anything, "via": addresses}), max_size=2
        ),
    },
)

definitions = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {"instance-id": words, "hostname": words | st.integers()},
            optional={
                "tags": st.lists(st.text()) | st.dictionaries(words, st.text()) | anything,
                "public_keys": st.lists(st.text()),
                "region": words,
                "extra": anything,
                "local_hostname": anything,
            },
        )
        | anything
    },
    optional={
        "network": cards
        | st.lists(cards, max_size=2)
        | st.fixed_dictionaries({"version": st.just(2), "ethernets": st.dictionaries(words, cards)})
        | anything,
        "userdata": st.text() | anything,
        "vendordata": st.text() | anything,
        "match": st.fixed_dictionaries({}, optional={"vc-uuid": st.uuids().map(str), "bios-uuid": anything}),
        "token": words | anything,
        "serve": st.fixed_dictionaries(
            {}, optional={"runs": st.integers(), "until": st.datetimes().map(str), "until-reported": anything}
        ),
        "other": anything,
    },
)
