"""The guest's part of the bench: what is measured is a fetch, as the package runs it."""

import os
from pathlib import Path

import pytest

from tests.bench import guest


def test_a_fetch_is_measured_and_one_with_nothing_new(tmp_path: Path) -> None:
    if not os.access(guest.PYTHON, os.X_OK):
        pytest.skip(f"there is no {guest.PYTHON}")
    wrapper, seed = guest.install(tmp_path), tmp_path / "seed" / "nocloud"
    first, unchanged = guest.fetch(wrapper, seed), guest.fetch(wrapper, seed)
    assert (first.questions, unchanged.questions) == (4, 1)
    assert first.cpu > 0 < unchanged.cpu
    assert (seed / "user-data").read_bytes() == guest.USERDATA
    # Compiled beforehand, as at the package's installation: nothing is added while it runs.
    assert len(list((tmp_path / "share").rglob("*.pyc"))) == len(list((tmp_path / "share").rglob("*.py")))
