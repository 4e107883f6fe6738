"""The guest runs early at boot, where every import costs time: what it imports is a list."""

import subprocess
import sys
from pathlib import Path

GUEST = Path(__file__).parent.parent / "guest"

# Beyond what python itself has loaded. Its versions differ in private helpers (_struct, _json …), which are
# left out; whoever adds a line here says in the commit what it costs (python -X importtime).
BUDGET = {
    *["vmw_cloudinit_guest", "vmw_cloudinit_wire"],
    # The program's own: arguments, packets, tty, seed.
    *[
        "base64",
        "binascii",
        "contextlib",
        "enum",
        "errno",
        "fcntl",
        "importlib",
        "json",
        "math",
        "re",
        "select",
        "zlib",
    ],
    *["serial", "signal", "termios", "typing"],
    # What these import.
    *[
        "array",
        "collections",
        "copyreg",
        "functools",
        "itertools",
        "keyword",
        "operator",
        "reprlib",
        "struct",
        "types",
    ],
    "warnings",
}

# Dear ones that were once in the way of a boot: argparse and what it brings (usage.py alone needs it),
# and OpenSSL (documents.py does without).
DEAR = {"argparse", "gettext", "locale", "hashlib", "_hashlib"}

SHOW = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv.pop(1))
from vmw_cloudinit_guest import cli
# The way of a boot, as far as it goes without a port.
cli.main(["fetch", "--port", "/dev/null", "--seed-dir", "/nowhere/seed"])
print(*set(sys.modules) - before)
"""


def test_the_guest_imports_no_more_than_its_budget() -> None:
    # -S would hide pyserial; -I keeps the user's own packages and PYTHON* variables out, as the packages do.
    command = [sys.executable, "-I", "-B", "-c", SHOW, str(GUEST)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "null is not a serial port" in shown.stderr
    modules = set(shown.stdout.split())
    imported = {name.split(".")[0] for name in modules if not name.startswith("_")}
    assert imported - BUDGET == set()
    assert modules & DEAR == set()
    assert imported >= {"vmw_cloudinit_guest", "serial", "json"}
    # Of the program's own, what other commands need stays out.
    own = {path.stem for path in (GUEST / "vmw_cloudinit_guest").glob("[a-z]*.py")}
    left_out = own - {name.rpartition(".")[2] for name in modules}
    assert left_out == {"activation", "after_boot", "scrub", "status", "usage"}
