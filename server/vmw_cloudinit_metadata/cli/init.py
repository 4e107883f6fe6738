"""``init``: a new definition, of what is asked for or given."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from vmw_cloudinit_metadata.checking.ssh_keys import ssh_key_fault
from vmw_cloudinit_metadata.cli.definitions import (
    definition_name,
    definitions_directory,
    directory_options,
    write_definition,
)
from vmw_cloudinit_metadata.cli.files import check_new
from vmw_cloudinit_metadata.cli.parameters import check_text
from vmw_cloudinit_metadata.definition import parse_definition
from vmw_cloudinit_metadata.drivers.names import unescaped
from vmw_cloudinit_metadata.errors import DefinitionError, Fault
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.writing.template import Answers, new_definition

# What ssh-keygen makes if it is not told otherwise, the best first.
_USUAL_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")

# A name in DNS; the schema takes more, but nobody should be offered it.
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")

_LARGEST_KEY_FILE = 64 * 1024


class _Question(NamedTuple):
    """What is asked for one field: its key in faults, and how an answer is read."""

    field: str
    key: str
    text: str
    read: Callable[[str], Any]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _keys(value: str) -> tuple[str, ...]:
    """Return the keys of an option's value: of a file, if it names one, else the value itself.

    Raises:
        click.BadParameter: it is neither a file nor a key, or a private one, or sshd could not read it.
    """
    path = Path(value).expanduser()
    if not path.is_file():
        if " " not in value.strip():
            raise click.BadParameter(
                f"there is no file {printable(value)}, nor is that a key such as 'ssh-ed25519 AAAA… comment'."
            )
        _refuse_key(value, "the key")
        return (value,)
    with open(path, "rb") as file:
        text = file.read(_LARGEST_KEY_FILE).decode(errors="replace")
    if "PRIVATE KEY" in text:
        raise click.BadParameter(
            f"{printable(value)} is a private key, which stays where it is; give the .pub."
        )
    lines = [line.strip() for line in text.splitlines()]
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise click.BadParameter(f"{printable(value)} has no key in it.")
    for key in keys:
        _refuse_key(key, f"a key in {printable(value)}")
    return keys


def _refuse_key(key: str, which: str) -> None:
    if fault := ssh_key_fault(key):
        raise click.BadParameter(f"{which} {fault}.")


_QUESTIONS = (
    _Question("hostname", "metadata.hostname", "Host name", str),
    _Question(
        "public_keys", "metadata.public-keys", "SSH public key, or the file of one (empty: none)", _keys
    ),
    _Question("addresses", "network", "Addresses, as 192.0.2.10/24 (empty: the image decides)", _words),
    _Question("gateways", "network", "Gateway", _words),
    _Question("nameservers", "network", "Name servers", _words),
    _Question("search", "network", "Domains to look up short names in", _words),
)

# They make sense where there is an address.
_WITH_ADDRESS = ("gateways", "nameservers", "search")


def _check_keys(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(key for value in values for key in _keys(value))


@click.command(
    epilog="\b\nExample:\n  vmw-cloudinit-metadata init web-01 --directory /srv/instances \\\n"
    "      --address 192.0.2.10/24 --gateway 192.0.2.1 --ssh-key ~/.ssh/id_ed25519.pub"
)
@click.argument("vm", callback=check_text)
@click.option(
    "--hostname", metavar="NAME", help="The guest's host name.  [default: the VM's name, if it is one]"
)
@click.option("--instance-id", metavar="ID", help="Which instance it is.  [default: made from the VM's UUID]")
@click.option(
    "--ssh-key",
    "public_keys",
    multiple=True,
    callback=_check_keys,
    metavar="KEY|FILE",
    help="A public key of the default user, or a file with some; repeatable.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS/PREFIX",
    help="An address; repeatable, IPv6 too.",
)
@click.option("--dhcp", is_flag=True, help="Ask DHCP for an IPv4 address.")
@click.option(
    "--gateway", "gateways", multiple=True, metavar="ADDRESS", help="One for each family; repeatable."
)
@click.option("--nameserver", "nameservers", multiple=True, metavar="ADDRESS", help="Repeatable.")
@click.option(
    "--search", multiple=True, metavar="DOMAIN", help="Short names are looked up in it; repeatable."
)
@click.option("--mac", metavar="MAC", help="Which network card is meant.  [default: the first one]")
@click.option("--interface", metavar="NAME", help="What the card is called in the guest.  [default: eth0]")
@click.option(
    "--userdata",
    type=click.File("rb"),
    metavar="FILE",
    help="A file for cloud-init, which is taken as it is: a script, #cloud-config or any other.",
)
@click.option("--vc-uuid", metavar="UUID", help="Only for the VM with this UUID in vCenter.")
@click.option("--bios-uuid", metavar="UUID", help="Only for the VM with this BIOS UUID.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; what is not given is left out.")
@directory_options
def init(
    vm: str,
    directory: Path | None,
    driver_opts: dict[str, Any],
    force: bool,
    yes: bool,
    userdata: Any,
    **given: Any,
) -> None:
    """Write a new definition, with comments, for the VM of this name.

    On a terminal, what is not given is asked for. Nothing is overwritten without --force.
    """
    name = definition_name(vm)
    path = definitions_directory(directory, driver_opts) / name
    check_new([path], force)
    answers = replace(
        Answers(vm),
        **{key: value for key, value in given.items() if value},
        userdata=userdata.read() if userdata else None,
    )
    if not yes and sys.stdin.isatty():
        _refuse(answers if answers.hostname else replace(answers, hostname="to-be-asked"))
        answers = _ask(answers)
    if not answers.hostname:
        answers = replace(answers, hostname=_usual_hostname(vm))
    if not answers.hostname:
        raise click.UsageError(f"{printable(vm)} is no host name; give one with --hostname NAME.")
    _refuse(answers)
    write_definition(path, new_definition(answers).encode(), vm, driver_opts, force)


def _refuse(answers: Answers) -> None:
    if faults := list(_faults(answers)):
        told = "\n".join(f"{fault.key}: {fault.text}" for fault in faults)
        raise DefinitionError(f"nothing is written, for it could not be served:\n{told}")


def _ask(answers: Answers) -> Answers:
    """Ask for what is not given, each until there is no fault in it."""
    wants_network = not (answers.dhcp or answers.mac or answers.interface)
    for question in _QUESTIONS:
        if getattr(answers, question.field) or (question.field == "addresses" and not wants_network):
            continue
        if question.field in _WITH_ADDRESS and not answers.addresses:
            continue
        answers = _ask_one(answers, question)
    return answers


def _ask_one(answers: Answers, question: _Question) -> Answers:
    default = _default(answers, question.field)
    # Without a default click asks until there is an answer.
    needed = question.field == "hostname" and not default
    while True:
        text = click.prompt(
            question.text, default=None if needed else default, show_default=bool(default), err=True
        )
        try:
            answered = replace(answers, **{question.field: question.read(text)}) if text else answers
        except click.BadParameter as error:
            click.echo(error.message, err=True)
            continue
        faults = [fault for fault in _faults(answered) if fault.key.startswith(question.key)]
        if not faults:
            return answered
        for fault in faults:
            click.echo(f"{fault.key}: {fault.text}", err=True)


def _default(answers: Answers, field: str) -> str:
    if field == "hostname":
        return _usual_hostname(answers.vm_name)
    if field == "public_keys":
        files = (Path("~/.ssh", name) for name in _USUAL_KEYS)
        return next((str(path) for path in files if path.expanduser().is_file()), "")
    return ""


def _usual_hostname(vm_name: str) -> str:
    name = unescaped(vm_name).lower()
    return name if _HOSTNAME.fullmatch(name) else ""


def _faults(answers: Answers) -> Iterator[Fault]:
    try:
        parse_definition(new_definition(answers).encode(), "")
    except DefinitionError as error:
        yield from error.faults
