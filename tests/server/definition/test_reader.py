"""Scalars as text, as JSON, as numbers and truth values; and files that a definition names."""

from typing import Any

import pytest
import yaml

from tests.support.definitions import SECRET
from vmw_cloudinit_metadata.definition import Place, Source
from vmw_cloudinit_metadata.definition.reader import Reader
from vmw_cloudinit_metadata.definition.strict_yaml import compose
from vmw_cloudinit_metadata.errors import DefinitionError, Fault


def read(text: str) -> tuple[Reader, dict[str, yaml.Node], list[Fault]]:
    root, faults = compose(Source("a.yaml", text.encode()))
    assert isinstance(root, yaml.MappingNode)
    reader = Reader(root, faults)
    return reader, {key: node for key, node, _ in reader.items(root, ())}, faults


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1500", 1500),
        ("'1500'", 1500),
        ("-1", -1),
        ("0", 0),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1.0", "1.0"),
        ("9" * 18, int("9" * 18)),
        ("9" * 19, "9" * 19),
        ("", None),
        ("[1]", ["1"]),
    ],
)
def test_a_number_is_what_its_digits_say_quoted_or_not(written: str, value: Any) -> None:
    reader, nodes, faults = read(f"mtu: {written}\n")
    assert reader.integer(nodes["mtu"], ("mtu",)) == value
    assert faults == []


@pytest.mark.parametrize(
    ("written", "value"),
    [("true", True), ("'false'", False), ("yes", "yes"), ("True", "True"), ("1", "1"), ("~", None)],
)
def test_a_truth_value_is_true_or_false_and_nothing_else(written: str, value: Any) -> None:
    reader, nodes, _ = read(f"dhcp4: {written}\n")
    assert reader.boolean(nodes["dhcp4"], ("dhcp4",)) == value


def test_each_key_and_member_has_its_place() -> None:
    reader, nodes, _ = read("a:\n- x\n- {b: 1}\n")
    assert reader.text(nodes["a"], ("a",)) == ["x", {"b": "1"}]
    assert reader.places == {
        (): Place("a.yaml", 1),
        ("a",): Place("a.yaml", 1),
        ("a", 0): Place("a.yaml", 2),
        ("a", 1): Place("a.yaml", 3),
        ("a", 1, "b"): Place("a.yaml", 3),
    }


def test_a_file_is_read_beside_the_source_that_names_it() -> None:
    asked = []

    def read_file(source: str, path: str) -> bytes:
        asked.append((source, path))
        if path == "/etc/passwd":
            raise DefinitionError("leads out of the directory")
        return b"\xff"

    root, faults = compose(Source("sub/a.yaml", b"file: users.yaml\nother: /etc/passwd\n"))
    assert isinstance(root, yaml.MappingNode)
    reader = Reader(root, faults, read_file)
    contents = []
    for _, node, at in reader.items(root, ()):
        contents.append(reader.file(node.value, at))
    assert contents == [b"\xff", None]
    assert asked == [("sub/a.yaml", "users.yaml"), ("sub/a.yaml", "/etc/passwd")]
    assert faults == [Fault("sub/a.yaml", 2, "other", "leads out of the directory")]


def test_where_no_file_can_be_read_its_name_is_a_fault() -> None:
    reader, _, faults = read("file: x\n")
    assert reader.file("x", ("file",)) is None
    assert faults == [Fault("a.yaml", 1, "file", "names a file, and none can be read here")]


def test_the_text_of_a_source_is_not_shown() -> None:
    assert repr(Source("a.yaml", SECRET.encode())) == "<Source a.yaml of 7>"


def test_of_what_depends_on_the_vm_nothing_is_read_and_nothing_said() -> None:
    root, faults = compose(Source("a.yaml", b"file: '{{ vm.name }}'\nnumber: 0123\n"))
    assert isinstance(root, yaml.MappingNode)
    reader = Reader(root, faults, varying={("file",), ("number",)})
    for _, node, at in reader.items(root, ()):
        assert reader.varies(at)
        assert reader.file(node.value, at) is None
        assert reader.json(node, at) in ("{{ vm.name }}", None)
    assert reader.faults == []
