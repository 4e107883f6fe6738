"""The table of seeds, imported and served again: byte for byte, network-config but for the order of keys."""

import json
from typing import Any

import pytest

from tests.support.seeds import Case, cases
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.writing.from_seed import Seed, seed_definition
from vmw_cloudinit_metadata.writing.yaml_text import definition_text


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_what_is_imported_is_served_again(case: Case) -> None:
    notes: list[str] = []
    names = ("meta-data", "user-data", "vendor-data", "network-config")
    before = [case.seed.get(name) for name in names]
    definition = seed_definition(Seed(before[0] or b"", *before[1:]), "the-vm", notes.append)
    documents = nocloud.render(parse_definition(definition_text(definition).encode(), "web-01.yaml"))
    after = [documents.meta_data, documents.user_data, documents.vendor_data, documents.network_config]
    assert (after[:3], _parsed(after[3])) == (before[:3], _parsed(before[3]))
    assert notes == []


def _parsed(network_config: bytes | None) -> Any:
    return network_config and json.loads(network_config)
