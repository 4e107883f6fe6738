"""A new definition with comments, for a person to go on with: what ``init`` writes."""

from collections.abc import Iterator
from dataclasses import dataclass

from vmw_cloudinit_metadata.writing.yaml_text import document_text, inline


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a VM; what is empty stands as a comment that says how it could be given."""

    vm_name: str
    hostname: str = ""
    instance_id: str = ""
    public_keys: tuple[str, ...] = ()
    mac: str = ""
    interface: str = ""
    addresses: tuple[str, ...] = ()
    dhcp: bool = False
    gateways: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    userdata: bytes | None = None
    vc_uuid: str = ""
    bios_uuid: str = ""

    def __repr__(self) -> str:
        """Show no user-data: it is a secret."""
        return f"<Answers for {self.vm_name!r}>"


def new_definition(answers: Answers) -> str:
    """Return the text of a definition; whether it is one ``parse_definition`` says."""
    parts = (_head(answers), _metadata(answers), _network(answers), _match(answers), _userdata(answers))
    return "\n".join("".join(f"{line}\n" for line in part) for part in parts)


def _head(answers: Answers) -> Iterator[str]:
    name = answers.vm_name if answers.vm_name.isprintable() else repr(answers.vm_name)
    yield f"# What the VM {name} gets. Every key is explained by 'man 5 vmw-cloudinit-metadata'."
    yield "# A changed file counts at the VM's next boot; 'vmw-cloudinit-metadata validate' checks it before."


def _metadata(answers: Answers) -> Iterator[str]:
    yield "metadata:"
    yield f"  hostname: {inline(answers.hostname)}"
    yield "  # Another instance-id makes the VM a new one to cloud-init. Left out, it is the VM's UUID."
    yield f"  instance-id: {inline(answers.instance_id)}" if answers.instance_id else "  #instance-id: i-0042"
    yield "  # SSH keys of the image's default user, a line each."
    if answers.public_keys:
        yield "  public-keys:"
        yield from (f"    - {inline(key)}" for key in answers.public_keys)
    else:
        yield "  #public-keys:"
        yield "  #  - ssh-ed25519 AAAA… operator@example.org"


def _network(answers: Answers) -> Iterator[str]:
    settings = {
        "mac": answers.mac,
        "name": answers.interface,
        "dhcp4": answers.dhcp,
        "address": _one_or_all(answers.addresses),
        "gateway": _one_or_all(answers.gateways),
        "nameservers": list(answers.nameservers),
        "search": list(answers.search),
    }
    given = [f"  {key}: {inline(value)}" for key, value in settings.items() if value]
    if not given:
        yield "# Left out, the image decides, usually for DHCP. Several cards are a list of such mappings."
        yield "#network:"
        yield "#  address: 192.0.2.10/24"
        yield "#  gateway: 192.0.2.1"
        yield "#  nameservers: [192.0.2.53]"
        return
    yield "# The VM's first card, or the one with this mac. Several cards are a list of such mappings."
    yield "network:"
    if not answers.mac:
        yield "  #mac: 00:50:56:01:02:03"
    yield from given


def _match(answers: Answers) -> Iterator[str]:
    yield "# For this VM alone: another one of this name is denied. The server's log shows the UUIDs of VMs."
    pins = {"vc-uuid": answers.vc_uuid, "bios-uuid": answers.bios_uuid}
    if any(pins.values()):
        yield "match:"
        yield from (f"  {key}: {inline(value)}" for key, value in pins.items() if value)
    else:
        yield "#match:"
        yield "#  vc-uuid: 5012ab34-cd56-4e78-9012-3456789abcde"


def _userdata(answers: Answers) -> Iterator[str]:
    yield "# Served so often and no more, until 'vmw-cloudinit-metadata rearm': user-data holds secrets."
    yield "#serve: {runs: 1}"
    yield ""
    yield "# What cloud-init does at the first boot: a mapping becomes #cloud-config, text is taken as it is."
    if answers.userdata is None:
        yield "#userdata:"
        yield "#  packages: [nginx]"
    else:
        yield document_text("userdata", answers.userdata).removesuffix("\n")


def _one_or_all(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
