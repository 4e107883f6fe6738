"""Ask on all ports at once until one of them has given all documents, or the time is up.

The candidates are asked side by side, not in turn: a dead port then costs nothing, and an answer that takes
its time finds its port still open. The first port with a usable METADATA answer is the one, and so is one
whose server refuses; the others are released.

The ports come as an object with a few verbs (``Ports``) and time as a clock, so that nothing here touches a
descriptor.
"""

import abc
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Type

from vmw_cloudinit_guest.course import RefusedError
from vmw_cloudinit_guest.dialogue import Dialogue, Trace
from vmw_cloudinit_guest.documents import Documents, Held
from vmw_cloudinit_guest.errors import (
    DeniedError,
    GuestError,
    NoAnswerError,
    UnknownVMError,
    UnusableAnswerError,
)
from vmw_cloudinit_guest.ids import fresh_id

# Less than half of what the kernel holds for a tty: the line is slower than its reader, who may as well wait.
FEW_BYTES = 2048

# After the first good answer there is a server that knows this VM: the deadline is of no more use, since a
# large answer on a slow line may take longer than any. From then on it is silence that counts.
PROGRESS_SECONDS = 30.0


class Ports(abc.ABC):
    """The serial ports to ask, by name; ``serialport.SerialPorts`` is the real thing."""

    @abc.abstractmethod
    def open(self) -> List[str]:
        """Open what is not open and can be opened by now; return the names of the open ports.

        Raises:
            NoPortError: there is no port left that could ever be opened.
        """

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Send the bytes; what cannot be sent is lost, as on any line."""

    @abc.abstractmethod
    def read(self, seconds: float, gather: bool = False) -> List[Tuple[str, bytes]]:
        """Wait up to so many seconds; return what came, and on which port. May return early with nothing.

        With ``gather`` more is known to be on its way: once something has come, it is waited a moment for.
        """

    @abc.abstractmethod
    def keep(self, name: str) -> None:
        """Release all other ports for good."""

    @abc.abstractmethod
    def closed(self) -> Dict[str, str]:
        """Return why each port that is not open at the moment is not."""


class Result(NamedTuple):
    """What a fetch came to."""

    port: str
    version: int  # of the packets
    documents: Documents
    etags: Dict[str, str]  # of the documents that are there, by file, as served; none in version 1
    retries: int  # questions that were asked again
    seconds: float


# What the console is told when a server refuses, before what the server says itself.
_REFUSALS: Dict[str, Tuple[Type[GuestError], str]] = {
    "not-found": (UnknownVMError, "the server on {} does not know this VM"),
    "denied": (DeniedError, "the server on {} denies this VM its data"),
    "invalid": (UnusableAnswerError, "what the server on {} has for this VM cannot be used"),
    "unsupported": (UnusableAnswerError, "the server on {} does not serve metadata"),
    "changed": (NoAnswerError, "the definition on {} changed again and again while it was read"),
}


def fetch(
    ports: Ports,
    timeout: float,
    clock: Callable[[], float],
    trace: Trace,
    held: Optional[Dict[str, Held]] = None,
    ids: Callable[[], str] = fresh_id,
) -> Result:
    """Ask, and return the documents and how they came.

    Args:
        ports: the ports to ask; they are left open.
        timeout: seconds for the first good answer; after it PROGRESS_SECONDS without progress are the limit.
        clock: monotonic seconds, since early at boot the time of day may jump.
        trace: takes one line for each packet: codes and sizes, no payload.
        held: the documents of this machine that need not come again, by file.
        ids: gives another eight hexadecimal digits whenever it is called.

    Raises:
        NoPortError: there is no port to ask.
        NoAnswerError: nobody answered in time, or no longer.
        UnusableAnswerError: somebody did, but never with what a seed can be made of.
        UnknownVMError, DeniedError: the server said so.
    """
    began = clock()
    limit = began + timeout
    dialogues: Dict[str, Dialogue] = {}
    gather = False
    while clock() < limit:
        wait = limit - clock()
        for name in ports.open():
            now = clock()
            if name not in dialogues:
                dialogues[name] = Dialogue(now, _on_port(name, trace), held or {}, ids)
            request = dialogues[name].data_to_send(now)
            if request:
                ports.write(name, request)
            wait = min(wait, dialogues[name].seconds_until_due(now))
        for name, data in ports.read(wait, gather):
            dialogue = dialogues[name]
            dialogue.receive_data(data, clock())
            gather = dialogue.arriving and len(data) < FEW_BYTES
            if dialogue.refusal:
                raise _refused(name, dialogue.refusal)
            if dialogue.documents and dialogue.version:
                how = (dialogue.etags, dialogue.retries, clock() - began)
                return Result(name, dialogue.version, dialogue.documents, *how)
            if dialogue.progressed is not None:
                limit = dialogue.progressed + PROGRESS_SECONDS
                dialogues = {name: dialogue}
                ports.keep(name)
                break
    raise _failure(dialogues, ports.closed(), timeout)


def _on_port(name: str, trace: Trace) -> Trace:
    return lambda line: trace(f"{name} {line}")


def _refused(name: str, refusal: RefusedError) -> GuestError:
    kind, text = _REFUSALS[refusal.status]
    said = f": {refusal.sentence}" if refusal.sentence else ""
    return kind(text.format(name) + said)


def _failure(dialogues: Dict[str, Dialogue], closed: Dict[str, str], timeout: float) -> GuestError:
    """Return the most telling reason: a useless answer, else one that was not finished, else silence."""
    for name, dialogue in dialogues.items():
        if dialogue.fault:
            return UnusableAnswerError(
                f"the answer on {name} cannot be used: {dialogue.fault}; correct the definition of this VM, "
                "or see whether something else writes to that port"
            )
    for name, dialogue in dialogues.items():
        if dialogue.busy is not None:
            said = f": {dialogue.busy}" if dialogue.busy else ""
            return NoAnswerError(f"no answer in time: the server on {name} is busy{said}")
        if dialogue.progressed is not None:
            return NoAnswerError(
                f"{name} answered, then gave nothing more for {PROGRESS_SECONDS:g} s while "
                f"{dialogue.awaited} was awaited; look into the server's log"
            )
    reasons = [f"{name} {reason}" for name, reason in closed.items()]
    silent = [name for name in dialogues if name not in closed]
    if silent:
        reasons.insert(0, f"nobody answers on {', '.join(silent)}")
    return NoAnswerError(
        f"no answer within {timeout:g} s: {'; '.join(reasons)}; check that the VM's serial port is connected "
        "to the server, and that the server has a definition for this VM"
    )
