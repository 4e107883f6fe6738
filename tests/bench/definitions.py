"""Definitions to be served while we measure: usual ones, which 0.0.8 can read as well."""

from pathlib import Path

# Of a kind that 0.0.8 knows.
KEY = (
    "ecdsa-sha2-nistp256 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBDZHC2Ozxtu/NiI0IQ"
    "OVoAXBij7kzGSqtJdOWU0qCBAo8rc84S8QW2Mp3vzGC+f2cE9etA8UdVy9zfo/zfqLiek="
)

# Of user-data; a definition has some 4 KiB then.
LINES = 60


def usual(number: int) -> str:
    """Return the definition of the VM with this number, ``vm-00042``: some 4 KiB."""
    name = f"vm-{number:05d}"
    network = f"10.{number // 62500}.{number // 250 % 250}"
    files = "".join(
        f"    - path: /etc/app/{each}.conf\n      content: value {each} of {name}\n" for each in range(LINES)
    )
    return (
        f"metadata:\n"
        f"  ami_id: debian-12\n"
        f"  instance_id: i-{name}\n"
        f"  region: eu\n"
        f"  availability_zone: eu-1\n"
        f"  hostname: {name}\n"
        f"  tags: {{role: web}}\n"
        f"  public_keys: ['{KEY}']\n"
        f"network:\n"
        f"  address: {network}.{number % 250 + 2}\n"
        f"  netmask: 255.255.255.0\n"
        f"  gateway: {network}.1\n"
        f"  search: [example.org]\n"
        f"  nameservers: [192.0.2.53]\n"
        f"userdata: |\n"
        f"  #cloud-config\n"
        f"  packages: [nginx]\n"
        f"  write_files:\n"
        f"{files}"
    )


def write_usual(directory: Path, number: int) -> None:
    """Write so many of them."""
    directory.mkdir()
    for each in range(number):
        (directory / f"vm-{each:05d}.yaml").write_text(usual(each))


def write_large(directory: Path, size: int) -> None:
    """Write one definition that is any VM's, with so many bytes of user-data."""
    directory.mkdir()
    line = "# what a large installation says, again and again, in so many words\n"
    userdata = "".join(f"  {line}" for _ in range(size // len(line)))
    (directory / "all.yaml").write_text(
        f'vms: ["vm-*"]\nmetadata:\n  hostname: "{{{{ vm.name }}}}"\nuserdata: |\n  #cloud-config\n{userdata}'
    )
