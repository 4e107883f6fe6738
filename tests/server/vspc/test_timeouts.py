"""Many who wait equally long, and one timer of a loop whose time a test sets."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from vmw_cloudinit_metadata.vspc.timeouts import Timeouts


class Timer:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when, self.call = when, call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """An event loop that counts its timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Any:
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while due := [timer for timer in self.pending if timer.when <= end]:
            first = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, first.when)
            first.is_cancelled = True
            first.call()
        self.now = end

    @property
    def pending(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.is_cancelled]


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def expired() -> list[str]:
    return []


@pytest.fixture
def timeouts(loop: Loop, expired: list[str]) -> Timeouts[str]:
    return Timeouts(cast(asyncio.AbstractEventLoop, loop), 30.0, expired.append)


def test_who_waits_for_as_long_expires(timeouts: Timeouts[str], loop: Loop, expired: list[str]) -> None:
    timeouts.start("web-01")
    assert "web-01" in timeouts
    loop.advance(29.9)
    assert expired == []
    loop.advance(0.1)
    assert expired == ["web-01"]
    assert "web-01" not in timeouts
    loop.advance(100)
    assert expired == ["web-01"]


def test_each_has_its_own_time(timeouts: Timeouts[str], loop: Loop, expired: list[str]) -> None:
    for name in ("web-01", "web-02", "web-03"):
        timeouts.start(name)
        loop.advance(10)
    assert expired == ["web-01"]
    loop.advance(9.9)
    assert expired == ["web-01"]
    loop.advance(0.1)
    assert expired == ["web-01", "web-02"]
    timeouts.start("web-01")
    loop.advance(10)
    assert expired == ["web-01", "web-02", "web-03"]
    loop.advance(20)
    assert expired == ["web-01", "web-02", "web-03", "web-01"]


def test_who_was_stopped_does_not_expire(timeouts: Timeouts[str], loop: Loop, expired: list[str]) -> None:
    for name in ("web-01", "web-02"):
        timeouts.start(name)
    timeouts.stop("web-01")
    timeouts.stop("a stranger")
    loop.advance(30)
    assert expired == ["web-02"]


def test_a_thousand_that_come_and_go_take_one_timer(timeouts: Timeouts[int], loop: Loop) -> None:
    for number in range(1000):
        timeouts.start(number)
        loop.advance(0.001)
        timeouts.stop(number)
    assert len(loop.timers) == 1
    loop.advance(100)
    assert len(loop.timers) == 1  # nobody waits


def test_a_timer_of_one_that_was_stopped_is_of_use_to_the_next(
    timeouts: Timeouts[str], loop: Loop, expired: list[str]
) -> None:
    timeouts.start("web-01")
    timeouts.stop("web-01")
    loop.advance(20)
    timeouts.start("web-02")
    loop.advance(29)
    assert expired == []
    loop.advance(1)
    assert expired == ["web-02"]


def test_a_timer_that_comes_early_is_set_again(
    timeouts: Timeouts[str], loop: Loop, expired: list[str]
) -> None:
    timeouts.start("web-01")
    loop.advance(29.999)
    loop.pending[0].call()  # uvloop rounds to milliseconds
    assert expired == []
    loop.advance(0.001)
    assert expired == ["web-01"]


def test_what_expires_may_begin_and_end_waits(loop: Loop) -> None:
    expired = []

    def expire(name: str) -> None:
        expired.append(name)
        if name == "web-01":
            waits.stop("web-02")
            waits.start("web-01")

    waits = Timeouts(cast(asyncio.AbstractEventLoop, loop), 30.0, expire)
    for name in ("web-01", "web-02", "web-03"):
        waits.start(name)
    loop.advance(30)
    assert expired == ["web-01", "web-03"]
    loop.advance(30)
    assert expired == ["web-01", "web-03", "web-01"]


def test_one_that_raises_holds_up_no_other(loop: Loop) -> None:
    expired = []

    def expire(name: str) -> None:
        expired.append(name)
        if name == "web-01":
            raise ValueError(name)

    timeouts = Timeouts(cast(asyncio.AbstractEventLoop, loop), 30.0, expire)
    for name in ("web-01", "web-02"):
        timeouts.start(name)
    with pytest.raises(ValueError, match="web-01"):
        loop.advance(30)
    loop.advance(0)
    assert expired == ["web-01", "web-02"]


def test_after_the_end_nobody_expires(timeouts: Timeouts[str], loop: Loop, expired: list[str]) -> None:
    timeouts.close()
    timeouts.start("web-01")
    timeouts.close()
    assert "web-01" not in timeouts
    loop.advance(100)
    assert expired == []
