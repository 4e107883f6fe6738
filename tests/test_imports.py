"""Imports point one way: the table of who may import whom, held against the code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module, or a package with all that is in it -> what of the project it may import besides its own package.
SERVER = {
    "errors": set(),
    "log": {"systemd"},
    "systemd": set(),
    "checks": set(),
    "network": {"checks", "errors"},
    "instance": {"checks", "errors", "network"},
    "nocloud": {"errors", "instance", "network"},
    "userdata": {"checks", "errors"},
    "definition": {"checks", "errors", "instance", "network", "userdata"},
    "checking": {
        *("checks", "definition", "drivers.file", "drivers.loading", "drivers.names", "drivers.reading"),
        *("errors", "instance", "log", "network", "nocloud", "userdata"),
    },
    "vspc.telnet": set(),
    "vspc.service_uri": set(),
    "vspc.vmware_ext": {"errors", "vspc.service_uri"},
    "vspc.port": {"wire"},
    "vspc.vmotion": {"vspc.port"},
    "vspc.events": {"vspc.port", "vspc.telnet", "wire"},
    "vspc.handshake": {"vspc.telnet", "vspc.vmware_ext"},
    "vspc.connection": {
        "errors",
        "vspc.events",
        "vspc.handshake",
        "vspc.port",
        "vspc.service_uri",
        "vspc.telnet",
        "vspc.vmotion",
        "vspc.vmware_ext",
        "wire",
    },
    "vspc.access": {"instance"},
    "vspc.admission": {"checks", "errors", "log", "vspc.access"},
    "vspc.snapshot": {"errors", "instance", "nocloud", "vspc.access", "wire"},
    "vspc.version2": {"errors", "vspc.snapshot", "wire"},
    "vspc.run": {"errors", "instance", "log", "userdata", "vspc.access", "vspc.snapshot", "vspc.version2"},
    "vspc.vm_client": {
        *("errors", "instance", "nocloud", "wire"),
        *("vspc.access", "vspc.report", "vspc.run", "vspc.snapshot", "vspc.version2"),
    },
    "vspc.report": {"errors"},
    "state": {"errors", "instance", "log", "vspc.report", "vspc.snapshot"},
    "drivers.driver": {"instance", "vspc.access", "vspc.report", "vspc.snapshot", "vspc.vm_client"},
    # The file driver: file.py, and what would make it too long.
    "drivers.names": {"drivers.reading"},
    "drivers.reading": {"definition", "errors", "log"},
    "drivers.tree": {"drivers.reading", "errors", "log"},
    "drivers.cache": {"definition", "drivers.reading", "errors", "instance"},
    "drivers.loading": {"definition", "drivers.cache", "drivers.reading", "errors", "log"},
    "drivers.definitions": {"drivers.cache", "drivers.loading", "errors"},
    "drivers.listing": {"drivers.reading"},
    "drivers.index": {
        *("definition", "drivers.listing", "drivers.loading", "drivers.reading", "drivers.tree"),
        *("errors", "instance", "log"),
    },
    "drivers.complaints": set(),
    "drivers.finding": {
        *("drivers.cache", "drivers.complaints", "drivers.definitions", "drivers.index"),
        *("drivers.names", "drivers.tree", "definition", "errors", "instance", "log"),
    },
    "drivers.recent": {"instance", "vspc.snapshot"},
    "drivers.file": {
        *("drivers.complaints", "drivers.definitions", "drivers.driver", "drivers.finding"),
        *("drivers.loading", "drivers.names", "drivers.reading", "drivers.recent", "drivers.tree"),
        *("vspc.access", "vspc.snapshot"),
        *("definition", "errors", "instance", "log", "vspc.vm_client"),
    },
    "drivers.loader": {"drivers.driver", "errors"},
    # The asyncio shell: server.py and what would make it too long.
    "vspc.timeouts": set(),
    "vspc.workers": set(),
    "vspc.session": {
        *("drivers.driver", "errors", "instance", "log", "wire"),
        *("vspc.access", "vspc.keeping", "vspc.port", "vspc.report", "vspc.run", "vspc.snapshot"),
        *("vspc.timeouts", "vspc.vm_client", "vspc.workers"),
    },
    "vspc.noting": {"errors", "log", "state", "vspc.snapshot", "vspc.workers"},
    "vspc.keeping": {
        *("drivers.driver", "errors", "instance", "log", "state"),
        *("vspc.noting", "vspc.report", "vspc.snapshot", "vspc.vm_client", "vspc.workers"),
    },
    "vspc.tls": {"errors"},
    "vspc.protocol": {"errors", "log", "vspc.connection", "vspc.tls"},
    "vspc.listening": {"errors", "log", "vspc.protocol"},
    "vspc.server": {
        *("drivers.driver", "errors", "log", "state", "systemd"),
        *(
            "vspc.admission",
            "vspc.connection",
            "vspc.events",
            "vspc.keeping",
            "vspc.listening",
            "vspc.port",
            "vspc.protocol",
            "vspc.run",
            "vspc.session",
            "vspc.timeouts",
            "vspc.tls",
            "vspc.vmotion",
            "vspc.workers",
        ),
    },
    # The other half of the protocol, which shares the codec of suboptions and no more.
    "simulator": {"errors", "vspc.vmware_ext"},
    "config": {"errors", "vspc.server"},
    # Definitions as text: what is written is read again, so that it is one.
    "writing": {"definition", "errors", "instance", "nocloud", "userdata"},
    "cli": {
        *("checking", "checks", "config", "definition", "drivers.driver", "drivers.file", "drivers.loader"),
        *("drivers.names", "drivers.reading", "errors", "instance", "log", "nocloud", "simulator", "state"),
        *("systemd", "vspc.access", "vspc.admission", "vspc.events", "vspc.server", "vspc.snapshot"),
        *("vspc.tls", "writing"),
    },
}

# A rule of its own: these touch sockets and threads, the others are given bytes, a clock and callables.
MAY_IMPORT_ASYNCIO = {
    *(
        "vspc.keeping",
        "vspc.listening",
        "vspc.noting",
        "vspc.protocol",
        "vspc.server",
        "vspc.session",
        "vspc.workers",
    ),
    *("simulator", "cli"),
    "vspc.tls",  # ssl alone, and of that what needs no socket
}


def modules(package: Path) -> dict[str, Path]:
    """Return a package's modules by their names without the package's own, "" for the package itself."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    return names


