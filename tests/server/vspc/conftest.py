"""For the core: hosts of one proxy, a VM lives ``here`` and may go ``there``. For the shell: ``run``."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.support import peer
from tests.support.vspc import Clock, Host, vmotion_table
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.vspc.vmotion import VMotionTable


@pytest.fixture(params=list(peer.LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test's coroutine, once on each event loop there is."""
    return lambda test: peer.run(request.param, test)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vmotions(clock: Clock) -> VMotionTable:
    return vmotion_table(clock)


@pytest.fixture
def connect(clock: Clock, vmotions: VMotionTable) -> Callable[[], Host]:
    """Return what makes another connection to the same proxy."""
    return lambda: Host(vmotions, clock)


@pytest.fixture
def here(connect: Callable[[], Host]) -> Host:
    return connect().connects("web-01")


@pytest.fixture
def there(connect: Callable[[], Host]) -> Host:
    return connect()


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)
