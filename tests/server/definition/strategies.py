"""Definitions as hypothesis makes them up: near enough to good ones that some are."""

from hypothesis import strategies as st

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=8,
)

words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1)

addresses = st.ip_addresses(v=4).map(str) | anything

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
        "network": st.fixed_dictionaries(
            {"address": addresses, "netmask": st.just("255.255.255.0") | addresses},
            optional={
                "gateway": addresses,
                "search": words | st.lists(words),
                "nameservers": st.lists(addresses),
            },
        )
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
