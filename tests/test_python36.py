"""The guest and the codec run on Python 3.6, the platform-python of RHEL 8 and SLES 15.

Everywhere their syntax is held; where a Python 3.6 is found the guest is run on it; and ``make test-all``
runs all their tests on it, with the packages of that time, pyserial's being EL 8's.
"""

import ast
import contextlib
import os
import subprocess
from pathlib import Path

import pytest
import serial

from tests.guest.conversation import PAYLOADS, USERDATA, response
from tests.guest.line import Guest, Pty
from tests.support.python36 import environment, find_python36

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path.relative_to(ROOT)
    for directory in ("guest", "tests/guest", "tests/wire")
    for path in (ROOT / directory).rglob("*.py")
)
# The last releases for Python 3.6.
PACKAGES = ["pytest==7.0.1", "hypothesis==6.31.6", "pyserial==3.1.1", "PyYAML==6.0.1"]


@pytest.fixture(scope="module")
def python36() -> str:
    if python := find_python36():
        return python
    pytest.skip("no Python 3.6 on PATH or in pyenv")


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_the_syntax_is_that_of_python_3_6(source: Path) -> None:
    ast.parse((ROOT / source).read_text(), filename=str(source), feature_version=(3, 6))


def test_a_fetch_works_on_a_real_python_3_6(python36: str, tmp_path: Path) -> None:
    # pyserial is pure Python: this environment's will do, alone, so that nothing else is imported.
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "serial").symlink_to(serial.__path__[0])
    seed = tmp_path / "seed"
    with contextlib.closing(Pty()) as line:
        arguments = ["--port", line.path, "--seed-dir", str(seed)]
        with contextlib.closing(Guest(line, *arguments, python=python36, path=str(packages))) as guest:
            guest.serve(lambda name: response(name, PAYLOADS[name]))
            ended = guest.end()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (seed / "user-data").read_bytes() == USERDATA


@pytest.mark.system
def test_all_tests_of_guest_and_codec_pass_on_python_3_6(python36: str) -> None:
    command = [str(environment(python36, PACKAGES)), "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    ran = subprocess.run(
        [*command, "tests/guest", "tests/wire"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "guest")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,  # a minute, and more on a machine that is busy
    )
    assert ran.returncode == 0, ran.stdout
