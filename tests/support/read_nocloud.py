"""Read NoCloud seeds as cloud-init does; run by the system's Python, for which cloud-init is installed.

Usage: read_nocloud.py DIRECTORY...; each holds ``seed/nocloud``. Prints as JSON, for each directory, what
cloud-init has understood, and what it would write for each program that sets up a network; nothing is written
outside the directories. Another release of cloud-init is read with when PYTHONPATH names it.
"""

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudinit import net, util  # type: ignore[import-not-found]
from cloudinit.cmd.devel import net_convert  # type: ignore[import-not-found]
from cloudinit.handlers import jinja_template  # type: ignore[import-not-found]
from cloudinit.handlers.cloud_config import CloudConfigPartHandler  # type: ignore[import-not-found]
from cloudinit.helpers import Paths  # type: ignore[import-not-found]
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloud  # type: ignore[import-not-found]
from cloudinit.version import version_string  # type: ignore[import-not-found]

# Renderers, and a distribution each of them is for.
RENDERERS = {
    "eni": "debian",
    "netplan": "ubuntu",
    "networkd": "debian",
    "network-manager": "fedora",
    "sysconfig": "rhel",
}


def read(directory: Path) -> dict[str, Any]:
    """Return what cloud-init makes of a seed."""
    paths = Paths({"cloud_dir": str(directory), "run_dir": str(directory / "run")})
    # Without fs_label no disk of this machine is looked at.
    source = DataSourceNoCloud({"datasource": {"NoCloud": {"fs_label": None}}}, None, paths)
    taken = source.get_data()
    network = source.network_config
    return {
        "taken": taken,
        "seed": source.seed,
        "metadata": source.metadata,
        "instance_id": source.get_instance_id(),
        "hostname": str(getattr(source.get_hostname(), "hostname", source.get_hostname())),
        "public_keys": source.get_public_ssh_keys(),
        "network": network,
        "renamed": {mac: name for mac, name, *_ in net.extract_physdevs(network)} if network else {},
        "rendered": rendered(directory) if network else {},
        "user_data": source.get_userdata_raw().decode("latin-1"),
        "user_data_parts": list(parts(source.get_userdata(), directory)),
        "cloud_config": cloud_config(source, paths),
        "vendor_data_parts": list(parts(source.get_vendordata(), directory)),
    }


def parts(message: Any, directory: Path) -> Iterator[dict[str, str]]:
    """Yield the parts of user-data that are not empty, as those get them who handle them."""
    for part in message.walk():
        content = util.fully_decoded_payload(part)
        if part.get_content_maintype() != "multipart" and content:
            text = content if isinstance(content, bytes) else content.encode(errors="surrogateescape")
            found = {
                "type": part.get_content_type(),
                "filename": part.get_filename(),
                "content": text.decode(errors="backslashreplace"),
            }
            if found["type"] == "text/jinja2":
                data = directory / "run" / "instance-data-sensitive.json"
                if not data.exists():  # as before 20.3, and where it is not root that reads
                    data = directory / "run" / "instance-data.json"
                found["filled"] = jinja_template.render_jinja_payload_from_file(content, "part", str(data))
            yield found


def cloud_config(source: Any, paths: Any) -> Any:
    """Return what all parts of user-data that are cloud-config say together; of templates nothing."""
    paths.datasource = source
    handler = CloudConfigPartHandler(paths)
    for part in source.get_userdata().walk():
        if part.get_content_type() in handler.list_types():
            arguments = (part.get_content_type(), str(part.get_filename()), util.fully_decoded_payload(part))
            handler.handle_part(None, *arguments, None, dict(part))
    return handler.cloud_buf


def rendered(directory: Path) -> dict[str, dict[str, str]]:
    """Return the files with which each renderer sets up the network, by their paths."""
    files: dict[str, dict[str, str]] = {}
    for renderer, distribution in RENDERERS.items():
        root = directory / "rendered" / renderer
        network = directory / "seed" / "nocloud" / "network-config"
        arguments = ("-p", network, "-k", "yaml", "-d", root, "-D", distribution, "-O", renderer)
        with contextlib.redirect_stderr(io.StringIO()):
            net_convert.handle_args(
                "net-convert", net_convert.get_parser().parse_args([str(argument) for argument in arguments])
            )
        written = sorted(path for path in root.rglob("*") if path.is_file())
        files[renderer] = {str(path.relative_to(root)): path.read_text() for path in written}
    return files


class Warnings(logging.Handler):
    """What cloud-init has complained of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


warnings = Warnings()
logging.getLogger().addHandler(warnings)
understood: dict[str, Any] = {"version": version_string()}
for name in sys.argv[1:]:
    warnings.texts = []
    understood[name] = read(Path(name))
    understood[name]["warnings"] = warnings.texts
json.dump(understood, sys.stdout)
