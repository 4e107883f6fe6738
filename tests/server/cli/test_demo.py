import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import command


def seed_of(output: str) -> Path:
    found = re.search(r"The seed in (\S+), which", output)
    assert found
    return Path(found[1])


def test_the_demo_shows_the_way_of_a_definition_into_a_seed_and_ends_with_0() -> None:
    result = command.server("demo")
    assert (result.returncode, result.stderr) == (0, "")
    seed = seed_of(result.stdout)
    try:
        meta_data = json.loads((seed / "meta-data").read_text())
        user_data = (seed / "user-data").read_text()
        assert {path.name for path in seed.iterdir()} == {"meta-data", "network-config", "user-data"}
    finally:
        shutil.rmtree(seed.parent)
    assert meta_data["local-hostname"].startswith("web-01")
    assert re.search(r"RESPONSE_USERDATA \d+ bytes", result.stdout)
    assert meta_data["instance-id"] in result.stdout
    assert "How to go on" in result.stdout
    # Sizes, not payloads.
    assert user_data.splitlines()[-1].strip() not in result.stdout


def test_definitions_of_ones_own_can_be_shown(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = f"metadata: {{instance-id: i-{name}, hostname: {name}}}\nuserdata: '#!/bin/sh hunter2'\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    result = command.server("demo", str(tmp_path), "--vm", "two")
    assert (result.returncode, result.stderr) == (0, "")
    shutil.rmtree(seed_of(result.stdout).parent)
    assert '"instance-id": "i-two"' in result.stdout
    assert "hunter2" not in result.stdout


def test_a_directory_without_a_definition_is_one_sentence(tmp_path: Path) -> None:
    result = command.server("demo", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == f"vmw-cloudinit-metadata: there is no definition (*.yaml) in {tmp_path}\n"


@pytest.mark.parametrize(("name", "reason"), [("", "it is empty"), ("\udcff", "it is not UTF-8")])
def test_a_name_that_no_vm_has_is_wrong_usage(name: str, reason: str) -> None:
    result = command.server("demo", "--vm", name)
    assert result.returncode == 2
    assert f"Invalid value for '--vm': {reason}." in result.stderr


def test_a_vm_without_a_definition_is_one_sentence_at_once(tmp_path: Path) -> None:
    (tmp_path / "web-01.yaml").write_text("metadata: {instance-id: i-1, hostname: web-01}\n")
    result = command.server("demo", str(tmp_path), "--vm", "web-02")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"vmw-cloudinit-metadata: there is no definition (web-02.yaml) in {tmp_path}\n"


def test_the_faults_of_a_definition_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "web-01.yaml").write_text("metadata: {instance-id: i-1}\n")
    result = command.server("demo", str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert "web-01.yaml:1: metadata: hostname is missing" in result.stderr


def test_when_it_is_ended_nothing_is_left(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vmw_cloudinit_metadata", "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("definition")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
