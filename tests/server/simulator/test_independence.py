import ast
from pathlib import Path

from vmw_cloudinit_metadata import simulator


def test_the_simulator_shares_the_codec_of_suboptions_with_the_server_and_nothing_else() -> None:
    """A bug in one half must show in the other."""
    imported: set[str] = set()
    for file in Path(str(simulator.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {f"{node.module}.{name.name}" for name in node.names}
            elif isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
    ours = {name for name in imported if name.startswith(("vmw_cloudinit_metadata.", "vmw_cloudinit_wire"))}
    apart = "vmw_cloudinit_metadata.simulator", "vmw_cloudinit_metadata.errors"
    codec = "vmw_cloudinit_metadata.vspc.vmware_ext"
    assert {name for name in ours if not name.startswith(apart)} == {codec, f"{codec}.Command"}
