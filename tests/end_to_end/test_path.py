"""A definition becomes a seed: server, ESXi host, serial line and guest, each as its users run it."""

import asyncio
import json
import re
import stat
import uuid
from pathlib import Path

import vmw_cloudinit_metadata
from tests.support.loop import in_loop
from tests.support.machine import packets, tree
from tests.support.world import World, definition
from vmw_cloudinit_guest import nics, placeholders
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.definition import parse_definition

EXAMPLES = Path(vmw_cloudinit_metadata.__file__).parent / "examples"


@in_loop
async def test_each_example_becomes_a_seed(tmp_path: Path) -> None:
    examples = {path.stem: path.read_text() for path in EXAMPLES.glob("*.yaml")}
    assert examples
    async with World(tmp_path, examples) as world:
        for name, text in examples.items():
            documents = nocloud.render(parse_definition(text.encode(), name))
            fetched = await world.fetch(name)
            # A card without a MAC address is this machine's first, if it has one.
            network = placeholders.fill(documents.network_config or b"", nics.find(), {})
            assert fetched.exit_code == 0
            assert all(sentence in fetched.complaint for sentence in network.sentences)
            assert bool(fetched.complaint) == bool(network.sentences)
            assert json.loads(fetched.seed["meta-data"]) == {
                "public-keys": [],  # a list in any case: NoCloud looks for it
                **json.loads(documents.meta_data),
            }
            assert fetched.seed["user-data"] == documents.user_data
            assert fetched.seed.get("network-config", b"") == network.content


@in_loop
async def test_the_seed_is_as_cloud_init_wants_it_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01", instance_id="i-1")}) as world:
        fetched = await world.fetch("web-01")
        seed = (await world.machine("web-01")).seed
    assert "seed for i-1 written from " in fetched.said
    assert json.loads(fetched.seed["meta-data"]) == {
        "instance-id": "i-1",
        "local-hostname": "web-01",
        "hostname": "web-01",
        "public-keys": [],
    }
    subnet = json.loads(fetched.seed["network-config"])["config"][0]["subnets"][0]
    assert subnet == {
        "type": "static",
        "address": "192.0.2.10",
        "netmask": "255.255.255.0",
        "gateway": "192.0.2.1",
    }
    assert fetched.seed["user-data"] == b"#cloud-config\n# of web-01\n"
    assert stat.S_IMODE(seed.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in seed.iterdir()} == {0o600}


