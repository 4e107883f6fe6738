"""Each form of a definition as a seed (tests/seeds), and what two releases of cloud-init make of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.support import ROOT, output_of
from tests.support import cloudinit_sandbox, rendered, seeds
from tests.support.seeds import Case

CASES = [pytest.param(case, id=case.name) for case in seeds.cases()]
CONFIGS = [pytest.param(case, id=case.name) for case in seeds.cases() if "cloud-config" in case.meant]
NETWORKS = [pytest.param(case, id=case.name) for case in seeds.cases() if "network" in case.meant]

# Debian's cloud-init is for this one.
SYSTEM_PYTHON = "/usr/bin/python3"
READ_NOCLOUD = Path(cloudinit_sandbox.__file__).with_name("read_nocloud.py")

RENDERERS = ("eni", "netplan", "networkd", "network-manager", "sysconfig")

KEYS = {
    *("instance-id", "hostname", "public-keys", "metadata"),
    *("user-data", "cloud-config", "vendor-data", "network", "but", "complaints"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_definition_becomes_this_seed(case: Case, tmp_path: Path) -> None:
    assert case.render(tmp_path / "definitions") == case.seed


@pytest.mark.parametrize("case", CASES)
def test_of_a_case_all_is_said_that_is_meant(case: Case) -> None:
    assert {"instance-id", "hostname", "user-data"} <= set(case.meant) <= KEYS
    assert ("vendor-data" in case.meant) == ("vendor-data" in case.seed)
    assert ("network" in case.meant) == ("network-config" in case.seed)


# What cloud-init makes of the seeds: each release reads all of them in one process.


@pytest.fixture(scope="module", params=["12", "13"])
def release(request: pytest.FixtureRequest) -> str:
    """Return a release of Debian."""
    return str(request.param)


@pytest.fixture(scope="module")
def understood(release: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the cloud-init of a release has understood of each case, by its name."""
    environment = {"DEBUG_PROC_CMDLINE": "root=/dev/sda1 ro"}
    if release == "13":
        environment["PYTHONPATH"] = output_of(ROOT / "packaging/cloud-init", "trixie").strip()
    directory = tmp_path_factory.mktemp(f"debian-{release}")
    for case in seeds.cases():
        case.write_seed(directory / case.name / "seed" / "nocloud")
    seeded = (directory / case.name for case in seeds.cases())
    found = json.loads(output_of(SYSTEM_PYTHON, "-B", READ_NOCLOUD, *seeded, **environment))
    return {
        "version": found["version"],
        **{case.name: found[str(directory / case.name)] for case in seeds.cases()},
    }


@pytest.mark.system
def test_it_is_the_cloud_init_of_that_release(release: str, understood: dict[str, Any]) -> None:
    assert understood["version"].startswith({"12": "22.", "13": "25."}[release])


@pytest.mark.system
@pytest.mark.parametrize("case", CASES)
def test_cloud_init_takes_it_without_a_complaint(
    case: Case, release: str, understood: dict[str, Any]
) -> None:
    assert understood[case.name]["taken"] is True
    known = tuple(case.meant.get("complaints", {}).get(release, []))
    found = understood[case.name]["warnings"]
    assert [text for text in found if not text.startswith(known)] == []
    assert len(found) == len(known)


@pytest.mark.system
@pytest.mark.parametrize("case", CASES)
def test_cloud_init_knows_who_it_is(case: Case, understood: dict[str, Any]) -> None:
    found, meant = understood[case.name], case.meant
    assert found["instance_id"] == meant["instance-id"]
    assert found["hostname"] == meant["hostname"]
    assert found["public_keys"] == meant.get("public-keys", [])
    metadata = meant.get("metadata", {})
    assert found["metadata"] | metadata == found["metadata"]


@pytest.mark.system
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("document", ["user-data", "vendor-data"])
def test_cloud_init_finds_the_parts(case: Case, document: str, understood: dict[str, Any]) -> None:
    found = understood[case.name][document.replace("-", "_") + "_parts"]
    meant = [
        {"filename": f"part-{number:03}", **part}
        for number, part in enumerate(case.meant.get(document, []), start=1)
    ]
    assert found == meant


@pytest.mark.system
@pytest.mark.parametrize("case", CONFIGS)
def test_cloud_init_puts_the_parts_together(case: Case, understood: dict[str, Any]) -> None:
    assert seeds.as_text(yaml.safe_dump(understood[case.name]["cloud_config"])) == case.meant["cloud-config"]


@pytest.mark.system
@pytest.mark.parametrize("case", NETWORKS)
@pytest.mark.parametrize("renderer", RENDERERS)
def test_cloud_init_writes_the_network(
    case: Case, renderer: str, release: str, understood: dict[str, Any]
) -> None:
    written = understood[case.name]["rendered"][renderer]
    assert rendered.interfaces(renderer, written) == case.interfaces(release, renderer)


@pytest.mark.system
@pytest.mark.parametrize("case", NETWORKS)
def test_cloud_init_calls_the_cards_as_it_is_told(case: Case, understood: dict[str, Any]) -> None:
    cards = case.meant["network"].items()
    assert understood[case.name]["renamed"] == {keys["mac"]: name for name, keys in cards if "mac" in keys}
