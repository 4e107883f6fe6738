import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmw_cloudinit_metadata.cli.changes import changes, is_text
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.served import MAX_LINES, MAX_TEXT, ServedRecords
from vmw_cloudinit_metadata.vspc.snapshot import Document

SECRET = b"hunter2"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)

Documents = dict[str, Document | None]


def documents(userdata: bytes = b"#cloud-config\n{}\n", **others: bytes | None) -> Documents:
    contents = {"metadata": b'{"hostname": "web-01"}', "networkdata": None, "vendordata": None, **others}
    contents["userdata"] = userdata
    return {name: None if content is None else Document.of(content) for name, content in contents.items()}


class Differ:
    """Says what is new, of what was kept by the way of the disk."""

    def __init__(self, path: Path) -> None:
        self.records = ServedRecords(StateDirectory(path), lambda: NOON)

    def __call__(self, before: Documents, now: Documents) -> str:
        self.records.note("web-01", "web-01", before)
        served = self.records.last("web-01")
        assert served is not None
        return "".join(f"{line}\n" for line in changes(served, now))


@pytest.fixture
def diff(tmp_path: Path) -> Differ:
    return Differ(tmp_path)


def test_of_the_same_nothing_is_new(diff: Differ) -> None:
    assert diff(documents(vendordata=b"x"), documents(vendordata=b"x")) == ""


def test_meta_data_is_compared_key_by_key(diff: Differ) -> None:
    before = documents(metadata=b'{"instance-id": "i-1", "hostname": "web-01"}')
    now = documents(metadata=b'{"instance-id": "i-2", "hostname": "web-01", "region": "b\xc3\xbcro"}')
    assert diff(before, now) == textwrap.dedent(
        """\
        --- meta-data
        +++ meta-data
        @@ -1,4 +1,5 @@
         {
        -  "instance-id": "i-1",
        -  "hostname": "web-01"
        +  "instance-id": "i-2",
        +  "hostname": "web-01",
        +  "region": "büro"
         }
        """
    )


def test_new_lines_of_a_secret_are_shown_and_those_that_have_gone_counted(diff: Differ) -> None:
    lines = [b"line %d\n" % number for number in range(20)]
    before = documents(b"".join([*lines[:5], b"pw: %s\n" % SECRET, *lines[5:]]))
    now = documents(b"".join([*lines[:5], b"pw: new\n", b"more: 1\n", *lines[5:19]]))
    assert diff(before, now) == (
        "--- user-data\n"
        "+++ user-data\n"
        "@@ -3,7 +3,8 @@\n"
        " line 2\n line 3\n line 4\n"
        "-(1 line, of which digests alone are kept)\n"
        "+pw: new\n"
        "+more: 1\n"
        " line 5\n line 6\n line 7\n"
        "@@ -18,4 +19,3 @@\n"
        " line 16\n line 17\n line 18\n"
        "-(1 line, of which digests alone are kept)\n"
    )


def test_several_lines_that_have_gone_are_one(diff: Differ) -> None:
    assert diff(documents(b"a\nb\nc\n"), documents(b"c\n")).splitlines()[2:] == [
        "@@ -1,3 +1,1 @@",
        "-(2 lines, of which digests alone are kept)",
        " c",
    ]


def test_a_line_end_that_comes_or_goes_is_a_change(diff: Differ) -> None:
    assert diff(documents(b"a\nb"), documents(b"a\nb\n")).splitlines()[3:] == [
        " a",
        "-(1 line, of which digests alone are kept)",
        "+b",
    ]
    assert diff(documents(b"a\r\n"), documents(b"a\n")).splitlines()[-1] == "+a"


def test_a_document_that_comes_is_all_new_and_one_that_goes_is_said_to_be_gone(diff: Differ) -> None:
    with_it, without = documents(vendordata=b"a\nb\n"), documents()
    assert diff(without, with_it) == "--- /dev/null\n+++ vendor-data\n+a\n+b\n"
    assert diff(with_it, without) == "--- vendor-data\n+++ /dev/null\n(is gone: 4 bytes)\n"
    network = documents(networkdata=b'{"version": 1}')
    assert diff(without, network) == '--- /dev/null\n+++ network-config\n+{"version": 1}\n'


def test_what_is_no_text_or_was_too_long_is_said_by_its_size(diff: Differ) -> None:
    told = "(4 bytes before, 3 bytes now; what has changed cannot be shown)\n"
    assert diff(documents(b"old\n"), documents(b"\x1f\x8b\xff")).endswith(told)
    assert diff(documents(), documents(vendordata=b"\x1b[2J")).endswith(
        "(4 bytes now; what has changed cannot be shown)\n"
    )
    long = documents(b"\n" * (MAX_LINES + 1), metadata=b" " * (MAX_TEXT + 1))
    told = diff(long, documents(b"x", metadata=b"{}"))
    assert "(24,577 bytes before, 2 bytes now; what" in told
    assert "(4,001 bytes before, 1 bytes now; what" in told


def test_the_documents_come_in_one_order(diff: Differ) -> None:
    now = documents(b"1", metadata=b"2", networkdata=b"3", vendordata=b"4")
    heads = [line for line in diff(documents(), now).splitlines() if line.startswith("+++")]
    assert heads == ["+++ meta-data", "+++ network-config", "+++ user-data", "+++ vendor-data"]


def test_no_secret_that_was_served_is_shown(diff: Differ) -> None:
    before = documents(b"#cloud-config\npassword: %s\n" % SECRET, vendordata=SECRET)
    for now in (documents(), documents(vendordata=b"x"), documents(b"")):
        assert SECRET.decode() not in diff(before, now)


@pytest.mark.parametrize("content", [b"", b"a\n\tb", "ü €\n".encode(), b"a\r\nb\r\n"])
def test_text_is_shown(content: bytes) -> None:
    assert is_text(content)


@pytest.mark.parametrize(
    "content", [b"\xff", b"\x1b[2J", b"a\rb", b"\0", "\u2028".encode(), "\u202e".encode()]
)
def test_what_a_terminal_would_act_on_is_none(content: bytes) -> None:
    assert not is_text(content)
