"""How files are read; links, and what is put in their way: test_loading.py and test_file_races.py."""

import os
from pathlib import Path

import pytest

from tests.server.drivers.counted import Counted
from vmw_cloudinit_metadata.definition import MAX_DEFINITION
from vmw_cloudinit_metadata.drivers.reading import read_whole


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/web-01.yaml").write_text("hello")
    return tmp_path / "a/b/web-01.yaml"


def test_a_file_is_opened_step_by_step_and_where_it_ends_is_not_looked_for(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    assert read_whole(str(tmp_path), str(path))[1] == b"hello"
    assert counted.take() == {"open": 4, "stat": 1}


@pytest.mark.parametrize(
    "way", ["link/web-01.yaml", "a/link.yaml", "a/../link/web-01.yaml", "a/b/./web-01.yaml"]
)
def test_links_and_ways_around_lead_to_the_same_file(tmp_path: Path, path: Path, way: str) -> None:
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "a/link.yaml").symlink_to("b/web-01.yaml")
    assert read_whole(str(tmp_path), f"{tmp_path}/{way}") == read_whole(str(tmp_path), str(path))


@pytest.mark.parametrize("way", ["a/b/c/web-01.yaml", "a/b/web-01.yaml/x", "a//b/x", "nowhere"])
def test_what_is_not_there_is_not_there_by_any_way(tmp_path: Path, path: Path, way: str) -> None:
    (tmp_path / "a/b/c").symlink_to("nowhere")
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        read_whole(str(tmp_path), f"{tmp_path}/{way}")


def test_a_file_that_comes_in_pieces_is_read_whole(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: really_read(descriptor, min(size, 2)))
    assert read_whole(str(tmp_path), str(path))[1] == b"hello"


def test_of_a_long_file_one_byte_more_than_the_largest_definition_is_read(tmp_path: Path, path: Path) -> None:
    for size in (MAX_DEFINITION, MAX_DEFINITION + 1, MAX_DEFINITION + 10_000):
        path.write_bytes(bytes(size))
        assert len(read_whole(str(tmp_path), str(path))[1]) == min(size, MAX_DEFINITION + 1)


def test_no_descriptor_is_left_open(tmp_path: Path, path: Path) -> None:
    (tmp_path / "a/circle.yaml").symlink_to("circle.yaml")
    before = len(os.listdir("/proc/self/fd"))
    read_whole(str(tmp_path), str(path))
    for way in ("a/circle.yaml", "a/none.yaml", "a/b/web-01.yaml/x"):
        with pytest.raises(OSError, match=r"^\[Errno"):
            read_whole(str(tmp_path), f"{tmp_path}/{way}")
    assert len(os.listdir("/proc/self/fd")) == before
