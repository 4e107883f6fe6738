"""User-data over an emulated 16550, in bytes on the line, beside what a program gets that only reads them.

Both in the same VM, in turns: what an emulated machine is capable of depends on what the real one does beside
it.
"""

import logging
from pathlib import Path

import pytest

from tests.support.vm import VM, Hardware, Image
from tests.vm.port_host import PortHost

pytestmark = [pytest.mark.system, pytest.mark.vm]

_logger = logging.getLogger(__name__)

MEBIBYTE = 1024 * 1024

# Of what head -c gets, which reads and writes as cat does. It was half of it once, when the fetch looked at
# each few bytes that came, and more than all of it since: a loss of this size is no accident.
SHARE = 0.8

# head -c gets as many bytes as a MiB is on the line, in two halves: one before the fetch, one after it.
USER_DATA = f"""#cloud-config
write_files:
  - path: /root/raw
    content: |
      exec 3<> /dev/ttyS1
      stty -F /dev/ttyS1 raw -echo 115200
      echo RAW {MEBIBYTE * 2 // 3} >&3
      head --bytes={MEBIBYTE * 2 // 3} <&3 > /dev/null
      echo DONE >&3
runcmd:
  - sh /root/raw
  - echo SERVE {MEBIBYTE} > /dev/ttyS1
  - vmw-cloudinit-guest fetch --port ttyS1 --seed-dir /root/seed --timeout 30 > /var/log/made-by-user-data
  - sh /root/raw
  - stat --format=%s /root/seed/user-data >> /var/log/made-by-user-data
"""


@pytest.fixture(scope="module")
def suite() -> str:
    """One release is enough: the images have the same kernel."""
    return "bookworm"


def test_a_mebibyte_comes_about_as_fast_as_the_port_gives_it(template: Image, tmp_path: Path) -> None:
    disk = template.disk(tmp_path / "disk")
    with PortHost(USER_DATA.encode()) as host, VM("VM", disk, Hardware(metadata_port=host.path)) as vm:
        report = vm.report()
        report.save(tmp_path / "report")
        vm.power_off()
    assert report.text("made-by-user-data").splitlines()[1:] == [f"{MEBIBYTE}"]
    raw, fetched = host.rates_of_raw(), host.rate_of_user_data()
    mean = len(raw) / sum(1 / rate for rate in raw)  # of the time, since the bytes are the same
    _logger.info(
        "over the VM's port: head -c %s KiB/s, the fetch %.0f KiB/s: %.0f %%",
        " and ".join(f"{rate / 1024:.0f}" for rate in raw),
        fetched / 1024,
        100 * fetched / mean,
    )
    assert len(raw) == 2
    assert fetched >= SHARE * mean
