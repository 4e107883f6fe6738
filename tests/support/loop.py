"""Run an async test in a loop of its own."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

# A test that waits for something that never comes fails, instead of standing still.
TEST_SECONDS = 30.0

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]], seconds: float = TEST_SECONDS) -> Callable[P, None]:
    """Return a test that pytest can call, and that takes no longer than this."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def limited() -> None:
            async with asyncio.timeout(seconds):
                await test(*args, **kwargs)

        asyncio.run(limited())

    return run
