"""A VM that a definition is not for: its guest says so and ends, and what it has stays."""

import uuid
from pathlib import Path

import pytest

from tests.support.loop import in_loop
from tests.support.machine import tree
from tests.support.world import World, definition
from vmw_cloudinit_metadata.vspc.access import SENTENCE

MINE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.mark.parametrize(
    ("conditions", "difference"),
    [
        ({"match": {"vc-uuid": str(OTHER)}}, f"its vc-uuid is {MINE}, the definition is for {OTHER}"),
        ({"token": "correct-horse"}, "its service URI carries no token, the definition demands one"),
    ],
)
@in_loop
async def test_its_guest_ends_at_once_with_a_sentence_and_the_old_seed_stays(
    tmp_path: Path, conditions: dict[str, object], difference: str
) -> None:
    pinned = {**definition("web-01"), "match": {"vc-uuid": str(MINE)}}
    async with World(tmp_path, {"web-01": pinned}) as world:
        machine = await world.machine("web-01", vc_uuid=MINE)
        assert (await machine.fetch(20)).exit_code == 0
        before = tree(machine.disk)
        await world.power_off("web-01")
        await world.redefine("web-01", {**definition("web-01", instance_id="i-9"), **conditions})

        machine = await world.machine("web-01", vc_uuid=MINE)
        denied = await machine.fetch(20)
        assert denied.exit_code == 8
        assert SENTENCE in denied.complaint
        assert tree(machine.disk) == before
        await world.server.logged(f"'web-01' denied: {difference}$")
        assert "correct-horse" not in "\n".join([*world.server.log, denied.complaint, denied.said])
