import pytest

from tests.server.checking.installed import install
from vmw_cloudinit_metadata.checking.cloudinit import CloudInit, find_cloud_init


@pytest.fixture(scope="session")
def cloud_init(tmp_path_factory: pytest.TempPathFactory) -> CloudInit:
    """The one of installed.py."""
    found = find_cloud_init([install(tmp_path_factory.mktemp("installed"))])
    assert found is not None
    return found
