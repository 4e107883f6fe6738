"""What ``show`` prints is what a real server serves, byte for byte, in both versions of the packets."""

import json
from pathlib import Path

import pytest

from tests.server.cli.commands import Commands
from tests.server.vspc.limited import ask
from tests.support import version2
from tests.support.peer import METADATA, NETWORKDATA, USERDATA, UUID_TEXT, Peer, run, serving
from vmw_cloudinit_metadata.cli.changes import FILES
from vmw_cloudinit_metadata.drivers.file import FileDriver
from vmw_cloudinit_metadata.state.directory import StateDirectory

DEFINITIONS = {
    "usual": "network: {address: 192.0.2.10, netmask: 255.255.255.0}\nuserdata: |\n  #!/bin/sh\n  exit\n",
    "without-an-id": "userdata: {packages: [nginx]}\nvendordata: '#!/bin/sh'\n",
    "pinned": f"match: {{vc-uuid: {UUID_TEXT.decode()}}}\nserve: {{until-reported: true}}\nvendordata: ü\n",
    "several-cards": "network: [{address: 192.0.2.10/24, gateway: 192.0.2.1}, {dhcp4: true, mtu: 9000}]\n",
    "parts": "userdata: [{packages: [nginx]}, '#!/bin/sh', {encoding: base64, content: IyEvYmluL3NoCg==}]\n",
}
VERSION_1 = {"metadata": METADATA, "networkdata": NETWORKDATA, "userdata": USERDATA}


async def _documents(vm: Peer) -> dict[str, bytes]:
    """Ask for all there is in both versions."""
    served = {}
    for name, request in VERSION_1.items():
        served[f"1 {name}"] = (await vm.ask(request)).payload
    for name in FILES:
        answer = await ask(vm, version2.request(name))
        if answer.status != "not-found":
            assert answer.status == "ok"
            served[f"2 {name}"] = answer.payload
    return served


@pytest.mark.parametrize("name", DEFINITIONS)
def test_what_is_shown_is_what_is_served(name: str, tmp_path: Path, command: Commands) -> None:
    instances, state = tmp_path / "instances", tmp_path / "state"
    instances.mkdir()
    (instances / "_defaults.yaml").write_text(f"metadata: {{region: eu-1, hostname: {name}}}\n")
    (instances / f"{name}.yaml").write_text(DEFINITIONS[name])
    options = {"directory": str(instances)}
    served: dict[str, bytes] = {}

    async def test() -> None:
        async with serving(FileDriver(options), state=StateDirectory(state)) as site:
            served.update(await _documents(await site.vm(name)))

    StateDirectory(state).make()
    run("asyncio", test())
    for key, content in served.items():
        packets, document = key.split()
        done = command(
            *(
                "show",
                name,
                "--document",
                FILES[document],
                "--packets",
                packets,
                "--vc-uuid",
                UUID_TEXT.decode(),
            ),
            *("--driver", "file", "--driver-opts", json.dumps(options), "--state-directory", str(state)),
        )
        if content or packets == "2":
            assert (done.exit_code, done.output) == (0, content.decode()), key
        else:
            assert done.exit_code == 1  # an empty answer of version 1 says that there is none
    assert {key for key in served if key.startswith("2 ")} >= {"2 metadata", "2 userdata"}
