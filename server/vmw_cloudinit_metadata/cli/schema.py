"""``schema``: the rules of a definition, for editors and other programs."""

import json

import click

from vmw_cloudinit_metadata import definition


@click.command(
    epilog="\b\nThe first line of a definition, with the schema beside it:\n"
    "  # yaml-language-server: $schema=.schema.json"
)
def schema() -> None:
    """Print the JSON schema (draft 2020-12) of a definition.

    An editor that knows it completes keys, and shows faults as you type. Where it uses yaml-language-server,
    a comment is enough.
    """
    click.echo(json.dumps(definition.schema(), indent=2, ensure_ascii=False))
