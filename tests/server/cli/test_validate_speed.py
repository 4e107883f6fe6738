"""10,000 usual definitions are checked in seconds, in a bounded memory."""

import base64
import resource
from pathlib import Path

import pytest

from tests.support import command

DEFINITIONS = 10_000

USUAL = """\
metadata:
  instance-id: i-{number:05}
  hostname: {name}.example.org
  public-keys:
    - {key} admin@example.org
  region: eu-1
network:
  mac: {mac}
  address: {address}
  netmask: 255.0.0.0
  gateway: 10.255.255.254
  search: example.org
  nameservers: [192.0.2.53]
userdata: |
  #cloud-config
  fqdn: {name}.example.org
  package_update: true
  packages: [nginx, vim]
  timezone: Europe/Berlin
  users:
    - default
    - name: admin
      groups: [sudo]
      shell: /bin/bash
      ssh_authorized_keys: [{key}]
  write_files:
    - path: /etc/motd
      content: This is {name}.
      permissions: "0644"
  runcmd:
    - [systemctl, restart, nginx]
    - echo done
"""


def key(number: int) -> str:
    fields = (b"ssh-ed25519", number.to_bytes(32, "big"))
    blob = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def usual(number: int) -> str:
    pair = f"{number >> 8:02x}:{number & 255:02x}"
    address = f"10.1.{number >> 7}.{number & 127 or 128}"
    return USUAL.format(
        number=number,
        name=f"web-{number:05}",
        key=key(number % 10),
        mac=f"00:50:56:01:{pair}",
        address=address,
    )


@pytest.mark.system
def test_of_two_processors_ten_thousand_definitions_take_less_than_20_seconds(tmp_path: Path) -> None:
    for number in range(DEFINITIONS):
        (tmp_path / f"web-{number:05}.yaml").write_text(usual(number))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = command.server("validate", str(tmp_path), timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.startswith(f"{DEFINITIONS:,} definitions, 0 faults, 0 warnings (")
    # The time of all its processes; others may keep the processors busy meanwhile.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2 * 20
    assert after.ru_maxrss < 256 * 1024
