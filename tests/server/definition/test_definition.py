import contextlib
import importlib.resources
import json
import textwrap
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.definition.strategies import definitions
from tests.support.definitions import LEAST, card, faults, metadata, parse
from vmw_cloudinit_metadata import nocloud, userdata
from vmw_cloudinit_metadata.definition import guestinfo, parse_definition, parse_match, schema
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import (
    DEFAULT_USERDATA,
    INSTANCE_KEYS,
    MATCH_KEYS,
    METADATA_KEYS,
    SERVE_KEYS,
)
from vmw_cloudinit_metadata.network import NETWORK_KEYS, ROUTE_KEYS

README_OF_0_0_8 = """\
---
metadata:
  ami-id: my-image
  instance-id: my-instance
  region: us-east1
  availability-zone: us-east1-a
  tags:
    - a
    - b
  public-keys:
    - ssh-ed25519 AAAA
  hostname: myhostnamehere
network:
  address: 192.0.2.10
  netmask: 255.255.255.0
  gateway: 192.0.2.1
  search: 'example.org'
  nameservers:
    - 192.0.2.53
userdata: |
  #cloud-config
  growpart:
    mode: auto
"""

CODE_OF_0_0_8 = """\
metadata:
  ami_id: my-image
  instance_id: my-instance
  region: us-east1
  availability_zone: us-east1-a
  tags: {a: b}
  public_keys: [ssh-ed25519 AAAA]
  hostname: myhostnamehere
network:
  address: 192.0.2.10
  netmask: 255.255.255.0
  gateway: 192.0.2.1
  search: [example.org]
  nameservers: [192.0.2.53]
userdata: "#cloud-config\\ngrowpart:\\n  mode: auto\\n"
"""


@pytest.mark.parametrize(
    ("text", "tags"), [(README_OF_0_0_8, ["a", "b"]), (CODE_OF_0_0_8, {"a": "b"})], ids=["readme", "code"]
)
def test_both_spellings_of_0_0_8_are_read(text: str, tags: Any) -> None:
    instance = parse(text)
    made, network = instance.metadata, card(instance)
    assert made is not None
    assert (made.ami_id, made.instance_id, made.hostname) == ("my-image", "my-instance", "myhostnamehere")
    assert (made.region, made.availability_zone) == ("us-east1", "us-east1-a")
    assert made.tags == tags
    assert made.public_keys == ["ssh-ed25519 AAAA"]
    assert made.extra == {}
    assert (network.address, network.netmask, network.gateway) == ("192.0.2.10", "255.255.255.0", "192.0.2.1")
    assert network.search == ["example.org"]
    assert network.nameservers == ["192.0.2.53"]
    assert instance.userdata == "#cloud-config\ngrowpart:\n  mode: auto\n"


def test_a_card_may_have_a_mac_address_and_a_name() -> None:
    lines = "network: {mac: 00:50:56:01:02:03, name: lan0, address: 192.0.2.10, netmask: 255.255.255.0}\n"
    network = card(parse(LEAST + lines))
    assert (network.mac, network.name) == ("00:50:56:01:02:03", "lan0")
    assert faults(LEAST + lines.replace(":56:", ":").replace("lan0", "a/b")) == [
        "web-01.yaml:2: network.mac: '00:50:01:02:03' is not the MAC address of a card,"
        " such as 00:50:56:01:02:03",
        "web-01.yaml:2: network.name: 'a/b' is not the name of an interface, such as eth0"
        " (at most 15 letters, digits and . _ -)",
    ]


def test_an_instance_id_and_a_hostname_are_enough() -> None:
    instance = parse(LEAST)
    assert instance.network is None
    assert instance.userdata == DEFAULT_USERDATA
    assert nocloud.render(instance).user_data == b"#cloud-config\n{}"


def test_a_key_without_a_value_is_a_key_left_out() -> None:
    instance = parse(LEAST + "network:\nuserdata: ~\n")
    assert instance.network is None
    assert instance.userdata == DEFAULT_USERDATA
    assert metadata("region:\ntags:\npublic-keys: null\n").tags == {}


