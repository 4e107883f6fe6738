from typing import Any

import pytest

from vmw_cloudinit_metadata.checking.network_claims import network_claims
from vmw_cloudinit_metadata.network import from_raw

MAC = "00:50:56:01:02:aB"


@pytest.mark.parametrize(
    ("raw", "claims"),
    [
        (None, []),
        ({"dhcp4": True}, []),
        ({"address": "192.0.2.10/24"}, ["address 192.0.2.10 network.address"]),
        (
            {"address": ["192.0.2.10/24", "2001:DB8:0::1/64", "fe80::1/64"], "mac": MAC},
            [
                "address 192.0.2.10 network.address",
                "address 2001:db8::1 network.address",
                "mac 00:50:56:01:02:ab network.mac",
            ],
        ),
        (
            [{"dhcp4": True}, {"address": "192.0.2.10", "netmask": "255.255.255.0"}],
            ["address 192.0.2.10 network.1.address"],
        ),
        (
            {
                "version": 1,
                "config": [
                    {
                        "type": "physical",
                        "name": "a",
                        "mac_address": MAC,
                        "subnets": [
                            {
                                "type": "static",
                                "address": "192.0.2.10/24",
                                "gateway": "192.0.2.1",
                                "dns_nameservers": ["192.0.2.2"],
                                "routes": [
                                    {"network": "10.0.0.0", "gateway": "192.0.2.3", "address": "192.0.2.4"}
                                ],
                            },
                            {"type": "dhcp4"},
                        ],
                    },
                    {"type": "nameserver", "address": ["192.0.2.5"]},
                    {"type": "route", "address": "192.0.2.6"},
                ],
            },
            [
                "mac 00:50:56:01:02:ab network.config.0.mac_address",
                "address 192.0.2.10 network.config.0.subnets.0.address",
            ],
        ),
        (
            {
                "network": {
                    "version": 2,
                    "ethernets": {
                        "a": {
                            "match": {"macaddress": MAC},
                            "addresses": [
                                "192.0.2.10/24",
                                {"2001:db8::1/64": {"lifetime": 0}},
                                "127.0.0.1/8",
                            ],
                            "nameservers": {"addresses": ["192.0.2.2"]},
                            "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.3"}],
                        }
                    },
                }
            },
            [
                "mac 00:50:56:01:02:ab network.network.ethernets.a.match.macaddress",
                "address 192.0.2.10 network.network.ethernets.a.addresses.0",
                "address 2001:db8::1 network.network.ethernets.a.addresses.1",
            ],
        ),
        ({"version": 2, "ethernets": {"a": {"addresses": [None, "x", {}, 7], "address": []}}}, []),
    ],
)
def test_a_vm_s_own_addresses_are_found_in_every_form_of_a_network(raw: Any, claims: list[str]) -> None:
    found = network_claims(from_raw(raw))
    assert [f"{kind} {value} {'.'.join(map(str, path))}" for kind, value, path in found] == claims
