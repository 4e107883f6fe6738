import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.writing.yaml_text import definition_text, document_text, indented, inline

METADATA = {"instance-id": "i-0042", "hostname": "web-01"}


def served(definition: dict[str, object]) -> nocloud.Documents:
    """Return what a definition is served as that was written and read again."""
    return nocloud.render(parse_definition(definition_text(definition).encode(), "web-01.yaml"))


def test_a_definition_is_written_as_people_write_it() -> None:
    definition = {
        "metadata": {
            **METADATA,
            "public-keys": ["ssh-ed25519 AAAA admin@example.org"],
            "tags": {"role": "web"},
        },
        "network": {"address": "192.0.2.10", "netmask": "255.255.255.0", "nameservers": ["192.0.2.53"]},
        "userdata": b"#cloud-config\npackages:\n  - nginx\n",
        "vendordata": b"#!/bin/sh\nexit",
    }
    assert definition_text(definition) == (
        "metadata:\n"
        "  instance-id: i-0042\n"
        "  hostname: web-01\n"
        "  public-keys:\n"
        "    - ssh-ed25519 AAAA admin@example.org\n"
        "  tags:\n"
        "    role: web\n"
        "\n"
        "network:\n"
        "  address: 192.0.2.10\n"
        "  netmask: 255.255.255.0\n"
        "  nameservers:\n"
        "    - 192.0.2.53\n"
        "\n"
        "userdata: |\n"
        "  #cloud-config\n"
        "  packages:\n"
        "    - nginx\n"
        "\n"
        "vendordata: |-\n"
        "  #!/bin/sh\n"
        "  exit\n"
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\n", "k: |\n  a\n"),
        (b"a", "k: |-\n  a\n"),
        (b"a\n\n", "k: |+\n  a\n\n"),
        (b"\n", "k: |2+\n\n"),
        (b" a\nb\n", "k: |2\n   a\n  b\n"),
        (b"\ta\n", "k: |2\n  \ta\n"),
        (b"\n\na", "k: |2-\n\n\n  a\n"),
        (b"a\n\n b \n", "k: |\n  a\n\n   b \n"),
        ("büro\n".encode(), "k: |\n  büro\n"),
        (b"", 'k: ""\n'),
        (b"a\r\nb\r\n", 'k: "a\\r\\nb\\r\\n"\n'),
        ("\ufeff#cloud-config\n".encode(), 'k: "\\uFEFF#cloud-config\\n"\n'),
        (b"bell\x07", 'k: "bell\\a"\n'),
        (b"\x1f\x8b\xff", "k:\n  encoding: base64\n  content: |\n    H4v/\n"),
    ],
)
def test_a_document_is_a_block_where_it_can_be_one(content: bytes, text: str) -> None:
    assert document_text("k", content) == text


def test_base64_is_wrapped_as_people_know_it() -> None:
    lines = document_text("userdata", b"\xff" * 100).splitlines()
    assert [len(line) for line in lines[3:]] == [80, 64]


@given(st.binary(max_size=80), st.binary(max_size=80))
@example(b"a\n\n", b"b\n\n")
@example(b"   \n\n  a", b"\t\n")
@example("\u2028\x85\ufffe".encode(), b"\r")
@example(b"# {{ vm.name }}\n", b"&a *b !c")
def test_whatever_bytes_there_are_they_are_served_again(user_data: bytes, vendor_data: bytes) -> None:
    documents = served({"metadata": METADATA, "userdata": user_data, "vendordata": vendor_data})
    assert (documents.user_data, documents.vendor_data) == (user_data, vendor_data)
    documents = served({"userdata": user_data, "metadata": METADATA})
    assert documents.user_data == user_data


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n"), max_size=60)


@given(lines)
def test_text_is_no_base64(text: str) -> None:
    assert "encoding: base64" not in document_text("userdata", text.encode())
    assert served({"metadata": METADATA, "userdata": text.encode()}).user_data == text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("web-01", "web-01"),
        ("0123", "'0123'"),
        ("12:30", "'12:30'"),
        ("no", "'no'"),
        ("a: b", "'a: b'"),
        ("# a", "'# a'"),
        ("", "''"),
        (["192.0.2.53", "a b"], "[192.0.2.53, a b]"),
        ({"runs": 1, "until-reported": True}, "{runs: 1, until-reported: true}"),
    ],
)
def test_a_value_stands_on_one_line(value: object, text: str) -> None:
    assert inline(value) == text


def test_a_long_value_does_too() -> None:
    assert "\n" not in inline(["word " * 100] * 3)


def test_empty_lines_are_not_indented() -> None:
    assert indented("a\n\n b\n") == "  a\n\n   b\n"
    assert indented("a") == "  a\n"
