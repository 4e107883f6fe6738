"""The command fetch: from the port to the seed, in the order in which a kill at any step does no harm.

    a clone's inherited seed is deleted -> ask -> NICs -> state -> seed -> SELinux labels -> report

What defeats the seed is told before, what has happened after.
"""

import contextlib
import os
import time
from typing import Callable, Dict, Iterator, Optional, Tuple

from vmw_cloudinit_guest import (
    binding,
    client,
    cloudinit_result,
    defeats,
    handover,
    network,
    paths,
    report,
    reports,
    seed,
)
from vmw_cloudinit_guest.binding import Scrub, Standing, State, Written
from vmw_cloudinit_guest.client import Result
from vmw_cloudinit_guest.config import Settings
from vmw_cloudinit_guest.documents import NETWORK_CONFIG, SECRET, DocumentError, Held, sha256
from vmw_cloudinit_guest.errors import (
    DeniedError,
    NoAnswerError,
    NoPortError,
    SeedStaysError,
    UnknownVMError,
    UnusableAnswerError,
)
from vmw_cloudinit_guest.handover import Handover
from vmw_cloudinit_guest.nics import NICs
from vmw_cloudinit_guest.serialport import SerialPorts, find_ports

Say = Callable[[str], None]

# A server that takes reports acknowledges at once; no boot waits for one that does not.
REPORT_SECONDS = 1.0

_MACHINE_NOT_KNOWN = (
    "/sys/class/dmi/id/product_uuid cannot be read: the seed is taken to be this machine's, even if the "
    "machine is a clone"
)


