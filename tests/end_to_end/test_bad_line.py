"""A bad line, in memory: what comes is exact or nothing, and it comes in bounded time.

The time is that of the line, 100 KiB a second and the guest's waits; nobody waits for it here.
"""

import random
from collections.abc import Sequence

import pytest

from tests.support import long_tests
from tests.support.changing import Changing, ChangingInVersion1, instance
from tests.support.wired import CHATTER, Line, Noise, Upheaval
from vmw_cloudinit_guest import client
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.instance import InstanceData

MEBIBYTE = 1024 * 1024

# One byte in so many of the serial data, in either direction.
ONE_IN = 2000

# With these losses a MiB takes about 6 minutes of a line's time, 3,000 requests and 5 MB; more than this is a
# fault. Half of the time is waiting for answers to requests that were lost.
MOST_SECONDS = 600.0
MOST_REQUESTS = 4500
MOST_BYTES = 8 * MEBIBYTE

SEEDS = pytest.mark.parametrize("seed", range(200 if long_tests.WANTED else 8))

UPHEAVALS: Sequence[tuple[int, Upheaval]] = (
    (10, "vmotion"),
    (300_000, "cut"),
    (600_000, "vmotion"),
    (900_000, "abort"),
    (1_200_000, "source stays longer"),
    (1_500_000, "abort after peer"),
    (1_800_000, "cut"),
)


def fetch(line: Line, timeout: float = 120) -> client.Result:
    return client.fetch(line, timeout, line.clock, lambda text: None, {}, line.ids)


def check(result: client.Result, served: InstanceData) -> None:
    documents = nocloud.render(served)
    assert result.documents.user_data == documents.user_data
    assert result.documents.vendor_data == documents.vendor_data
    # Version 1 of the packets has no placeholders.
    new, old = documents.network_config, documents.network_config_version_1
    assert result.documents.network_config == (new if result.version == 2 else old)


@pytest.mark.parametrize("seed", range(20 if long_tests.WANTED else 2))
@pytest.mark.parametrize("kinds", [["lost"], ["altered"], ["doubled"], ["lost", "altered", "doubled"]])
def test_a_mebibyte_arrives_exact_in_bounded_time(kinds: list[str], seed: int) -> None:
    chance = random.Random(f"{kinds} {seed}")
    served = instance("i-1", chance.randbytes(MEBIBYTE))
    line = Line(Changing([served]), chance, noise=Noise(1 / ONE_IN, kinds, chatter=0.05), upheavals=UPHEAVALS)
    began = line.now
    result = fetch(line)
    assert result.version == 2
    check(result, served)
    assert line.now - began < MOST_SECONDS
    assert line.requests < MOST_REQUESTS
    assert line.bytes_down + line.bytes_up < MOST_BYTES


def test_on_a_good_line_a_mebibyte_costs_little_more_than_itself() -> None:
    served = instance("i-1", random.Random(1).randbytes(MEBIBYTE))
    line = Line(Changing([served]), random.Random(1))
    began = line.now
    result = fetch(line)
    check(result, served)
    assert result.retries == 0
    # Base64, and pieces of 4, 8 and then 16 KiB; METADATA, NETWORKDATA and VENDORDATA in one each.
    assert line.requests < 3 + 70
    assert line.bytes_down + line.bytes_up < MEBIBYTE * 4 / 3 * 1.02
    assert line.now - began < 15


@SEEDS
def test_whatever_happens_to_the_connection_and_between_packets_costs_no_byte(seed: int) -> None:
    chance = random.Random(seed)
    served = instance("i-1", chance.randbytes(100_000))
    kinds: list[Upheaval] = ["cut", "vmotion", "source stays longer", "abort", "abort after peer"]
    upheavals = sorted((chance.randrange(120_000), chance.choice(kinds)) for _ in range(10))
    line = Line(Changing([served]), chance, noise=Noise(chatter=0.2), upheavals=upheavals)
    check(fetch(line), served)
    assert not [each for each in line.violations if "vMotion" not in each]


@SEEDS
def test_a_server_of_version_1_loses_no_byte_by_vmotions_cuts_and_talk_between_packets(seed: int) -> None:
    chance = random.Random(seed)
    served = instance("i-1", chance.randbytes(100_000), vendordata=None)
    upheavals: list[tuple[int, Upheaval]] = [
        (chance.randrange(1000), "vmotion"),
        (50_000, "cut"),
        (90_000, "abort"),
    ]
    # The last one of these is an answer of version 1 for whoever ends its line.
    noise = Noise(chatter=0.05, said=CHATTER[:-1])
    line = Line(ChangingInVersion1([served]), chance, noise=noise, upheavals=upheavals)
    result = fetch(line)
    assert result.version == 1
    check(result, served)


# One snapshot


@SEEDS
def test_a_definition_that_changes_all_the_time_gives_documents_of_one_snapshot(seed: int) -> None:
    chance = random.Random(seed)
    snapshots = [instance(f"i-{number}", chance.randbytes(30_000)) for number in range(100)]
    # Each cut costs a run: with the connection the server loses the snapshot.
    upheavals: list[tuple[int, Upheaval]] = [(10_000, "cut"), (20_000, "vmotion"), (60_000, "cut")]
    noise = Noise(1 / ONE_IN, chatter=0.05)
    line = Line(Changing(snapshots), chance, noise=noise, upheavals=upheavals)
    result = fetch(line)
    (served,) = [
        each
        for each in snapshots
        if each.metadata and each.metadata.instance_id == result.documents.instance_id
    ]
    check(result, served)


@SEEDS
def test_with_a_server_of_version_1_too_however_long_the_line_takes(seed: int) -> None:
    chance = random.Random(seed)
    snapshots = [instance(f"i-{number}", chance.randbytes(300_000), vendordata=None) for number in range(100)]
    line = Line(
        ChangingInVersion1(snapshots),
        chance,
        upheavals=[(chance.randrange(100_000), "vmotion"), (chance.randrange(200_000), "cut")],
    )
    result = fetch(line)
    (served,) = [
        each
        for each in snapshots
        if each.metadata and each.metadata.instance_id == result.documents.instance_id
    ]
    check(result, served)
