import re
from pathlib import Path
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_guest.client import PROGRESS_SECONDS
from vmw_cloudinit_guest.config import LONGEST_TIMEOUT, Settings, load, parse

SHIPPED = Path(__file__).parents[2] / "packaging/guest/vmw-cloudinit-guest.conf"


def test_an_empty_file_and_comments_leave_the_defaults() -> None:
    assert parse("\n  \n# port = ttyS9\n   # indented\n", "conf") == (Settings(), [])


def test_every_key_is_taken() -> None:
    text = """
    port = ttyS2   # the second one is a modem
    first-boot-timeout=300
    later-boot-timeout = 2.5
    seed-directory = /var/lib/cloud/seed/nocloud-net
    scrub = yes
    """
    expected = Settings("/dev/ttyS2", 300.0, 2.5, "/var/lib/cloud/seed/nocloud-net", True)
    assert parse(text, "conf") == (expected, [])


@pytest.mark.parametrize(
    ("value", "port"),
    [("auto", None), ("ttyS1", "/dev/ttyS1"), ("/dev/serial/by-id/x", "/dev/serial/by-id/x")],
)
def test_a_port_is_a_name_a_path_or_auto(value: str, port: Any) -> None:
    assert parse(f"port = {value}", "conf") == (Settings(port=port), [])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ttyS1", "'ttyS1' is not of the form key = value"),
        (
            "prot = ttyS1",
            "'prot' is not a key; there are port, first-boot-timeout, later-boot-timeout, seed-directory, "
            "scrub",
        ),
        ("port =", "port has no value"),
        ("= ttyS1", "'' is not a key; there are port, .*"),
        ("first-boot-timeout = soon", "'soon' is not a number of seconds above 0"),
        ("first-boot-timeout = 0", "'0' is not a number of seconds above 0"),
        ("later-boot-timeout = inf", "'inf' is not a number of seconds above 0"),
        ("later-boot-timeout = 601", "601 s is more than 600, where systemd would give up first"),
        ("seed-directory = seed", "'seed' is not an absolute path"),
        ("scrub = on", "'on' is neither yes nor no"),
        ("port = ttyS2\nport = ttyS3", "port stands there twice"),
        ("seed-directory = /seed\0", "seed-directory holds a NUL, which no name does"),
    ],
)
def test_a_fault_is_a_sentence_with_file_and_line_and_no_other_line_suffers(line: str, fault: str) -> None:
    settings, faults = parse(
        f"# comment\n{line}\nseed-directory = /x" if "seed" not in line else line, "a.conf"
    )
    assert len(faults) == 1
    assert re.fullmatch(rf"a\.conf:\d: {fault}", faults[0])
    assert settings == Settings(
        port="/dev/ttyS2" if "ttyS2" in line else None,
        seed_directory=Settings().seed_directory if "seed" in line else "/x",
    )


def test_all_faults_are_named() -> None:
    assert [fault[:6] for fault in parse("a\nport = auto\nb\n", "conf")[1]] == ["conf:1", "conf:3"]


def test_a_file_is_read_and_one_that_is_not_there_is_a_fault_if_it_must_be(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    missing = f"{path}: cannot be read: No such file or directory"
    assert load(str(path)) == (Settings(), [missing])
    assert load(str(path), may_be_missing=True) == (Settings(), [])
    path.write_bytes(b"port = ttyS\xff\r\n")
    assert load(str(path)) == (Settings(port="/dev/ttyS\ufffd"), [])


def test_a_directory_is_a_fault_in_any_case(tmp_path: Path) -> None:
    assert load(str(tmp_path), may_be_missing=True)[1] == [f"{tmp_path}: cannot be read: Is a directory"]


@given(st.text())
def test_garbage_is_faults_and_no_error(text: str) -> None:
    parse(text, "conf")


def test_the_file_that_is_shipped_has_every_key_commented_out_with_its_default() -> None:
    assert load(str(SHIPPED)) == (Settings(), [])
    uncommented = re.sub("^#(?=[a-z-]+ = )", "", SHIPPED.read_text(), flags=re.MULTILINE)
    assert parse(uncommented, "conf") == (Settings(), [])
    values: Dict[str, str] = dict(re.findall("^([a-z-]+) = (.*)$", uncommented, re.MULTILINE))
    assert [key.replace("-", "_") for key in values] == list(Settings._fields)
    assert f"at most {LONGEST_TIMEOUT:g}" in uncommented
    assert f"{PROGRESS_SECONDS:g} s without progress" in uncommented
