"""Serving windows: what is decided, by a pure function."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vmw_cloudinit_metadata.instance import ServingWindow
from vmw_cloudinit_metadata.state.windows import (
    HAS_REPORTED,
    NO_RUNS_LEFT,
    RUN_TIME,
    TIME_IS_OVER,
    Window,
    decide,
)

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FRESH = Window("i-1")


def served(serve: ServingWindow, *runs: tuple[str, datetime], window: Window = FRESH) -> list[str | None]:
    """What becomes of runs that ask one after the other."""
    sentences = []
    for run, now in runs:
        window, sentence = decide(window, serve, run, now)
        sentences.append(sentence)
    return sentences


def test_so_many_runs_are_served_and_no_more() -> None:
    runs = [(run, NOON) for run in ("a", "b", "c", "d")]
    assert served(ServingWindow(runs=2), *runs) == [None, None, NO_RUNS_LEFT, NO_RUNS_LEFT]


def test_a_run_that_asks_again_is_counted_once() -> None:
    runs = [("a", NOON), ("a", NOON + MINUTE), ("a", NOON + RUN_TIME), ("b", NOON + RUN_TIME)]
    assert served(ServingWindow(runs=1), *runs) == [None, None, None, NO_RUNS_LEFT]


def test_a_run_that_never_ends_is_another_one_after_a_while() -> None:
    runs = [("a", NOON), ("a", NOON + RUN_TIME + MINUTE), ("a", NOON + RUN_TIME + 2 * MINUTE)]
    assert served(ServingWindow(runs=2), *runs) == [None, None, None]
    assert served(ServingWindow(runs=1), *runs) == [None, NO_RUNS_LEFT, NO_RUNS_LEFT]


def test_a_clock_that_was_set_back_does_not_make_a_run_longer() -> None:
    assert served(ServingWindow(runs=1), ("a", NOON), ("a", NOON - MINUTE)) == [None, NO_RUNS_LEFT]


def test_without_a_run_id_each_snapshot_counts() -> None:
    assert served(ServingWindow(runs=2), *[("", NOON)] * 3) == [None, None, NO_RUNS_LEFT]


def test_it_is_served_until_a_time() -> None:
    serve = ServingWindow(until=NOON)
    assert served(serve, ("a", NOON - MINUTE), ("b", NOON)) == [None, TIME_IS_OVER]


def test_the_time_may_be_of_any_zone() -> None:
    zone = datetime.fromisoformat("2026-12-01T14:00:00+02:00")
    assert served(ServingWindow(until=zone), ("a", NOON - MINUTE), ("b", NOON)) == [None, TIME_IS_OVER]


def test_a_run_that_was_counted_in_time_goes_on_when_the_time_is_over() -> None:
    serve = ServingWindow(until=NOON)
    assert served(serve, ("a", NOON - MINUTE), ("a", NOON + MINUTE), ("b", NOON + MINUTE)) == [
        None,
        None,
        TIME_IS_OVER,
    ]


def test_it_is_served_until_the_guest_has_reported() -> None:
    reported = Window("i-1", reported=True)
    serve = ServingWindow(until_reported=True)
    assert served(serve, *[(run, NOON) for run in "abc"]) == [None] * 3
    assert served(serve, ("d", NOON), window=reported) == [HAS_REPORTED]


def test_a_report_ends_the_run_that_was_counted_too() -> None:
    window = Window("i-1", runs=1, run="a", counted=NOON, reported=True)
    assert served(ServingWindow(until_reported=True), ("a", NOON), window=window) == [HAS_REPORTED]


def test_a_report_is_nothing_to_a_window_that_does_not_ask_for_one() -> None:
    assert served(ServingWindow(runs=1), ("a", NOON), window=Window("i-1", reported=True)) == [None]


def test_the_first_limit_that_is_reached_closes_it() -> None:
    serve = ServingWindow(runs=2, until=NOON, until_reported=True)
    assert served(serve, ("a", NOON - MINUTE), ("b", NOON)) == [None, TIME_IS_OVER]
    assert served(serve, *[(run, NOON - MINUTE) for run in "abc"]) == [None, None, NO_RUNS_LEFT]


def test_re_armed_after_its_time_a_window_is_good_for_one_run() -> None:
    serve = ServingWindow(runs=3, until=NOON)
    armed = Window("i-1", rearmed=NOON + MINUTE)
    runs = [("a", NOON + 2 * MINUTE), ("a", NOON + 3 * MINUTE), ("b", NOON + 3 * MINUTE)]
    assert served(serve, *runs, window=armed) == [None, None, NO_RUNS_LEFT]


def test_re_armed_before_its_time_a_window_ends_with_it() -> None:
    armed = Window("i-1", rearmed=NOON - 2 * MINUTE)
    serve = ServingWindow(until=NOON)
    assert served(serve, ("a", NOON - MINUTE), ("b", NOON), window=armed) == [None, TIME_IS_OVER]


@given(
    st.builds(ServingWindow, st.integers(1, 3) | st.none(), st.just(NOON) | st.none(), st.booleans()),
    st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(-30, 30))),
)
def test_never_are_more_runs_counted_than_there_may_be(
    serve: ServingWindow, requests: list[tuple[str, int]]
) -> None:
    window = FRESH
    for run, minutes in requests:
        before = window
        window, sentence = decide(before, serve, run, NOON + minutes * MINUTE)
        assert window.runs <= (serve.runs or len(requests))
        assert sentence is None or window == before


def test_the_sentences_say_nothing_of_the_definition() -> None:
    for sentence in (NO_RUNS_LEFT, TIME_IS_OVER, HAS_REPORTED):
        assert sentence.isascii()
        assert not any(character.isdigit() for character in sentence)
