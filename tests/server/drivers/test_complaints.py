import logging
import tracemalloc

import pytest

from vmw_cloudinit_metadata.drivers import complaints
from vmw_cloudinit_metadata.drivers.complaints import Complaints


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Complaints:
    return Complaints(logging.getLogger("complaints"))


def test_the_same_is_logged_once(told: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("a", "a", "b", "b", "a"):
        told.tell("web-01", text)
    told.tell("web-02", "a")
    assert caplog.messages == ["a", "b", "a", "a"]


def test_after_a_vm_was_served_it_is_logged_again(told: Complaints, caplog: pytest.LogCaptureFixture) -> None:
    told.tell("web-01", "a")
    told.settle("web-01")
    told.settle("web-02")
    told.tell("web-01", "a")
    told.forget()
    told.tell("web-01", "a")
    assert caplog.messages == ["a"] * 3


def test_names_that_are_made_up_push_out_what_was_said_longest_ago(
    told: Complaints, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(complaints, "MAX_COMPLAINTS", 10)
    for number in range(50):
        told.tell(f"vm-{number}", "a")
    caplog.clear()
    told.tell("vm-49", "a")
    told.tell("vm-0", "a")
    assert caplog.messages == ["a"]
    assert len(told._logged) == 10


def test_long_names_and_texts_take_no_more_memory_than_short_ones() -> None:
    logger = logging.getLogger("complaints.lost")
    logger.disabled = True  # pytest would keep what is logged
    told = Complaints(logger)
    tracemalloc.start()
    try:
        for number in range(1000):
            told.tell(f"{number}" + "x" * 4000, f"{number}" + "y" * 20_000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