@pytest.mark.parametrize(
    "written", ["0123", "42", "1e3", "0x1F", "12:30", "1_000", "no", "2024-01-01", ".nan", "1.10"]
)
def test_where_text_is_meant_it_is_exactly_what_stands_in_the_file(written: str) -> None:
    made = parse(f"metadata: {{instance-id: {written}, hostname: {written}}}").metadata
    assert made is not None
    assert (made.instance_id, made.hostname) == (written, written)
    made = metadata(f"region: {written}\ntags: {{version: {written}, {written}: x}}\n")
    assert made.region == written
    assert made.tags == {"version": written, written: "x"}


def test_other_keys_of_metadata_pass_through_with_their_types() -> None:
    made = metadata(
        "owner: web\nrack: 7\nratio: -0.5\ntiny: 1.5e-9\nspare: true\nnothing: ~\ndeep: {list: [1, {a: b}]}\n"
    )
    assert made.extra == {
        "owner": "web",
        "rack": 7,
        "ratio": -0.5,
        "tiny": 1.5e-9,
        "spare": True,
        "nothing": None,
        "deep": {"list": [1, {"a": "b"}]},
    }


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("0123", "is another number to YAML 1.1 than it looks; quote it"),
        ("0x1F", "is another number to YAML 1.1 than it looks; quote it"),
        ("12:30", "is another number to YAML 1.1 than it looks; quote it"),
        ("1_000", "is another number to YAML 1.1 than it looks; quote it"),
        ("1" * 5000, "is a number of more than 18 digits; quote it"),
        ("12:30.5", "is a number that JSON has not, or not as it looks; quote it"),
        (".nan", "is a number that JSON has not, or not as it looks; quote it"),
        ("-.inf", "is a number that JSON has not, or not as it looks; quote it"),
        ("1.0e+999", "is a number that JSON has not, or not as it looks; quote it"),
        ("2024-01-01", "is a date to YAML, which JSON has not; quote it"),
        ("2024-01-01T10:00:00Z", "is a date to YAML, which JSON has not; quote it"),
        ("no", "is a truth value to YAML 1.1; write true or false, or quote it"),
    ],
)
def test_where_any_value_may_stand_what_would_change_in_silence_is_a_fault(
    written: str, sentence: str
) -> None:
    assert faults(f"metadata: {{instance-id: i, hostname: h, owner: [x, {written}]}}") == [
        f"web-01.yaml:1: metadata.owner[1]: {sentence}"
    ]
    assert metadata(f"owner: '{written}'\n").extra == {"owner": written}


@pytest.mark.parametrize(
    "text", ["\n  leading\nand trailing  \n\n", "", "#!/bin/sh\n", "tab\there\n", "größe 🐘"]
)
def test_text_as_user_data_is_served_as_it_was_written(text: str) -> None:
    instance = parse(LEAST + "userdata: " + json.dumps(text, ensure_ascii=False) + "\n")
    assert nocloud.render_user_data(instance) == text.encode()


def test_a_literal_block_keeps_its_last_newlines() -> None:
    assert parse(LEAST + "userdata: |+\n  a\n   b \n\n").userdata == "a\n b \n\n"


LONG = "[a, list, that, is, much, longer, than, a, line, of, eighty, characters, and, so, it, goes, on]"


def test_a_mapping_as_user_data_becomes_cloud_config_with_its_values_as_they_stand() -> None:
    text = parse(
        LEAST
        + textwrap.dedent(
            """\
            userdata:
              # comments are lost, the order is kept
              write_files:
                - path: /etc/x
                  permissions: 0644
                  content: |
                    two  \n\
                    lines
              bootcmd: [[ls, -l], &a date]
              again: *a
              expiredate: 2030-01-01
              owner: größe
            """
        )
        + f"  long: {LONG}\n"
    ).userdata
    assert isinstance(text, str)
    assert text.startswith("#cloud-config\nwrite_files:\n")
    assert "permissions: 0644\n" in text
    assert "expiredate: 2030-01-01\n" in text
    assert "owner: größe\n" in text
    assert f"long: {LONG}\n" in text
    loaded = yaml.safe_load(text)
    assert list(loaded) == ["write_files", "bootcmd", "again", "expiredate", "owner", "long"]
    assert loaded["write_files"][0]["content"] == "two  \nlines\n"
    assert loaded["bootcmd"] == [["ls", "-l"], "date"]
    assert loaded["again"] == "date"


