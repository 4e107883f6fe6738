"""A definition with faults: each is named with its line, and no secret is."""

import json

import pytest

from tests.support.definitions import LEAST, SECRET, faults, parse
from vmw_cloudinit_metadata.checks import MAX_USERDATA
from vmw_cloudinit_metadata.definition import MAX_DEFINITION
from vmw_cloudinit_metadata.definition.faults import MAX_FAULTS


def test_every_fault_of_a_file_is_named_with_its_line() -> None:
    text = """\
metadata:
  instance-id: i-0042
  instance_id: i-0042
  hostname: web 01
  hostname: web-01
  region: [eu]
  tags: {env: [prod]}
  public-keys: ssh-ed25519 AAAA
  since: 2024-01-01
network:
  address: '10.0.0.300'
  adress: 10.0.0.3
  gateway: 224.0.0.1
  search: [a, '']
  nameservers:
    - 192.0.2.53
    - 192.0.2
user-data: x
userdata: [5]
"""
    assert faults(text) == [
        "web-01.yaml:3: metadata.instance_id: means the same as instance-id on line 2",
        "web-01.yaml:5: metadata.hostname: is given twice (first on line 4)",
        "web-01.yaml:6: metadata.region: is not text",
        "web-01.yaml:7: metadata.tags.env: is not text",
        "web-01.yaml:8: metadata.public-keys: is not a list of keys",
        "web-01.yaml:9: metadata.since: is a date to YAML, which JSON has not; quote it",
        "web-01.yaml:11: network.address: '10.0.0.300' is not an IPv4 address",
        "web-01.yaml:12: network.adress: is not a known key; did you mean address?",
        "web-01.yaml:13: network.gateway: '224.0.0.1' is not the address of one machine",
        "web-01.yaml:14: network.search[1]: '' is not a domain name",
        "web-01.yaml:17: network.nameservers[1]: '192.0.2' is not an IPv4 address",
        "web-01.yaml:18: user-data: is not a known key; did you mean userdata?",
        "web-01.yaml:19: userdata[0]: is neither text nor a mapping",
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", ["1: the file is empty"]),
        ("---\n", ["1: is not a mapping with the keys metadata, network and userdata"]),
        ("- metadata", ["1: is not a mapping with the keys metadata, network and userdata"]),
        ("userdata: x\n", ["1: metadata is missing"]),
        ("metadata:\nnetwork:\n", ["1: metadata is missing"]),
        ("metadata: x\n", ["1: metadata: is not a mapping"]),
        (
            "\n\nmetadata:\n  region: eu\n",
            ["3: metadata: hostname is missing"],
        ),
        ("metadata: {instance-id: '', hostname: h}", ["1: metadata.instance-id: '' is not text"]),
        (LEAST + "network: dhcp\n", ["2: network: is neither a mapping nor a list of network cards"]),
        (LEAST + "network: {}\n", ["2: network: has none of address, dhcp4, dhcp6 and slaac"]),
        # It has none because of what else is wrong.
        (LEAST + "network: {dhcp: true}\n", ["2: network.dhcp: is not a known key; did you mean dhcp4?"]),
        (LEAST + "network: {dhcp4: yes}\n", ["2: network.dhcp4: is neither true nor false"]),
        (
            LEAST + "network: [{slaac: on}, {}]\n",
            [
                "2: network[0].slaac: is neither true nor false",
                "2: network[1]: has none of address, dhcp4, dhcp6 and slaac",
            ],
        ),
        (
            LEAST + "network: {address: 192.0.2.1, netmask: 255.0.255.0}\n",
            ["2: network.netmask: '255.0.255.0' is not a netmask such as 255.255.255.0"],
        ),
        (
            LEAST
            + "network: {address: 192.0.2.1, netmask: 255.255.255.0, nameservers: 192.0.2.53, zone: x}\n",
            [
                "2: network.nameservers: is not a list of addresses",
                "2: network.zone: is not a known key"
                " (known: mac, name, address, netmask, gateway, search, nameservers,"
                " dhcp4, dhcp6, slaac, mtu, routes)",
            ],
        ),
        (LEAST + "userdata: 42\n", ["2: userdata: is neither text, a mapping nor a list of up to 100 parts"]),
        (LEAST + "Network: {}\n", ["2: Network: is not a known key; did you mean network?"]),
        (b"\xff\xfe", ["1: not UTF-8 text"]),
        (LEAST + LEAST, ["2: metadata: is given twice (first on line 1)"]),
        (LEAST + "---\n" + LEAST, ["2: a second YAML document begins here; a file holds one"]),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str | bytes, sentences: list[str]) -> None:
    assert faults(text) == [f"web-01.yaml:{sentence}" for sentence in sentences]


