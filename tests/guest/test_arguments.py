"""Arguments without argparse: either the same as it would make of them, or left to it."""

from typing import Any, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_guest import arguments, usage
from vmw_cloudinit_guest.arguments import Arguments, quickly

WORDS = [
    *("fetch", "report", "status", "--boot", "-v", "--verbose", "--port", "ttyS1", "--seed-dir", "/seed"),
    *("--timeout", "5", "0", "--config", "/etc/guest.conf", "--port=ttyS1", "--po", "-vv", "--", "-", ""),
    *("--help", "--version", "--root", "/", "--format", "json", "--at-install", "-1", "-1.5", "a b"),
]


@pytest.mark.parametrize("command", ["fetch", "report"])
def test_what_the_units_run_needs_no_argparse(command: str) -> None:
    assert quickly([command, "--boot"]) == Arguments(command, boot=True)


def test_nor_does_a_try_on_a_port() -> None:
    words = ["fetch", "--port", "ttyS1", "--seed-dir", "/seed", "--timeout", "2.5", "--config", "/f", "-v"]
    assert quickly(words) == Arguments(
        "fetch", port="ttyS1", seed_dir="/seed", timeout=2.5, config="/f", verbose=True
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["status"],
        ["fetch", "--help"],
        ["fetch", "--port"],
        ["fetch", "--port", "--boot"],
        ["fetch", "--port=ttyS1"],
        ["fetch", "--seed", "/seed"],
        ["fetch", "--timeout", "soon"],
        ["fetch", "ttyS1"],
        ["report", "--port", "ttyS1"],
    ],
)
def test_what_has_to_be_said_something_about_is_left_to_argparse(words: List[str]) -> None:
    assert quickly(words) is None


@given(st.lists(st.sampled_from(WORDS), max_size=6).map(lambda words: ["fetch", *words]))
def test_a_fetch_that_is_understood_is_understood_as_argparse_does(words: List[str]) -> None:
    understood = quickly(words)
    assert understood is None or understood == usage.parse(words)


@given(st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: ["report", *words]))
def test_a_report_that_is_understood_is_understood_as_argparse_does(words: List[str]) -> None:
    understood = quickly(words)
    assert understood is None or understood == usage.parse(words)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fetch", "--port=ttyS1", "-v"], Arguments("fetch", port="ttyS1", verbose=True)),
        (["enable", "--at-install"], Arguments("enable", at_install=True)),
        (["status", "--format", "json", "--root", "/"], Arguments("status", format="json")),
    ],
)
def test_argparse_knows_the_rest(words: List[str], meant: Arguments) -> None:
    assert arguments.parse(words) == meant


def test_without_a_list_it_is_the_program_s_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["vmw-cloudinit-guest", "report", "--boot"])
    assert arguments.parse(None) == Arguments("report", boot=True)


def test_every_option_of_both_commands_is_understood() -> None:
    subcommands: Any = usage.parser()._subparsers
    (action,) = subcommands._group_actions
    for command in ("fetch", "report"):
        for option in action.choices[command]._actions:
            for flag in set(option.option_strings) - {"-h", "--help"}:
                assert quickly([command, flag, *(["7"] if option.nargs is None else [])]), (command, flag)
