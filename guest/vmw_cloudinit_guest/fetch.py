"""The command fetch: from the port to the seed, in the order in which a kill at any step does no harm.

    a clone's inherited seed is deleted -> ask -> state -> seed -> SELinux labels

What defeats the seed is told before, what has happened after.
"""

import contextlib
import os
import time
from typing import Callable, Optional

from vmw_cloudinit_guest import binding, client, defeats, paths, seed
from vmw_cloudinit_guest.binding import Standing, State
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import NoAnswerError, NoPortError, SeedStaysError, UnusableAnswerError
from vmw_cloudinit_guest.serialport import SerialPorts, find_ports

Say = Callable[[str], None]

_MACHINE_NOT_KNOWN = (
    "/sys/class/dmi/id/product_uuid cannot be read: the seed is taken to be this machine's, even if the "
    "machine is a clone"
)


def fetch(settings: Settings, timeout: Optional[float], warn: Say, trace: Say, root: str = "/") -> str:
    """Ask, write the seed, and return the line that says so.

    Args:
        settings: where to ask and to write, and for how long to wait.
        timeout: seconds to wait for the first answer; None for those of the settings.
        warn: takes one sentence for each thing an administrator should know, before anybody is asked.
        trace: takes one line for each packet.
        root: where /sys, /proc and cloud-init's configuration are.

    Raises:
        GuestError: there is no new seed, and why; the old one is as it was.
    """
    began = time.monotonic()
    directory = settings.seed_directory
    machine = binding.product_uuid(root)
    standing = _settle(directory, machine, warn)
    if directory == paths.SEED_DIRECTORY:  # what cloud-init reads, and no boot hangs on any other
        if standing is Standing.OWN and machine is None:
            warn(_MACHINE_NOT_KNOWN)
        for sentence in defeats.find(root):
            warn(sentence)
    if timeout is None:
        timeout = settings.later_boot_timeout if standing is Standing.OWN else settings.first_boot_timeout
    try:
        candidates = [settings.port] if settings.port else find_ports()
        with contextlib.closing(SerialPorts(candidates)) as ports:
            name, documents = client.fetch(ports, timeout, time.monotonic, trace)
    except (NoPortError, NoAnswerError, UnusableAnswerError) as error:
        stays = isinstance(error, NoAnswerError) and standing is Standing.OWN
        raise (SeedStaysError if stays else type(error))(f"{error}; {_without_answer(directory)}") from None
    changed = seed.write(directory, documents, _state(directory, documents, machine, name))
    if changed:
        _restore_labels(directory, root)
    seconds = time.monotonic() - began
    if changed:
        return f"seed for {documents.instance_id} written from {name} in {seconds:.1f} s"
    return f"seed for {documents.instance_id} unchanged: {name} gave the same in {seconds:.1f} s"


def _settle(directory: str, machine: Optional[str], warn: Say) -> Standing:
    """Delete the seed if it is another machine's; return what the seed is to this one."""
    instance_id = seed.instance_id(directory)
    state = binding.from_bytes(seed.state(directory))
    standing = binding.judge(instance_id is not None, state, machine)
    if standing is Standing.ANOTHERS:
        seed.delete(directory)
        if instance_id is not None:
            warn(f"the seed of {instance_id} was another machine's, which this one is a clone of: deleted")
    elif standing is Standing.UNBOUND:
        warn(
            f"the seed in {directory} is bound to no machine: it stays until somebody answers; if it came "
            "with the template, run vmw-cloudinit-guest seal there"
        )
    return standing


def _state(directory: str, documents: Documents, machine: Optional[str], port: str) -> bytes:
    """Return the state to write: the old one if nothing is new, so that such a reboot touches no file."""
    new = State(machine, documents.instance_id, port, int(time.time()))
    content = seed.state(directory)
    old = binding.from_bytes(content)
    if content and old and old._replace(fetched=new.fetched) == new and seed.holds(directory, documents):
        return content
    return binding.to_bytes(new)


def _without_answer(directory: str) -> str:
    instance_id = seed.instance_id(directory)
    if instance_id is None:
        return "without a seed, cloud-init goes on without a datasource"
    return f"the seed of {instance_id or 'an instance that cannot be told'} stays"


def _restore_labels(directory: str, root: str) -> None:
    """Give the files the SELinux labels that the policy has for their places, where there is a policy.

    A failure is restorecon's to report: cloud-init can mostly read them all the same.
    """
    restorecon = paths.under(root, "/sbin/restorecon")
    if os.path.isdir(paths.under(root, "/sys/fs/selinux")) and os.access(restorecon, os.X_OK):
        # Not subprocess: its import takes longer than all that is done here.
        os.spawnv(os.P_WAIT, restorecon, [restorecon, "-R", directory, seed.state_path(directory)])  # noqa: S606
