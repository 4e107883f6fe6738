"""A process that dies at one call of the operating system after the other."""

import functools
import os
from typing import Any, Callable, Iterator, Sequence

from vmw_cloudinit_guest import seed

KILLED = 99


class Deathbed:
    """An os module that ends the process at its nth call, before or after the call took effect."""

    def __init__(self, calls: int, takes_effect: bool) -> None:
        self.left = calls
        self.takes_effect = takes_effect

    def __getattr__(self, name: str) -> Any:
        # A kill does not lose what the kernel has; fsync is a step to die at and otherwise only slow.
        attribute = getattr(os, name if name != "fsync" else "fstat")
        return functools.partial(self._call, attribute) if callable(attribute) else attribute

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.takes_effect:
            os._exit(KILLED)
        try:
            return function(*args, **kwargs)
        finally:
            if self.left == 0:
                os._exit(KILLED)


def killed_at(step: int, takes_effect: bool, act: Callable[[], Any], modules: Sequence[Any]) -> bool:
    """Act in a child that dies at this step; return whether it came to that."""
    child = os.fork()
    if child == 0:
        deathbed = Deathbed(step, takes_effect)
        for module in modules:
            module.os = deathbed
        try:
            act()
        finally:
            os._exit(0)
    return os.WEXITSTATUS(os.waitpid(child, 0)[1]) == KILLED


def deaths(act: Callable[[], Any], modules: Sequence[Any] = (seed,)) -> Iterator[None]:
    """
    Act again and again, killed one step later each time, until a run survives.

    Steps are the calls of the operating system that these modules make.

    The test looks at the directory and puts it back into its first state after each run.
    """
    for takes_effect in (False, True):
        step = 1
        while killed_at(step, takes_effect, act, modules):
            yield
            step += 1
        yield
        assert step > 10
