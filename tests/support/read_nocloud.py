"""Read a NoCloud seed as cloud-init does; run by the system's Python, for which cloud-init is installed.

Usage: read_nocloud.py DIRECTORY, which holds ``seed/nocloud``. Prints what cloud-init has understood, as
JSON; nothing is written outside the directory.
"""

import json
import sys
from pathlib import Path

from cloudinit.helpers import Paths  # type: ignore[import-not-found]
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloud  # type: ignore[import-not-found]

directory = Path(sys.argv[1])
paths = Paths({"cloud_dir": str(directory), "run_dir": str(directory / "run")})
# Without fs_label no disk of this machine is looked at.
source = DataSourceNoCloud({"datasource": {"NoCloud": {"fs_label": None}}}, None, paths)
taken = source.get_data()
understood = {
    "taken": taken,
    "seed": source.seed,
    "instance_id": source.get_instance_id(),
    "hostname": str(getattr(source.get_hostname(), "hostname", source.get_hostname())),
    "public_keys": source.get_public_ssh_keys(),
    "network": source.network_config,
    "user_data": source.get_userdata_raw().decode("latin-1"),
}
json.dump(understood, sys.stdout)