def test_merge_keys_are_followed() -> None:
    text = (
        "metadata: &m {instance-id: i, hostname: h, rack: &r {row: 1, side: a}, shelf: {<<: *r, side: b}}\n"
        "network:\n"
        "  <<: [{address: 192.0.2.1, netmask: 255.0.0.0}, {address: 192.0.2.9, gateway: 192.0.2.2}]\n"
        "userdata: {<<: {a: 1}, b: 2}\n"
    )
    instance = parse(text)
    assert instance.metadata is not None
    assert instance.metadata.extra["shelf"] == {"row": 1, "side": "b"}
    assert (card(instance).address, card(instance).gateway) == ("192.0.2.1", "192.0.2.2")
    assert yaml.safe_load(str(instance.userdata)) == {"a": 1, "b": 2}
    assert faults("metadata: {instance-id: i, hostname: h, <<: 5}") == [
        "web-01.yaml:1: metadata: merges (<<) what is not a mapping"
    ]


def test_the_schema_is_a_valid_one_and_every_rule_has_a_sentence_and_a_description() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert "://" not in schema()["$id"]

    def rules(rule: dict[str, Any]) -> list[dict[str, Any]]:
        inner = list(rule.get("properties", {}).values())
        inner += [value for key in ("items", "additionalProperties") if (value := rule.get(key))]
        inner = [value for value in inner if "$ref" not in value]
        return [rule, *(deeper for value in inner for deeper in rules(value))]

    for rule in rules(schema()):
        assert rule["errorMessage"], rule
    defs = schema()["$defs"]
    for rule in (defs["card"], defs["network-config"]):
        assert all(inner["errorMessage"] for inner in rules(rule))
    sections = [schema()["properties"][name] for name in ("metadata", "match", "serve")]
    for section in (*sections, defs["card"], defs["card"]["properties"]["routes"]["items"]):
        for rule in section["properties"].values():
            assert rule.get("$ref") or rule["description"].endswith("."), rule


def test_every_key_of_an_instance_stands_in_the_schema() -> None:
    properties = schema()["properties"]
    assert tuple(properties) == (*INSTANCE_KEYS, "vms")
    network_card = schema()["$defs"]["card"]["properties"]
    assert tuple(network_card) == NETWORK_KEYS
    assert tuple(network_card["routes"]["items"]["properties"]) == ROUTE_KEYS
    assert set(properties["metadata"]["properties"]) == {*METADATA_KEYS, *guestinfo.KEYS}
    assert tuple(properties["match"]["properties"]) == MATCH_KEYS
    assert tuple(properties["serve"]["properties"]) == SERVE_KEYS


@pytest.mark.parametrize("name", ["web-01.yaml", "worker-01.yaml"])
def test_the_examples_are_without_fault(name: str) -> None:
    file = importlib.resources.files("vmw_cloudinit_metadata").joinpath("examples", name)
    instance = parse_definition(file.read_bytes(), name)
    documents = nocloud.render(instance)
    assert documents.user_data.startswith(b"#cloud-config\n")
    assert yaml.safe_load(documents.user_data)["write_files"]
    # An editor validates what YAML makes of the file, not our reading of it.
    jsonschema.validate(yaml.safe_load(file.read_bytes()), schema())


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(st.binary() | st.text().map(str.encode) | st.text("abc:-[]{}&*!|>'\"#%@,?<= \n\t0~").map(str.encode))
def test_garbage_raises_definition_error_and_nothing_else(text: bytes) -> None:
    with contextlib.suppress(DefinitionError):
        parse(text)
    with contextlib.suppress(DefinitionError):
        parse(LEAST.encode() + b"userdata:\n" + text)
    with contextlib.suppress(DefinitionError):
        parse_match(b"match:" + text)


@patient
@given(definitions)
def test_what_is_read_without_fault_can_be_served_and_anything_else_is_a_definition_error(raw: Any) -> None:
    text = yaml.dump(raw, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()
    try:
        instance = parse(text)
    except DefinitionError:
        return
    instance.validate()
    documents = nocloud.render(instance)
    for document in (documents.meta_data, documents.network_config):
        if document is not None:
            assert yaml.safe_load(document) == json.loads(document)
    if isinstance(raw.get("userdata"), str):
        assert documents.user_data == raw["userdata"].encode()
    elif isinstance(raw.get("userdata"), list):
        assert userdata.content_type(documents.user_data) == userdata.MIME
    elif raw.get("userdata") and "content" not in raw["userdata"]:
        assert documents.user_data.startswith(b"#cloud-config\n")
        yaml.safe_load(documents.user_data)
