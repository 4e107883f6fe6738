"""Every option of every command stands in its man page, and no other does.

The source of the pages is read, so that scdoc is not needed: options of the program itself stand in the
section OPTIONS, those of a command in a section named after it.
"""

import argparse
import re
from pathlib import Path

import click
import pytest

from vmw_cloudinit_guest import usage as guest
from vmw_cloudinit_metadata.cli.main import cli as server

PAGES = Path(__file__).parents[2] / "packaging/man"
PROGRAM = "OPTIONS"

Options = dict[str, set[str]]  # a section of a page -> the options in it, each with its dashes


def _server() -> Options:
    context = click.Context(server, **server.context_settings)
    options = {PROGRAM: _click_options(server, context)}
    for name in server.list_commands(context):
        command = server.get_command(context, name)
        assert command is not None
        options[name.upper()] = _click_options(command, click.Context(command, parent=context))
    return options


def _click_options(command: click.Command, context: click.Context) -> set[str]:
    return {
        flag
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.hidden
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def _guest() -> Options:
    parser = guest.parser()
    options = {PROGRAM: _argparse_options(parser)}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                options[name.upper()] = _argparse_options(command)
    return options


def _argparse_options(parser: argparse.ArgumentParser) -> set[str]:
    return {
        flag
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        for flag in action.option_strings
    }


def _documented(page: str) -> Options:
    """Return the options of each section that are defined there: a line of their names, then a text."""
    options: Options = {}
    _heading, *sections = re.split(r"^# (.+)\n", (PAGES / page).read_text(), flags=re.MULTILINE)
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        defined = re.findall(r"^(\*-.*)\n\t\S", text, re.MULTILINE)
        options[title] = {flag for line in defined for flag in re.findall(r"\*(--?[\w-]+)\*", line)}
    return options


PROGRAMS = {"vmw-cloudinit-metadata.1.scd": _server(), "vmw-cloudinit-guest.1.scd": _guest()}


@pytest.mark.parametrize(
    ("page", "section"), [(page, section) for page, options in PROGRAMS.items() for section in options]
)
def test_a_section_defines_the_options_that_the_command_has(page: str, section: str) -> None:
    assert _documented(page).get(section) == PROGRAMS[page][section]


@pytest.mark.parametrize("page", PROGRAMS)
def test_options_are_defined_only_where_a_command_has_them(page: str) -> None:
    assert {section for section, options in _documented(page).items() if options} == PROGRAMS[page].keys()


def test_an_option_without_a_text_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PAGES", tmp_path)
    (tmp_path / "page.scd").write_text(
        "page(1)\n\n# RUN\n\n*--uri* _URI_\n\tA text.\n\n*-v*, *--vm*\n\n*--x*\n"
    )
    assert _documented("page.scd") == {"RUN": {"--uri"}}
