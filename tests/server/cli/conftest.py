import importlib
from pathlib import Path

import pytest

from tests.server.checking.installed import install
from tests.server.cli.commands import Commands
from tests.server.cli.validated import Validated
from vmw_cloudinit_metadata.checking.cloudinit import find_cloud_init


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(capsys, monkeypatch)


@pytest.fixture
def validated(tmp_path: Path, command: Commands, monkeypatch: pytest.MonkeyPatch) -> Validated:
    installed = install(tmp_path / "installed")
    module = importlib.import_module("vmw_cloudinit_metadata.cli.validate")
    monkeypatch.setattr(module, "find_cloud_init", lambda: find_cloud_init([installed]))
    return Validated(tmp_path / "instances", command)
