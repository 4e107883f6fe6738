import json

import pytest

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.writing.from_predecessor import Taken, take_definition

NETWORK = """\
network:
  address: 192.0.2.10
  netmask: 255.255.255.0
  gateway: 192.0.2.1
  nameservers: [192.0.2.53]
"""

USUAL = f"""\
---
# The web server.
metadata:
  ami_id: debian
  instance_id: i-0042
  region: eu-1
  availability_zone: eu-1a
  tags: {{role: web}}
  public_keys: [ssh-ed25519 AAAA admin@example.org]
  hostname: web-01
{NETWORK}
userdata: |
  #cloud-config
  {{}}
"""


def take(text: str) -> Taken:
    return take_definition(text.encode(), "web-01.yaml")


def metadata_of(taken: Taken) -> dict[str, object]:
    documents = nocloud.render(parse_definition(taken.text, "web-01.yaml"))
    document: dict[str, object] = json.loads(documents.meta_data)
    return document


def test_a_usual_one_is_taken_as_it_is_comments_and_all() -> None:
    assert take(USUAL) == Taken(USUAL.encode(), None)


def test_so_is_the_example_of_its_readme_which_it_refuses_itself() -> None:
    text = (
        USUAL.replace("_", "-")
        .replace("{role: web}", "[a, b]")
        .replace("gateway:", "search: example.org\n  gateway:")
    )
    assert take(text) == Taken(text.encode(), None)


@pytest.mark.parametrize(
    ("written", "means"),
    [("0123", "83"), ("0x10", "16"), ("1_000", "1000"), ("12:30", "750"), ("!!str 12", "12"), ("&a b", "b")],
)
def test_what_yaml_makes_of_a_value_is_what_it_stays(written: str, means: str) -> None:
    taken = take(USUAL.replace("i-0042", written))
    assert metadata_of(taken)["instance-id"] == means


def test_what_is_written_anew_says_why() -> None:
    taken = take(USUAL.replace("i-0042", "0123"))
    assert taken.why == "web-01.yaml: YAML 1.1 reads a value otherwise than it looks"
    assert b"  instance-id: '83'\n" in taken.text
    twice = take(USUAL.replace("  region: eu-1\n", "  region: eu-1\n  region: eu-2\n"))
    assert twice.why == "web-01.yaml:7: metadata.region: is given twice (first on line 6)"
    assert metadata_of(twice)["region"] == "eu-2"


def test_user_data_keeps_the_line_end_that_0_0_8_strips() -> None:
    taken = take(USUAL.replace("i-0042", "0123"))
    assert nocloud.render(parse_definition(taken.text, "")).user_data == b"#cloud-config\n{}\n"


def test_a_number_is_user_data_to_0_0_8() -> None:
    text = USUAL[: USUAL.index("userdata:")] + "userdata: 0123\n"
    assert nocloud.render(parse_definition(take(text).text, "")).user_data == b"83"


def test_what_0_0_8_refuses_and_this_release_takes_is_taken_as_it_is() -> None:
    for text in (
        "metadata: {instance-id: i, hostname: a}\n",
        USUAL + "vendordata: '#!/bin/sh'\n",
        USUAL.replace("region: eu-1", "region: no"),
        USUAL.replace("region: eu-1", "owner: web"),
        USUAL.replace("region: eu-1", "region: 1.5"),
    ):
        assert take(text) == Taken(text.encode(), None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "web-01.yaml:1: the file is empty"),
        ("a: [", "web-01.yaml:2: not YAML: did not find expected node content"),
        (USUAL.replace("192.0.2.10", "192.0.2.300"), "'192.0.2.300' is not an IPv4 address"),
        (USUAL.replace("  hostname: web-01\n", ""), "hostname is missing"),
    ],
)
def test_what_neither_serves_is_told_as_this_release_does(text: str, fault: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        take(text)
    assert fault in str(caught.value)


def test_no_repr_shows_its_text() -> None:
    assert "admin@example.org" not in repr(take(USUAL)) + repr(take(USUAL.replace("i-0042", "0123")))
