"""The guest's half of the packets in the test's own event loop: hundreds at once, without a process each."""

import asyncio

from vmw_cloudinit_guest.dialogue import Dialogue
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.ids import fresh_id
from vmw_cloudinit_metadata.simulator import SimulatedVM


async def fetch(vm: SimulatedVM) -> Documents:
    """Ask over a VM's serial line until all documents are there, however long that takes.

    Raises:
        AssertionError: the server refuses.
        SimulatorError: the VM has ended.
    """
    clock = asyncio.get_running_loop().time
    dialogue = Dialogue(clock(), lambda line: None, {}, fresh_id)
    while dialogue.documents is None:
        assert dialogue.refusal is None, dialogue.refusal
        if request := dialogue.data_to_send(clock()):
            await vm.write(request)
        try:
            async with asyncio.timeout(dialogue.seconds_until_due(clock())):
                data = await vm.read()
        except TimeoutError:
            continue
        dialogue.receive_data(data, clock())
    return dialogue.documents
