"""Definitions as text, and what becomes of them, for the tests of definition/."""

import textwrap

import pytest

from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.errors import DefinitionError
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMetadata
from vmw_cloudinit_metadata.network import InstanceNetworkData

SECRET = "hunter2"

LEAST = "metadata: {instance-id: i-0042, hostname: web-01}\n"


def parse(text: str | bytes) -> InstanceData:
    return parse_definition(text if isinstance(text, bytes) else text.encode(), "web-01.yaml")


def metadata(lines: str) -> InstanceMetadata:
    made = parse(
        "metadata:\n  instance-id: i-0042\n  hostname: web-01\n" + textwrap.indent(lines, "  ")
    ).metadata
    assert made is not None
    return made


def card(instance: InstanceData) -> InstanceNetworkData:
    assert isinstance(instance.network, InstanceNetworkData)
    return instance.network


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    return str(caught.value).splitlines()
