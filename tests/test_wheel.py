"""What is in the wheel: every file by name, so that none is missing and none slips in."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import vmw_cloudinit_guest
from vmw_cloudinit_metadata import __version__

ROOT = Path(__file__).parent.parent
DIST_INFO = f"vmw_cloudinit_metadata-{__version__}.dist-info"

# Sorted: a new file is one new line.
FILES = """\
vmw_cloudinit_guest/__init__.py
vmw_cloudinit_guest/__main__.py
vmw_cloudinit_guest/activation.py
vmw_cloudinit_guest/after_boot.py
vmw_cloudinit_guest/arguments.py
vmw_cloudinit_guest/binding.py
vmw_cloudinit_guest/cli.py
vmw_cloudinit_guest/client.py
vmw_cloudinit_guest/cloudinit_result.py
vmw_cloudinit_guest/config.py
vmw_cloudinit_guest/console.py
vmw_cloudinit_guest/course.py
vmw_cloudinit_guest/defeats.py
vmw_cloudinit_guest/dialogue.py
vmw_cloudinit_guest/documents.py
vmw_cloudinit_guest/errors.py
vmw_cloudinit_guest/fetch.py
vmw_cloudinit_guest/handover.py
vmw_cloudinit_guest/ids.py
vmw_cloudinit_guest/network.py
vmw_cloudinit_guest/nics.py
vmw_cloudinit_guest/paths.py
vmw_cloudinit_guest/pieces.py
vmw_cloudinit_guest/placeholders.py
vmw_cloudinit_guest/py.typed
vmw_cloudinit_guest/report.py
vmw_cloudinit_guest/reports.py
vmw_cloudinit_guest/scrub.py
vmw_cloudinit_guest/seed.py
vmw_cloudinit_guest/serialport.py
vmw_cloudinit_guest/status.py
vmw_cloudinit_guest/usage.py
vmw_cloudinit_guest/version1.py
vmw_cloudinit_guest/version2.py
vmw_cloudinit_metadata/__init__.py
vmw_cloudinit_metadata/__main__.py
vmw_cloudinit_metadata/checking/__init__.py
vmw_cloudinit_metadata/checking/claims.py
vmw_cloudinit_metadata/checking/cloud_config.py
vmw_cloudinit_metadata/checking/cloudinit.py
vmw_cloudinit_metadata/checking/definitions.py
vmw_cloudinit_metadata/checking/directories.py
vmw_cloudinit_metadata/checking/metadata.py
vmw_cloudinit_metadata/checking/names.py
vmw_cloudinit_metadata/checking/network_claims.py
vmw_cloudinit_metadata/checking/notes.py
vmw_cloudinit_metadata/checking/places.py
vmw_cloudinit_metadata/checking/processes.py
vmw_cloudinit_metadata/checking/remarks.py
vmw_cloudinit_metadata/checking/report.py
vmw_cloudinit_metadata/checking/schema_words.py
vmw_cloudinit_metadata/checking/ssh_keys.py
vmw_cloudinit_metadata/checking/unfilled.py
vmw_cloudinit_metadata/checking/userdata.py
vmw_cloudinit_metadata/checks.py
vmw_cloudinit_metadata/cli/__init__.py
vmw_cloudinit_metadata/cli/asking.py
vmw_cloudinit_metadata/cli/changes.py
vmw_cloudinit_metadata/cli/config_file.py
vmw_cloudinit_metadata/cli/definitions.py
vmw_cloudinit_metadata/cli/demo.py
vmw_cloudinit_metadata/cli/driver.py
vmw_cloudinit_metadata/cli/explaining.py
vmw_cloudinit_metadata/cli/files.py
vmw_cloudinit_metadata/cli/import_.py
vmw_cloudinit_metadata/cli/init.py
vmw_cloudinit_metadata/cli/main.py
vmw_cloudinit_metadata/cli/parameters.py
vmw_cloudinit_metadata/cli/rearm.py
vmw_cloudinit_metadata/cli/reports.py
vmw_cloudinit_metadata/cli/run.py
vmw_cloudinit_metadata/cli/schema.py
vmw_cloudinit_metadata/cli/show.py
vmw_cloudinit_metadata/cli/simulate.py
vmw_cloudinit_metadata/cli/state.py
vmw_cloudinit_metadata/cli/validate.py
vmw_cloudinit_metadata/cli/vsphere.py
vmw_cloudinit_metadata/config.py
vmw_cloudinit_metadata/definition/__init__.py
vmw_cloudinit_metadata/definition/accept.py
vmw_cloudinit_metadata/definition/defaults.py
vmw_cloudinit_metadata/definition/definition.py
vmw_cloudinit_metadata/definition/definition.schema.json
vmw_cloudinit_metadata/definition/faults.py
vmw_cloudinit_metadata/definition/fields.py
vmw_cloudinit_metadata/definition/guestinfo.py
vmw_cloudinit_metadata/definition/merge.py
vmw_cloudinit_metadata/definition/parts.py
vmw_cloudinit_metadata/definition/payload.py
vmw_cloudinit_metadata/definition/read_definition.py
vmw_cloudinit_metadata/definition/read_metadata.py
vmw_cloudinit_metadata/definition/read_network.py
vmw_cloudinit_metadata/definition/read_userdata.py
vmw_cloudinit_metadata/definition/reader.py
vmw_cloudinit_metadata/definition/rules.py
vmw_cloudinit_metadata/definition/source.py
vmw_cloudinit_metadata/definition/strict_yaml.py
vmw_cloudinit_metadata/definition/vms.py
vmw_cloudinit_metadata/drivers/__init__.py
vmw_cloudinit_metadata/drivers/cache.py
vmw_cloudinit_metadata/drivers/complaints.py
vmw_cloudinit_metadata/drivers/definitions.py
vmw_cloudinit_metadata/drivers/driver.py
vmw_cloudinit_metadata/drivers/file.py
vmw_cloudinit_metadata/drivers/finding.py
vmw_cloudinit_metadata/drivers/index.py
vmw_cloudinit_metadata/drivers/listing.py
vmw_cloudinit_metadata/drivers/loader.py
vmw_cloudinit_metadata/drivers/loading.py
vmw_cloudinit_metadata/drivers/names.py
vmw_cloudinit_metadata/drivers/reading.py
vmw_cloudinit_metadata/drivers/recent.py
vmw_cloudinit_metadata/drivers/tree.py
vmw_cloudinit_metadata/errors.py
vmw_cloudinit_metadata/examples/web-01.yaml
vmw_cloudinit_metadata/examples/worker-01.yaml
vmw_cloudinit_metadata/instance.py
vmw_cloudinit_metadata/log.py
vmw_cloudinit_metadata/network/__init__.py
vmw_cloudinit_metadata/network/nic.py
vmw_cloudinit_metadata/network/nics.py
vmw_cloudinit_metadata/network/render.py
vmw_cloudinit_metadata/network/route.py
vmw_cloudinit_metadata/network/version1.py
vmw_cloudinit_metadata/network/version2.py
vmw_cloudinit_metadata/network/whole.py
vmw_cloudinit_metadata/nocloud.py
vmw_cloudinit_metadata/py.typed
vmw_cloudinit_metadata/simulator/__init__.py
vmw_cloudinit_metadata/simulator/connection.py
vmw_cloudinit_metadata/simulator/host.py
vmw_cloudinit_metadata/simulator/port.py
vmw_cloudinit_metadata/simulator/run.py
vmw_cloudinit_metadata/simulator/telnet.py
vmw_cloudinit_metadata/simulator/vm.py
vmw_cloudinit_metadata/state/__init__.py
vmw_cloudinit_metadata/state/directory.py
vmw_cloudinit_metadata/state/known_hosts.py
vmw_cloudinit_metadata/state/records.py
vmw_cloudinit_metadata/state/reports.py
vmw_cloudinit_metadata/state/served.py
vmw_cloudinit_metadata/state/windows.py
vmw_cloudinit_metadata/systemd.py
vmw_cloudinit_metadata/userdata.py
vmw_cloudinit_metadata/vspc/__init__.py
vmw_cloudinit_metadata/vspc/access.py
vmw_cloudinit_metadata/vspc/admission.py
vmw_cloudinit_metadata/vspc/connection.py
vmw_cloudinit_metadata/vspc/events.py
vmw_cloudinit_metadata/vspc/handshake.py
vmw_cloudinit_metadata/vspc/keeping.py
vmw_cloudinit_metadata/vspc/listening.py
vmw_cloudinit_metadata/vspc/noting.py
vmw_cloudinit_metadata/vspc/port.py
vmw_cloudinit_metadata/vspc/protocol.py
vmw_cloudinit_metadata/vspc/report.py
vmw_cloudinit_metadata/vspc/run.py
vmw_cloudinit_metadata/vspc/server.py
vmw_cloudinit_metadata/vspc/service_uri.py
vmw_cloudinit_metadata/vspc/session.py
vmw_cloudinit_metadata/vspc/snapshot.py
vmw_cloudinit_metadata/vspc/telnet.py
vmw_cloudinit_metadata/vspc/timeouts.py
vmw_cloudinit_metadata/vspc/tls.py
vmw_cloudinit_metadata/vspc/version2.py
vmw_cloudinit_metadata/vspc/vm_client.py
vmw_cloudinit_metadata/vspc/vmotion.py
vmw_cloudinit_metadata/vspc/vmware_ext.py
vmw_cloudinit_metadata/vspc/workers.py
vmw_cloudinit_metadata/writing/__init__.py
vmw_cloudinit_metadata/writing/from_guestinfo.py
vmw_cloudinit_metadata/writing/from_predecessor.py
vmw_cloudinit_metadata/writing/from_seed.py
vmw_cloudinit_metadata/writing/metadata.py
vmw_cloudinit_metadata/writing/template.py
vmw_cloudinit_metadata/writing/yaml_text.py
vmw_cloudinit_wire/__init__.py
vmw_cloudinit_wire/options.py
vmw_cloudinit_wire/packet.py
vmw_cloudinit_wire/py.typed
""".splitlines()

METADATA_FILES = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build it as pip does, but without the network: the backend is among the development tools."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = directory.iterdir()
    assert path.name == f"vmw_cloudinit_metadata-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"{DIST_INFO}/METADATA").decode())


def test_it_has_these_files_and_no_others(wheel: zipfile.ZipFile) -> None:
    assert sorted(FILES) == FILES
    assert sorted(wheel.namelist()) == sorted([*FILES, *(f"{DIST_INFO}/{name}" for name in METADATA_FILES)])


def test_no_file_in_it_is_empty_that_should_not_be(wheel: zipfile.ZipFile) -> None:
    empty = [each.filename for each in wheel.infolist() if not each.file_size]
    assert [name for name in empty if not name.endswith("py.typed")] == []


def test_the_commands_and_the_drivers_are_where_they_are_looked_for(wheel: zipfile.ZipFile) -> None:
    assert wheel.read(f"{DIST_INFO}/entry_points.txt").decode().split("\n") == [
        "[console_scripts]",
        "vmw-cloudinit-guest = vmw_cloudinit_guest.cli:main",
        "vmw-cloudinit-metadata = vmw_cloudinit_metadata.cli.main:main",
        "",
        "[vmw_cloudinit_metadata.drivers]",
        "file = vmw_cloudinit_metadata.drivers.file:FileDriver",
        "",
    ]


def test_its_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "vmw-cloudinit-metadata"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_its_requirements(metadata: Message) -> None:
    requirements = metadata.get_all("Requires-Dist", [])
    assert sorted(each for each in requirements if "extra ==" not in each) == [
        "click>=8.1",
        "jsonschema>=4.10",
        "pyserial>=3.5",
        "pyyaml>=6.0",
        "uvloop>=0.17; sys_platform == 'linux' and platform_python_implementation == 'CPython'",
    ]


def test_the_version_of_the_wheel_is_the_guests_too(metadata: Message) -> None:
    assert metadata["Version"] == vmw_cloudinit_guest.__version__
