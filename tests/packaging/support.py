"""What the tests of the packages share."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUEST = "vmw-cloudinit-guest"
SERVER = "vmw-cloudinit-metadata"

Packages = dict[str, Path]  # a package's name -> its file


def output_of(*command: str | Path, **environment: str) -> str:
    """Run a command that ends well; return what it printed on standard output."""
    ended = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def packages_in(directory: Path, suffix: str) -> Packages:
    """Return the packages in a directory, both of them and no other."""
    packages = {re.split(r"[-_]\d", path.name)[0]: path for path in directory.glob(f"*.{suffix}")}
    assert sorted(packages) == [GUEST, SERVER]
    return packages