@pytest.mark.parametrize(
    ("lines", "sentences"),
    [
        ("match:\n", ["2: match: is not a mapping with vc-uuid, bios-uuid or both"]),
        ("match: {}\n", ["2: match: is not a mapping with vc-uuid, bios-uuid or both"]),
        ("match: {vc-uuid: }\n", ["2: match.vc-uuid: is not a UUID"]),
        (
            "match:\n  bios-uuid: 4212ab34-cd56\n",
            ["3: match.bios-uuid: '4212ab34-cd56' is not a UUID"],
        ),
        ("match: {vc_uuid: x}\n", ["2: match.vc_uuid: is not a known key; did you mean vc-uuid?"]),
        ("token:\n", ["2: token: is not text"]),
        ("token: [hunter2, hunter2]\n", ["2: token: is not text"]),
        (
            "token: {hunter2: 1, hunter2: 1}\n",
            ["2: token: is not text", "2: token: is given twice (first on line 2)"],
        ),
        ("token: hunter2\n", ["2: token: is not 8 to 128 characters long"]),
        (
            "token: hunter2 & hunter2\n",
            ["2: token: has a character other than letters, digits and - . _ ~ + / ="],
        ),
        ("serve: 3\n", ["2: serve: is not a mapping with runs, until or until-reported"]),
        ("serve: {}\n", ["2: serve: is not a mapping with runs, until or until-reported"]),
        ("serve: {runs: }\n", ["2: serve.runs: is not a whole number from 1"]),
        ("serve: {runs: 0}\n", ["2: serve.runs: is not a whole number from 1"]),
        ("serve: {runs: '3'}\n", ["2: serve.runs: is not a whole number from 1"]),
        ("serve: {runs: 1.0}\n", ["2: serve.runs: is not a whole number from 1"]),
        ("serve: {runs: true}\n", ["2: serve.runs: is not a whole number from 1"]),
        ("serve: {until: }\n", ["2: serve.until: is not a time such as 2030-12-31T18:00:00Z"]),
        ("serve: {until: noon}\n", ["2: serve.until: 'noon' is not a time such as 2030-12-31T18:00:00Z"]),
        (
            "serve: {until-reported: false}\n",
            ["2: serve.until-reported: is not true; leave it out where it is not meant"],
        ),
        (
            "serve: {until_reported: true}\n",
            ["2: serve.until_reported: is not a known key; did you mean until-reported?"],
        ),
        ("vendordata: 42\n", ["2: vendordata: is neither text, a mapping nor a list of up to 100 parts"]),
    ],
)
def test_what_protects_a_definition_is_never_left_out_by_mistake(lines: str, sentences: list[str]) -> None:
    assert faults(LEAST + lines) == [f"web-01.yaml:{sentence}" for sentence in sentences]


@pytest.mark.parametrize("name", ["web 01", "web\n01", "web-01\n", "x" * 254, "a\0b", "web-01 "])
def test_a_host_name_is_one_word(name: str) -> None:
    (fault,) = faults(f"metadata: {{instance-id: i, hostname: {json.dumps(name)}}}")
    assert fault.endswith("is not a host name (text without spaces, of at most 253 characters)")
    assert len(fault) < 200
    assert fault.isprintable()


@pytest.mark.parametrize("key", ["", " ", "ssh-ed25519 AAAA\\nssh-ed25519 BBBB"])
def test_a_public_key_is_one_line(key: str) -> None:
    (fault,) = faults(f'metadata: {{instance-id: i, hostname: h, public-keys: ["{key}"]}}')
    assert fault.startswith("web-01.yaml:1: metadata.public-keys[0]: is ")


@pytest.mark.parametrize(
    "text",
    [
        LEAST + f"userdata: [{SECRET}]\n",
        LEAST + f"userdata: {{{SECRET}: 1, {SECRET}: 2}}\n",
        LEAST + f"userdata: {{a: [{{{SECRET}: !x 2}}]}}\n",
        LEAST + f"userdata: {{password: *{SECRET}}}\n",
        LEAST + f"userdata: {{password: !{SECRET}}}\n",
        LEAST + f"userdata: {{password: '{SECRET}\n",
        LEAST + f"userdata: !!binary {SECRET}\n",
        LEAST + f"vendordata: [{SECRET}]\n",
        LEAST + f"vendordata: {{{SECRET}: 1, {SECRET}: 2}}\n",
        LEAST + f"token: {SECRET}\n",
        LEAST + f"token: {{{SECRET}: [!x {SECRET}]}}\n",
        f"metadata: {{instance-id: i, hostname: h, public-keys: {SECRET}}}",
        f'metadata: {{instance-id: i, hostname: h, public-keys: ["{SECRET}\\nx", [{SECRET}]]}}',
        f"metadata: {{instance-id: i, hostname: h, token: !x {SECRET}}}",
    ],
)
def test_user_data_keys_and_tokens_are_never_quoted(text: str) -> None:
    assert SECRET not in "".join(faults(text))


def test_garbage_is_reported_in_a_bounded_number_of_lines() -> None:
    lines = faults(LEAST + "".join(f"x{number}: 1\n" for number in range(500)))
    assert len(lines) == MAX_FAULTS + 1
    assert lines[-1] == "web-01.yaml: and 400 more faults"


def test_a_file_and_its_user_data_have_a_largest_size() -> None:
    assert parse(LEAST + "userdata: " + "x" * MAX_USERDATA).userdata == "x" * MAX_USERDATA
    assert faults(LEAST + "userdata: " + "x" * (MAX_USERDATA + 1)) == [
        "web-01.yaml:2: userdata: is 3,000,001 bytes long; a serial line's answer carries 3,000,000"
    ]
    assert faults("#" * (MAX_DEFINITION + 1)) == ["web-01.yaml: the file is longer than 4 MiB"]
