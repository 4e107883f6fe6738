import os
import stat
from pathlib import Path

import pytest

from vmw_cloudinit_guest import handover
from vmw_cloudinit_guest.handover import Handover


def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "vmw-cloudinit-guest" / "fetch.json"


def test_the_second_unit_reads_what_fetch_has_left(tmp_path: Path) -> None:
    for left in (Handover("/dev/ttyS1", 2), Handover("/dev/ttyS2", 1)):
        handover.write(left, str(tmp_path))
        assert handover.read(str(tmp_path)) == left
    assert os.listdir(str(path(tmp_path).parent)) == ["fetch.json"]


def test_it_is_for_root_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        handover.write(Handover("/dev/ttyS1", 2), str(tmp_path))
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(path(tmp_path).parent.stat().st_mode) == 0o700


def test_a_fetch_that_is_forgotten_has_left_nothing(tmp_path: Path) -> None:
    handover.clear(str(tmp_path))
    handover.write(Handover("/dev/ttyS1", 2), str(tmp_path))
    handover.clear(str(tmp_path))
    assert handover.read(str(tmp_path)) is None


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"port": 1, "version": 2}', '{"port": "ttyS1", "version": "2"}']
)
def test_what_cannot_be_used_is_nothing(tmp_path: Path, content: str) -> None:
    path(tmp_path).parent.mkdir(parents=True)
    path(tmp_path).write_text(content)
    assert handover.read(str(tmp_path)) is None
