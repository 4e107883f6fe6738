"""Whole dialogues, both halves in memory, with anything that may befall them: all is exact, or a sentence.

A fetch ends with the documents of one snapshot, or with an error that says why; nothing else ever comes out
of either half, whatever the line, the connections and the driver do.
"""

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import long_tests
from tests.support.changing import Answer, Changing, ChangingInVersion1, instance
from tests.support.wired import CHATTER, Line, Noise, Upheaval
from vmw_cloudinit_guest import client
from vmw_cloudinit_guest.documents import Held
from vmw_cloudinit_guest.errors import GuestError
from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.errors import DefinitionError, DriverBusyError
from vmw_cloudinit_metadata.instance import InstanceData

# A guest gives up after this long without an answer, and after half a minute without progress.
TIMEOUT = 60

SIZES = st.sampled_from([0, 1, 255, 256, 257, 4095, 4096, 4097, 20_000, 70_000])
UPHEAVALS = st.lists(
    st.tuples(
        st.integers(0, 30_000),
        st.sampled_from(["cut", "vmotion", "source stays longer", "abort", "abort after peer"]),
    ),
    max_size=6,
).map(sorted)
NOISE = st.builds(
    Noise, st.sampled_from([0.0, 1 / 2000, 1 / 200, 1 / 20]), chatter=st.sampled_from([0.0, 0.1, 0.5])
)
FAULTS: st.SearchStrategy[Answer] = st.sampled_from(
    [
        None,
        "no instance at all",
        InstanceData({"metadata": {}}),
        DefinitionError("web-01.yaml:1: metadata: hostname is missing"),
        DriverBusyError("the driver has not answered in 3 s", 2),
        RuntimeError("the database says hunter2"),
    ]
)

often = settings(
    max_examples=5000 if long_tests.WANTED else 100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def instances(sizes: list[int], **options: Any) -> list[InstanceData]:
    chance = random.Random(str(sizes))
    return [instance(f"i-{number}", chance.randbytes(size), **options) for number, size in enumerate(sizes)]


def fetch(line: Line, held: dict[str, Held] | None = None) -> client.Result | None:
    """Fetch; return None where the guest has said why it could not."""
    try:
        return client.fetch(line, TIMEOUT, line.clock, lambda text: None, held or {}, line.ids)
    except GuestError as error:
        reason = str(error)
    assert reason
    assert "hunter2" not in reason
    return None


def belongs_to_one_of(snapshots: list[InstanceData], result: client.Result) -> bool:
    documents = result.documents
    return documents.user_data in [
        rendered.user_data
        for each, rendered in ((each, nocloud.render(each)) for each in snapshots)
        if each.metadata
        and each.metadata.instance_id == documents.instance_id
        and documents.network_config == network_config(rendered, result.version)
        and documents.vendor_data == rendered.vendor_data
    ]


def network_config(rendered: nocloud.Documents, version: int) -> bytes | None:
    # Version 1 of the packets has no placeholders.
    return rendered.network_config if version == 2 else rendered.network_config_version_1


@often
@given(
    st.integers(0, 2**32),
    st.lists(SIZES, min_size=1, max_size=4),
    NOISE,
    UPHEAVALS,
    st.lists(FAULTS, max_size=3),
)
def test_what_arrives_is_one_snapshot_exactly_whatever_happens(
    seed: int,
    sizes: list[int],
    noise: Noise,
    upheavals: list[tuple[int, Upheaval]],
    faults: list[Answer],
) -> None:
    snapshots = instances(sizes)
    answers = [*faults, *snapshots]
    random.Random(seed).shuffle(answers)
    line = Line(Changing(answers), random.Random(seed), noise=noise, upheavals=upheavals)
    result = fetch(line)
    if result is not None:
        assert belongs_to_one_of(snapshots, result)


@often
@given(st.integers(0, 2**32), SIZES, UPHEAVALS, st.sampled_from([1, 2]))
def test_on_a_line_that_loses_connections_but_no_bytes_it_always_arrives(
    seed: int, size: int, upheavals: list[tuple[int, Upheaval]], version: int
) -> None:
    driver = Changing if version == 2 else ChangingInVersion1
    (served,) = instances([size], vendordata=None)
    noise = Noise(chatter=0.1, said=CHATTER[:-1])
    line = Line(driver([served]), random.Random(seed), noise=noise, upheavals=upheavals)
    result = fetch(line)
    assert result is not None
    assert result.version == version
    assert belongs_to_one_of([served], result)


@often
@given(st.integers(0, 2**32), st.lists(SIZES, min_size=1, max_size=3), NOISE, UPHEAVALS)
def test_a_server_of_version_1_ends_neither_half_by_anything_but_a_sentence(
    seed: int, sizes: list[int], noise: Noise, upheavals: list[tuple[int, Upheaval]]
) -> None:
    snapshots = instances(sizes, vendordata=None)
    line = Line(ChangingInVersion1(snapshots), random.Random(seed), noise=noise, upheavals=upheavals)
    result = fetch(line)
    if result is not None and not noise.rate and not noise.chatter:
        assert belongs_to_one_of(snapshots, result)


@often
@given(st.integers(0, 2**32), SIZES, NOISE, UPHEAVALS, st.data())
def test_what_a_guest_has_already_and_what_it_gets_make_one_snapshot(
    seed: int, size: int, noise: Noise, upheavals: list[tuple[int, Upheaval]], data: st.DataObject
) -> None:
    """A reboot: of the old and of the new instance any documents are there, and some are the same in both."""
    old, new = instances([size, size])
    new.userdata = data.draw(st.sampled_from([old.userdata, new.userdata]))
    held = {}
    before = fetch(Line(Changing([old]), random.Random(seed)))
    assert before is not None
    for name, content in before.documents.files().items():
        if content is not None and name in before.etags and data.draw(st.booleans()):
            held[name] = Held(before.etags[name], content)
    served = data.draw(st.sampled_from([old, new]))
    line = Line(Changing([served]), random.Random(seed), noise=noise, upheavals=upheavals)
    result = fetch(line, held)
    if result is not None:
        assert belongs_to_one_of([served], result)