def fetch(
    settings: Settings, timeout: Optional[float], warn: Say, trace: Say, root: str = "/", boot: bool = False
) -> str:
    """Ask, write the seed, and return the line that says so.

    Args:
        settings: where to ask and to write, and for how long to wait.
        timeout: seconds to wait for the first answer; None for those of the settings.
        warn: takes one sentence for each thing an administrator should know.
        trace: takes one line for each packet.
        root: where /sys, /proc, /run and cloud-init's files are.
        boot: whether this is the fetch of a boot, which is reported.

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
    nics = NICs(root, boot, time.monotonic, time.sleep)
    known = _known(directory, root)
    held = _held(directory, known, nics, warn) if standing is Standing.OWN else {}
    if boot:
        handover.clear(root)
    with _seed_told(directory, standing), contextlib.closing(_ports(settings)) as ports:
        result = _withheld(client.fetch(ports, timeout, time.monotonic, trace, held), known)
        result, macs = _filled(result, held, known, nics, warn, trace)
        changed = seed.write(directory, result.documents, _state(directory, result, machine, known, macs))
        if changed:
            _restore_labels(directory, root)
        seconds = time.monotonic() - began
        if boot:
            _report(ports, result, directory, trace, root)
    instance_id = result.documents.instance_id
    if changed:
        return f"seed for {instance_id} written from {result.port} in {seconds:.1f} s"
    return f"seed for {instance_id} unchanged: {result.port} gave the same in {seconds:.1f} s"


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


def _ports(settings: Settings) -> SerialPorts:
    return SerialPorts([settings.port] if settings.port else find_ports())


@contextlib.contextmanager
def _seed_told(directory: str, standing: Standing) -> Iterator[None]:
    """Add to the reason why nothing has come what becomes of the seed."""
    try:
        yield
    except (NoPortError, NoAnswerError, UnusableAnswerError, UnknownVMError, DeniedError) as error:
        stays = isinstance(error, NoAnswerError) and standing is Standing.OWN
        raise (SeedStaysError if stays else type(error))(f"{error}; {_without_answer(directory)}") from None


def _known(directory: str, root: str) -> Optional[State]:
    """Return what is known of the latest answer; None if nothing is.

    What was scrubbed is needed again once cloud-init has been cleaned: it takes the instance for a new one.
    """
    state = binding.from_bytes(seed.state(directory))
    if state and state.scrub is not Scrub.NO and cloudinit_result.instance_id(root) != state.instance_id:
        documents = {file: written for file, written in state.documents.items() if file not in SECRET}
        return state._replace(documents=documents, scrub=Scrub.NO)
    return state


def _held(directory: str, known: Optional[State], nics: NICs, warn: Say) -> Dict[str, Held]:
    """Return the documents of this machine's seed that need not come again.

    A file that has been changed since it was written is asked for again, and so put right; and so is the
    network data if it is for other NICs than there are.
    """
    if known is None:
        return {}
    blanked = SECRET if known.scrub is not Scrub.NO else ()
    held = {
        file: Held(known.documents[file].etag, content, known.instance_id if file in blanked else None)
        for file, content in seed.contents(directory).items()
        if file in known.documents and known.documents[file].sha256 == sha256(content)
    }
    if NETWORK_CONFIG.file in held and not network.still_fits(known.macs, nics, warn):
        del held[NETWORK_CONFIG.file]
    return held


def _filled(
    result: Result, held: Dict[str, Held], known: Optional[State], nics: NICs, warn: Say, trace: Say
) -> Tuple[Result, network.Macs]:
    """Return the answer for the NICs of this machine, and which MAC addresses it has from there.

    Raises:
        UnusableAnswerError: that cannot be done.
    """
    macs = known.macs if known else {}
    before, content = held.get(NETWORK_CONFIG.file), result.documents.network_config
    if content is None:
        return result, {}
    if before and before.content == content:
        return result, macs
    try:
        filled, macs = network.filled(content, nics, macs, warn, trace)
    except DocumentError as error:
        raise UnusableAnswerError(f"the answer on {result.port} cannot be used: {error}") from None
    return result._replace(documents=result.documents._replace(network_config=filled)), macs


def _withheld(result: Result, known: Optional[State]) -> Result:
    """Return the answer without what has been scrubbed of the same instance, which has used it."""
    if _scrubbed(result, known) is Scrub.NO:
        return result
    return result._replace(documents=result.documents.blanked())


def _scrubbed(result: Result, known: Optional[State]) -> Scrub:
    """Return how far the instance that was answered has been scrubbed."""
    return known.scrub if known and known.instance_id == result.documents.instance_id else Scrub.NO


def _state(
    directory: str, result: Result, machine: Optional[str], known: Optional[State], macs: network.Macs
) -> bytes:
    """Return the state to write: the old one if nothing is new, so that such a reboot touches no file."""
    files = result.documents.files()
    written = {file: Written(etag, sha256(files[file] or b"")) for file, etag in result.etags.items()}
    answered = (machine, result.documents.instance_id, result.port, int(time.time()))
    new = State(*answered, written, _scrubbed(result, known), macs)
    content = seed.state(directory)
    old = binding.from_bytes(content)
    same = old is not None and old._replace(fetched=new.fetched) == new
    if content and same and seed.holds(directory, result.documents):
        return content
    return binding.to_bytes(new)


def _report(ports: SerialPorts, result: Result, directory: str, trace: Say, root: str) -> None:
    """Tell the server what has been written, and the second unit over which port it may report.

    Nothing that goes wrong here, not even a fault of the program's, is a reason for a boot to fail.
    """
    try:
        handover.write(Handover(ports.path(result.port), result.version), root)
        if result.version < 2:
            return
        values = {
            "instance-id": result.documents.instance_id,
            "documents": result.etags,
            "seconds": round(result.seconds, 3),
            "retries": result.retries,
        }

        def send(payload: bytes) -> bool:
            return report.send(ports, result.port, payload, REPORT_SECONDS, time.monotonic, trace)

        acknowledged = reports.deliver(directory, reports.make("seed", values, root), send)
        trace("the server has the report" if acknowledged else "nobody has acknowledged the report")
    except Exception as error:
        trace(f"no report: {type(error).__name__}: {error}")


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
