"""A real Python 3.6, and environments for it with packages of its time."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"


def find_python36() -> str | None:
    """Return a Python 3.6 that works: the one on PATH may be a shim of pyenv's that leads nowhere."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [shutil.which("python3.6"), *map(str, sorted(pyenv.glob("versions/3.6*/bin/python")))]
    for candidate in filter(None, candidates):
        command = [candidate, "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 6))"]
        if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
            return candidate
    return None


def environment(python36: str, packages: Sequence[str]) -> Path:
    """Return the Python of a virtual environment; it is kept, under a name that says what is in it."""
    kept = CACHE / "-".join(["python3.6", *packages])
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        # Built aside and renamed: what is interrupted is not taken for whole the next time.
        with tempfile.TemporaryDirectory(dir=kept.parent) as aside:
            subprocess.run([python36, "-m", "venv", f"{aside}/venv"], check=True, timeout=120)
            install = [f"{aside}/venv/bin/python", "-m", "pip", "install", "--quiet"]
            # The pip that comes with Python 3.6 picks releases that are for later Pythons.
            subprocess.run([*install, "pip==21.3.1"], check=True, timeout=120)
            subprocess.run([*install, *packages], check=True, timeout=300)
            os.rename(f"{aside}/venv", kept)
    return kept / "bin" / "python"
