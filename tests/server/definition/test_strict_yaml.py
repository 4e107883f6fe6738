import contextlib

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmw_cloudinit_metadata.definition.source import Place, Source, path_text
from vmw_cloudinit_metadata.definition.strict_yaml import MAX_DEPTH, MAX_KEY, MAX_VALUES, compose, place_of
from vmw_cloudinit_metadata.errors import Fault

SECRET = "hunter2"


def plain(text: str) -> yaml.Node:
    root, faults = compose(Source("a.yaml", text.encode()))
    assert faults == []
    assert root is not None
    return root


def only_fault(text: str | bytes) -> Fault:
    _, (fault,) = compose(Source("a.yaml", text if isinstance(text, bytes) else text.encode()))
    return fault


def test_the_tree_is_the_one_that_yaml_composes() -> None:
    text = "a: &x [1, 'two', !!str 3, ~, 2024-01-01, 1.5, no]\nb: {c: *x}\nd: |\n  lines\n  kept\n"
    ours, theirs = plain(text), yaml.compose(text, Loader=yaml.CSafeLoader)
    assert yaml.serialize(ours, Dumper=yaml.SafeDumper) == yaml.serialize(theirs, Dumper=yaml.SafeDumper)


def test_an_alias_is_the_same_node_again() -> None:
    root = plain("a: &x [1]\nb: *x\nc: &x 2\nd: *x\n")
    values = [value for _, value in root.value]
    assert values[0] is values[1]
    assert values[2] is values[3]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    root, faults = compose(Source("a.yaml", b"\xef\xbb\xbfa: 1"))
    assert faults == []
    assert root is not None
    assert root.value[0][0].value == "a"


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n"])
def test_a_file_without_a_document_is_empty(text: str) -> None:
    assert compose(Source("a.yaml", text.encode())) == (None, [Fault("a.yaml", 1, "", "the file is empty")])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"a: 1\nb: \xe9t\xe9\n", Fault("a.yaml", 2, "", "not UTF-8 text")),
        ("a: 1\n".encode("utf-16"), Fault("a.yaml", 1, "", "not UTF-8 text")),
        ("a: 1\nb: \x07\n", Fault("a.yaml", 2, "", "a control character, which YAML refuses")),
        ("a:\n\tb: 1\n", Fault("a.yaml", 2, "", "a tab stands where YAML wants spaces")),
        ("a: [1, 2\nb: 3\n", Fault("a.yaml", 2, "", "not YAML: did not find expected ',' or ']'")),
        ("a: 1\n---\nb: 2\n", Fault("a.yaml", 2, "", "a second YAML document begins here; a file holds one")),
        ("a: &x\n  b: *x\n", Fault("a.yaml", 2, "", "an alias stands inside the value it repeats")),
        ("[" * 200_000, Fault("a.yaml", 1, "", f"nested more than {MAX_DEPTH} deep")),
        ("- " * 200_000, Fault("a.yaml", 1, "", f"nested more than {MAX_DEPTH} deep")),
        ("a: 1\nb: 2\na: 3\n", Fault("a.yaml", 3, "a", "is given twice (first on line 1)")),
        ("a:\n- b: 1\n- {c: 1, c: 2}\n", Fault("a.yaml", 3, "a[1].c", "is given twice (first on line 3)")),
        ("a:\n  ? [1]\n  : 2\n", Fault("a.yaml", 2, "a", "a key is text, not a list or mapping")),
        ("k" * (MAX_KEY + 1) + ": 1\n", Fault("a.yaml", 1, "", f"a key is longer than {MAX_KEY} characters")),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, fault: Fault) -> None:
    assert only_fault(text) == fault


def test_aliases_may_not_stand_for_more_values_than_a_file_may_hold() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    fault = only_fault("\n".join(lines))
    assert fault.text == f"more than {MAX_VALUES:,} values up to here, with what aliases repeat"
    assert only_fault("[" + "1," * MAX_VALUES + "]").text == fault.text


def test_aliases_may_not_nest_deeper_than_brackets_may() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH))]
    assert only_fault("\n".join(lines)).text == f"nested more than {MAX_DEPTH} deep"


