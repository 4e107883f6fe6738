"""Defaults under a definition: what merges, what replaces, and where each value came from."""

from typing import Any

import pytest
import yaml

from vmw_cloudinit_metadata.definition import Source
from vmw_cloudinit_metadata.definition.merge import merge
from vmw_cloudinit_metadata.definition.strict_yaml import compose


def tree(text: str) -> yaml.MappingNode:
    root, faults = compose(Source("a.yaml", text.encode()))
    assert isinstance(root, yaml.MappingNode)
    assert faults == []
    return root


def merged(under: str, over: str) -> Any:
    text = yaml.serialize(merge(tree(under), tree(over)), Dumper=yaml.CSafeDumper)
    return yaml.load(text, Loader=yaml.CSafeLoader)


@pytest.mark.parametrize(
    ("under", "over", "result"),
    [
        ("a: 1", "b: 2", "{b: 2, a: 1}"),
        ("a: 1", "a: 2", "a: 2"),
        ("a: {x: 1, y: {z: 1}}", "a: {y: {w: 2}}", "a: {x: 1, y: {z: 1, w: 2}}"),
        ("a: [1, 2]", "a: [3]", "a: [3]"),
        ("a: {x: 1}", "a: text", "a: text"),
        ("a: text", "a: {x: 1}", "a: {x: 1}"),
        ("a: 1", "a: ~", "{}"),
        ("a: {x: 1, y: 2}", "a: {x: }", "a: {y: 2}"),
        ("a: 1", "b: ~", "{b: ~, a: 1}"),
        ("a: 1", "a: ''", "a: ''"),
        ("a: ~", "a: {x: ~}", "a: {x: ~}"),
        # What protects is not removed: an empty value is a fault later on.
        ("token: x", "token: ~", "token: ~"),
        ("serve: {runs: 1}", "serve: ~", "serve: ~"),
        ("serve: {runs: 1}", "serve: {runs: ~}", "serve: {runs: ~}"),
        ("serve: {runs: 1}", "serve: {until-reported: true}", "serve: {runs: 1, until-reported: true}"),
        # Two spellings of a key are one key, in metadata alone.
        ("metadata: {instance-id: a}", "metadata: {instance_id: b}", "metadata: {instance_id: b}"),
        ("metadata: {hostname: a}", "metadata: {local-hostname: b}", "metadata: {local-hostname: b}"),
        ("metadata: {public-keys: [a]}", "metadata: {public_keys: ~}", "metadata: {}"),
        ("metadata: {x: {ami-id: a}}", "metadata: {x: {ami_id: b}}", "metadata: {x: {ami-id: a, ami_id: b}}"),
        # Forms of one kind merge, others replace.
        ("network: {netmask: m}", "network: {address: a}", "network: {netmask: m, address: a}"),
        ("network: {netmask: m}", "network: [{address: a}]", "network: [{address: a}]"),
        ("network: {netmask: m}", "network: {version: 2}", "network: {version: 2}"),
        ("network: {version: 1, x: 1}", "network: {version: 2}", "network: {version: 2}"),
        ("network: {version: 2, x: 1}", "network: {version: 2, y: 2}", "network: {version: 2, x: 1, y: 2}"),
        ("network: {network: {x: 1}}", "network: {version: 2}", "network: {version: 2}"),
        ("network: {config: {x: 1}}", "network: {config: {y: 1}}", "network: {config: {x: 1, y: 1}}"),
        ("userdata: {a: 1}", "userdata: {b: 2}", "userdata: {a: 1, b: 2}"),
        ("userdata: {a: 1}", "userdata: '#!/bin/sh'", "userdata: '#!/bin/sh'"),
        ("userdata: {a: 1}", "userdata: {file: x}", "userdata: {file: x}"),
        ("userdata: {file: x, encoding: gz}", "userdata: {file: y}", "userdata: {file: y}"),
        ("vendordata: {content: x}", "vendordata: {a: 1}", "vendordata: {a: 1}"),
        ("userdata: {x: {file: a}}", "userdata: {x: {content: b}}", "userdata: {x: {file: a, content: b}}"),
    ],
)  # fmt: skip
def test_mappings_merge_lists_and_texts_replace_and_null_removes(under: str, over: str, result: str) -> None:
    assert merged(under, over) == yaml.safe_load(result)


def test_neither_tree_is_changed() -> None:
    under, over = tree("a: {x: 1}\nb: 1"), tree("a: {y: ~}\nb: ~")
    before = [yaml.serialize(each) for each in (under, over)]
    merge(under, over)
    assert [yaml.serialize(each) for each in (under, over)] == before
