import json

import jsonschema

from tests.server.cli.commands import Commands
from vmw_cloudinit_metadata import definition


def test_it_prints_the_schema_that_definitions_are_held_against(command: Commands) -> None:
    done = command("schema")
    assert (done.exit_code, done.error) == (0, "")
    assert json.loads(done.output) == definition.schema()
    jsonschema.Draft202012Validator.check_schema(json.loads(done.output))
    assert done.output.startswith('{\n  "$schema": "https://json-schema.org/draft/2020-12/schema",\n')
