"""Hosts of one proxy: ``here`` a VM lives first, ``there`` it may go."""

from collections.abc import Callable

import pytest

from tests.support.vspc import Clock, Host, vmotion_table
from vmw_cloudinit_metadata.vspc.vmotion import VMotionTable


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