@in_loop
async def test_a_second_boot_finds_the_same_and_changes_nothing(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        await world.fetch("web-01")
        machine = await world.machine("web-01")
        before = tree(machine.seed)
        fetched = await machine.fetch()
        assert fetched.exit_code == 0
        assert "seed for i-web-01 unchanged" in fetched.said
        assert tree(machine.seed) == before
        # It was one question: the seed holds what the server lists.
        codes = [packet.code for packet in packets(machine.line.to_guest)]
    assert codes == [*("RESPONSE_METADATA", "RESPONSE_NETWORKDATA", "RESPONSE_USERDATA"), "RESPONSE_METADATA"]


@in_loop
async def test_vendor_data_comes_and_goes_with_the_definition(tmp_path: Path) -> None:
    vendor = "#cloud-config\n# of the vendor\n"
    async with World(tmp_path, {"web-01": {**definition("web-01"), "vendordata": vendor}}) as world:
        fetched = await world.fetch("web-01")
        assert fetched.seed["vendor-data"] == vendor.encode()
        await world.power_off("web-01")
        await world.redefine("web-01", definition("web-01"))
        fetched = await world.fetch("web-01")
    assert (fetched.exit_code, "vendor-data" in fetched.seed) == (0, False)


@in_loop
async def test_a_vm_that_is_not_the_one_that_is_meant_is_denied_and_told_so(tmp_path: Path) -> None:
    pinned = {**definition("web-01"), "match": {"vc-uuid": str(uuid.uuid4())}}
    async with World(tmp_path, {"web-01": pinned}) as world:
        fetched = await world.fetch("web-01")
    assert (fetched.exit_code, fetched.seed) == (8, {})
    assert "denies this VM its data: " in fetched.complaint


@in_loop
async def test_two_vms_get_each_their_own_seed(tmp_path: Path) -> None:
    names = [f"web-0{number}" for number in range(1, 5)]
    async with World(tmp_path, {name: definition(name) for name in names}) as world:
        all_fetched = await asyncio.gather(*map(world.fetch, names))
    for name, fetched in zip(names, all_fetched, strict=True):
        assert fetched.exit_code == 0
        assert json.loads(fetched.seed["meta-data"])["instance-id"] == f"i-{name}"
        assert fetched.seed["user-data"] == f"#cloud-config\n# of {name}\n".encode()


@in_loop
async def test_a_vm_without_a_definition_keeps_what_it_has(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        await world.fetch("web-01")
        machine = await world.machine("web-01")
        before = tree(machine.disk)
        await world.power_off("web-01")
        (world.definitions / "web-01.yaml").unlink()
        await world.server.reload()

        fetched = await world.fetch("web-01")
        assert fetched.exit_code == 7
        assert re.search("does not know this VM.*; the seed of i-web-01 stays", fetched.complaint)
        assert tree((await world.machine("web-01")).disk) == before
        assert [line for line in world.server.log if "has no definition for the VM 'web-01'" in line]


@in_loop
async def test_a_vm_that_was_never_known_gets_no_seed_at_all(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        fetched = await world.fetch("stranger")
        assert fetched.exit_code == 7
        assert list(tree((await world.machine("stranger")).disk)) == [str(tmp_path / "disks" / "stranger")]


@in_loop
async def test_a_changed_definition_is_served_at_the_next_boot(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01", instance_id="i-1")}) as world:
        await world.fetch("web-01")
        await world.power_off("web-01")
        await world.redefine("web-01", definition("web-01", instance_id="i-2", userdata="#!/bin/sh\n"))
        fetched = await world.fetch("web-01")
    assert json.loads(fetched.seed["meta-data"])["instance-id"] == "i-2"
    assert fetched.seed["user-data"] == b"#!/bin/sh\n"


@in_loop
async def test_what_is_no_longer_defined_is_gone_from_the_seed(tmp_path: Path) -> None:
    async with World(tmp_path, {"web-01": definition("web-01")}) as world:
        fetched = await world.fetch("web-01")
        assert "network-config" in fetched.seed
        await world.power_off("web-01")
        await world.redefine("web-01", {"metadata": definition("web-01")["metadata"]})
        fetched = await world.fetch("web-01")
    assert sorted(fetched.seed) == ["meta-data", "user-data"]
    assert fetched.seed["user-data"] == b"#cloud-config\n{}"


@in_loop
async def test_a_broken_definition_harms_no_other_vm_and_no_seed(tmp_path: Path) -> None:
    async with World(tmp_path, {name: definition(name) for name in ("web-01", "web-02")}) as world:
        await world.fetch("web-01")
        machine = await world.machine("web-01")
        before = tree(machine.disk)
        await world.power_off("web-01")
        broken_text = "metadata: {instance-id: i-9, hostname: web-01}\nnetwork: {address: 10.0.0.300}\n"
        await world.redefine("web-01", broken_text)

        broken, whole = await asyncio.gather(world.fetch("web-01"), world.fetch("web-02"))
        assert (broken.exit_code, whole.exit_code) == (4, 0)
        assert "the definition of this VM has faults; see the server's log" in broken.complaint
        assert tree((await world.machine("web-01")).disk) == before
        faults = [line for line in world.server.log if "network.address" in line]
        assert len(faults) == 1
        assert faults[0].endswith("web-01.yaml:2: network.address: '10.0.0.300' is not an IPv4 address")

        await world.power_off("web-01")
        await world.redefine("web-01", definition("web-01", instance_id="i-9"))
        mended = await world.fetch("web-01")
    assert json.loads(mended.seed["meta-data"])["instance-id"] == "i-9"


@in_loop
async def test_a_name_with_letters_of_the_world_finds_its_definition(tmp_path: Path) -> None:
    name = "büro 東京 №1"
    async with World(tmp_path, {name: definition("web-01")}) as world:
        fetched = await world.fetch(name)
    assert json.loads(fetched.seed["meta-data"])["local-hostname"] == "web-01"


@in_loop
async def test_no_document_and_no_key_reaches_the_log_of_the_server_or_the_words_of_the_guest(
    tmp_path: Path,
) -> None:
    secret = definition("web-01", userdata="#cloud-config\npassword: tr0ub4dor\n")
    secret["metadata"]["public-keys"] = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"]
    async with World(tmp_path, {"web-01": secret}) as world:
        fetched = await world.fetch("web-01")
    log = "\n".join(world.server.log)
    assert "RESPONSE_USERDATA" in log
    for text in (log, fetched.said, fetched.complaint):
        assert "tr0ub4dor" not in text
        assert "AAAAC3Nz" not in text
