import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.writing.template import Answers, new_definition

LEAST = Answers("web-01", hostname="web-01")
UUID = "5012ab34-cd56-4e78-9012-3456789abcde"
MOST = Answers(
    "web-01",
    hostname="web-01.example.org",
    instance_id="0123",
    public_keys=("ssh-ed25519 AAAA a@example.org", "ssh-rsa BBBB # b: c"),
    mac="52:54:00:12:34:56",
    interface="lan0",
    addresses=("192.0.2.10/24", "2001:db8::10/64"),
    dhcp=True,
    gateways=("192.0.2.1", "2001:db8::1"),
    nameservers=("192.0.2.53", "2001:db8::53"),
    search=("example.org", "example.net"),
    userdata=b"#!/bin/sh\nexit\n",
    vc_uuid=UUID,
    bios_uuid=UUID,
)


def read(answers: Answers) -> InstanceData:
    return parse_definition(new_definition(answers).encode(), "web-01.yaml")


def test_of_the_least_that_is_known_a_definition_can_be_made() -> None:
    assert new_definition(LEAST) == (
        "# What the VM web-01 gets. Every key is explained by 'man 5 vmw-cloudinit-metadata'.\n"
        "# A changed file counts at the VM's next boot; 'vmw-cloudinit-metadata validate' checks it before.\n"
        "\n"
        "metadata:\n"
        "  hostname: web-01\n"
        "  # Another instance-id makes the VM a new one to cloud-init. Left out, it is the VM's UUID.\n"
        "  #instance-id: i-0042\n"
        "  # SSH keys of the image's default user, a line each.\n"
        "  #public-keys:\n"
        "  #  - ssh-ed25519 AAAA… operator@example.org\n"
        "\n"
        "# Left out, the image decides, usually for DHCP. Several cards are a list of such mappings.\n"
        "#network:\n"
        "#  address: 192.0.2.10/24\n"
        "#  gateway: 192.0.2.1\n"
        "#  nameservers: [192.0.2.53]\n"
        "\n"
        "# For this VM alone: another one of this name is denied. The server's log shows the UUIDs of VMs.\n"
        "#match:\n"
        "#  vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde\n"
        "\n"
        "# Served so often and no more, until 'vmw-cloudinit-metadata rearm': user-data holds secrets.\n"
        "#serve: {runs: 1}\n"
        "\n"
        "# What cloud-init does at the first boot: a mapping becomes #cloud-config, text is taken as it is.\n"
        "#userdata:\n"
        "#  packages: [nginx]\n"
    )
    instance = read(LEAST)
    assert instance.metadata is not None
    assert (instance.metadata.hostname, instance.network, instance.match) == ("web-01", None, None)


def test_all_that_is_known_is_in_it() -> None:
    instance = read(MOST)
    documents = nocloud.render(instance)
    meta_data = json.loads(documents.meta_data)
    assert (meta_data["instance-id"], meta_data["hostname"]) == ("0123", "web-01.example.org")
    assert meta_data["public-keys"] == list(MOST.public_keys)
    assert documents.user_data == b"#!/bin/sh\nexit\n"
    assert documents.network_config is not None
    for value in (MOST.mac, MOST.interface, *MOST.gateways, *MOST.nameservers, *MOST.search, "dhcp4"):
        assert value in documents.network_config.decode()
    assert instance.match is not None
    assert (str(instance.match.vc_uuid), str(instance.match.bios_uuid)) == (UUID, UUID)


def test_what_stands_there_as_a_comment_may_be_said() -> None:
    """But for the sign of a comment and the comments that explain."""
    lines = []
    for line in new_definition(LEAST).splitlines():
        bare = line.lstrip(" ")
        if not re.match(r"# \S", bare):
            lines.append(line.replace("#", "", 1) if bare.startswith("#") else line)
    text = "\n".join(lines).replace("AAAA…", "AAAA")
    instance = parse_definition(text.encode(), "web-01.yaml")
    assert instance.network is not None
    assert instance.match is not None
    assert instance.serve is not None
    assert instance.serve.runs == 1
    assert nocloud.render_user_data(instance) == b"#cloud-config\npackages: [nginx]\n"


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ("192.0.2.10/24",)},
        {"addresses": ("192.0.2.10/24",), "gateways": ("192.0.2.1",)},
        {"dhcp": True},
        {"dhcp": True, "mac": "00:50:56:01:02:03"},
        {"userdata": b""},
        {"userdata": b"no line end"},
        {"userdata": b"a\n\n\n"},
        {"userdata": b"\x1f\x8b\xff"},
        {"vc_uuid": UUID},
        {"bios_uuid": UUID},
    ],
)
def test_whatever_is_known_it_is_a_definition(change: dict[str, Any]) -> None:
    answers = replace(LEAST, **change)
    instance = read(answers)
    if answers.userdata is not None:
        assert nocloud.render_user_data(instance) == answers.userdata


@given(name=st.text(max_size=40))
def test_a_name_breaks_out_of_no_comment(name: str) -> None:
    instance = parse_definition(
        new_definition(Answers(name, hostname="web-01")).encode(errors="replace"), "web-01.yaml"
    )
    assert instance.metadata is not None
    assert instance.metadata.extra == {}


def test_no_repr_shows_user_data() -> None:
    assert repr(MOST) == "<Answers for 'web-01'>"