def imports(path: Path) -> set[str]:
    """Return the full names a module imports when it runs: not those for the type checker alone."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, table: "set[str] | dict[str, set[str]]") -> str | None:
    """Return the entry of the table that a module, or a name in one, belongs to."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in table), None)


def project_imports(path: Path) -> set[str]:
    """Return the entries of the table a module imports; the codec is "wire", the guest "guest"."""
    found = set()
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "vmw_cloudinit_wire":
            found.add("wire")
        elif package == "vmw_cloudinit_guest":
            found.add("guest")
        elif package == "vmw_cloudinit_metadata":
            found.add(within(rest, SERVER) or name)
    return found


SERVER_MODULES = modules(ROOT / "server/vmw_cloudinit_metadata")


@pytest.mark.parametrize("name", [name for name in SERVER_MODULES if "." in name or name in SERVER])
def test_a_module_of_the_server_imports_what_the_table_allows(name: str) -> None:
    entry = within(name, SERVER)
    assert entry is not None, f"{name} is not in the table"
    allowed = SERVER[entry] | {entry, "vmw_cloudinit_metadata.__version__"}
    assert project_imports(SERVER_MODULES[name]) <= allowed


def test_every_entry_of_the_table_is_used() -> None:
    used: dict[str, set[str]] = {entry: set() for entry in SERVER}
    for name, path in SERVER_MODULES.items():
        if entry := within(name, SERVER):
            used[entry] |= project_imports(path) - {entry, "vmw_cloudinit_metadata.__version__"}
    assert set(used) == {within(name, SERVER) for name in SERVER_MODULES} - {None}
    assert {entry: allowed - used[entry] for entry, allowed in SERVER.items() if allowed - used[entry]} == {}


def test_only_the_shells_import_asyncio() -> None:
    for name, path in SERVER_MODULES.items():
        if any(module.split(".")[0] in ("asyncio", "ssl", "socket") for module in imports(path)):
            assert within(name, MAY_IMPORT_ASYNCIO) or name == "systemd", name


def test_the_codec_imports_the_standard_library_alone() -> None:
    for path in modules(ROOT / "guest/vmw_cloudinit_wire").values():
        assert {name.split(".")[0] for name in imports(path)} <= {
            *("base64", "binascii", "re", "typing", "vmw_cloudinit_wire")
        }


def test_the_guest_imports_the_codec_and_pyserial_and_never_the_server() -> None:
    for path in modules(ROOT / "guest/vmw_cloudinit_guest").values():
        assert "vmw_cloudinit_metadata" not in {name.split(".")[0] for name in imports(path)}