def test_nesting_up_to_the_limit_is_read() -> None:
    assert plain("[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1))


@pytest.mark.parametrize(
    "text",
    [
        f"a: *{SECRET}",
        f"a: !{SECRET} x",
        f"a: !!{SECRET} x",
        f"a: !{SECRET} [x]",
        f"a: '{SECRET}",
        f"a: %{SECRET}",
    ],
)
def test_a_fault_never_quotes_what_may_be_a_password(text: str) -> None:
    fault = only_fault(text)
    assert SECRET not in fault.text
    assert fault.line == 1


@pytest.mark.parametrize(
    "text", ["a: !!python/object:os.system x", "a: !!binary aGk=", "a: !!set {x}", "!x {}"]
)
def test_tags_are_refused(text: str) -> None:
    assert "has a YAML tag" in only_fault(text).text


@pytest.mark.parametrize("text", ["a: !!str 1", "a: ! 1", "a: !!map {}", "a: !!seq []"])
def test_tags_that_say_what_is_known_anyway_are_no_fault(text: str) -> None:
    assert plain(text)


def test_a_lone_equals_sign_is_text() -> None:
    root = plain("delimiter: =")
    assert yaml.serialize(root, Dumper=yaml.CSafeDumper) == "delimiter: '='\n"


def test_all_faults_up_to_the_end_are_found() -> None:
    _, faults = compose(Source("a.yaml", b"a: 1\na: !x 2\n? [b]\n: 1\nc: [\n"))
    assert [fault.line for fault in faults] == [2, 2, 3, 6]


def test_a_path_is_written_on_one_line() -> None:
    assert path_text(("network", "nameservers", 1)) == "network.nameservers[1]"
    assert path_text(("a\nb\x1b", "c")) == "a\\nb\\x1b.c"
    assert path_text(()) == ""


patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(st.binary() | st.text().map(str.encode) | st.text("abc:-[]{}&*!|>'\"#%@,?<= \n\t0~").map(str.encode))
def test_garbage_gives_faults_and_nothing_else(text: bytes) -> None:
    root, faults = compose(Source("a.yaml", text))
    assert root is not None or faults
    if not faults:
        # What PyYAML can compose we can; what it can then load is its own business.
        with contextlib.suppress(yaml.constructor.ConstructorError, ValueError):
            yaml.load(text, Loader=yaml.CSafeLoader)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=MAX_KEY), inner),
    max_leaves=20,
)


@patient
@given(trees)
def test_a_tree_is_written_as_it_was_read(tree: object) -> None:
    text = yaml.dump(tree, Dumper=yaml.CSafeDumper, allow_unicode=True)
    root = plain(text)
    assert yaml.load(yaml.serialize(root, Dumper=yaml.CSafeDumper), Loader=yaml.CSafeLoader) == tree


def test_merge_keys_are_resolved_and_leave_no_alias_among_the_keys() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {x: 4, <<: *b}\n"
    text += "e: {'<<': text}\n"
    written = yaml.serialize(plain(text), Dumper=yaml.CSafeDumper)
    assert "*" not in "".join(line.split(":")[0] for line in written.splitlines())
    assert yaml.load(written, Loader=yaml.CSafeLoader) == {
        "a": {"x": 1, "y": 1},
        "b": {"y": 2, "z": 2},
        "c": {"z": 3, "x": 1, "y": 1},
        "d": {"x": 4, "y": 2, "z": 2},
        "e": {"<<": "text"},
    }


@pytest.mark.parametrize("text", ["a: {<<: 5}", "a: {<<: [5]}", "a:\n  <<: [[]]\n"])
def test_what_is_merged_is_a_mapping(text: str) -> None:
    fault = only_fault(text)
    assert (fault.key, fault.text) == ("a", "merges (<<) what is not a mapping")


def test_braces_without_quotes_are_no_text() -> None:
    assert only_fault("a: {{ vm.name }}").text == (
        "a key is text, not a list or mapping; quote a text that begins with {{"
    )


def test_each_node_knows_its_place() -> None:
    root = plain("a: 1\nb:\n- 2\n")
    assert [place_of(key) for key, _ in root.value] == [Place("a.yaml", 1), Place("a.yaml", 2)]
    assert place_of(root.value[1][1].value[0]) == Place("a.yaml", 3)
