"""Ask on all ports at once until one of them has given all documents, or the time is up.

The candidates are asked side by side, not in turn: a dead port then costs nothing, and an answer that takes
its time finds its port still open. The first port with a usable METADATA answer is the one; the others are
released.

The ports come as an object with a few verbs (``Ports``) and time as a clock, so that nothing here touches a
descriptor.
"""

import abc
from typing import Callable, Dict, List, Tuple

from vmw_cloudinit_guest.dialogue import Dialogue, Trace
from vmw_cloudinit_guest.documents import Documents
from vmw_cloudinit_guest.errors import GuestError, NoAnswerError, UnusableAnswerError

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
    def read(self, seconds: float) -> List[Tuple[str, bytes]]:
        """Wait up to so many seconds; return what came, and on which port. May return early with nothing."""

    @abc.abstractmethod
    def keep(self, name: str) -> None:
        """Release all other ports for good."""

    @abc.abstractmethod
    def closed(self) -> Dict[str, str]:
        """Return why each port that is not open at the moment is not."""


def fetch(ports: Ports, timeout: float, clock: Callable[[], float], trace: Trace) -> Tuple[str, Documents]:
    """Return the name of the port that answered and the documents it gave.

    Args:
        ports: the ports to ask; they are left open.
        timeout: seconds for the first good answer; after it PROGRESS_SECONDS without progress are the limit.
        clock: monotonic seconds, since early at boot the time of day may jump.
        trace: takes one line for each packet: codes and sizes, no payload.

    Raises:
        NoPortError: there is no port to ask.
        NoAnswerError: nobody answered in time, or no longer.
        UnusableAnswerError: somebody did, but never with what a seed can be made of.
    """
    limit = clock() + timeout
    dialogues: Dict[str, Dialogue] = {}
    while clock() < limit:
        wait = limit - clock()
        for name in ports.open():
            now = clock()
            if name not in dialogues:
                dialogues[name] = Dialogue(now, _on_port(name, trace))
            request = dialogues[name].data_to_send(now)
            if request:
                ports.write(name, request)
            wait = min(wait, dialogues[name].seconds_until_due(now))
        for name, data in ports.read(wait):
            dialogue = dialogues[name]
            dialogue.receive_data(data, clock())
            if dialogue.documents:
                return name, dialogue.documents
            if dialogue.progressed is not None:
                limit = dialogue.progressed + PROGRESS_SECONDS
                dialogues = {name: dialogue}
                ports.keep(name)
                break
    raise _failure(dialogues, ports.closed(), timeout)


def _on_port(name: str, trace: Trace) -> Trace:
    return lambda line: trace(f"{name} {line}")


def _failure(dialogues: Dict[str, Dialogue], closed: Dict[str, str], timeout: float) -> GuestError:
    """Return the most telling reason: a useless answer, else one that was not finished, else silence."""
    for name, dialogue in dialogues.items():
        if dialogue.fault:
            return UnusableAnswerError(
                f"the answer on {name} cannot be used: {dialogue.fault}; correct the definition of this VM, "
                "or see whether something else writes to that port"
            )
    for name, dialogue in dialogues.items():
        if dialogue.progressed is not None and dialogue.question:
            return NoAnswerError(
                f"{name} answered, then gave nothing more for {PROGRESS_SECONDS:g} s while "
                f"{dialogue.question.response} was awaited; look into the server's log"
            )
    reasons = [f"{name} {reason}" for name, reason in closed.items()]
    silent = [name for name in dialogues if name not in closed]
    if silent:
        reasons.insert(0, f"nobody answers on {', '.join(silent)}")
    return NoAnswerError(
        f"no answer within {timeout:g} s: {'; '.join(reasons)}; check that the VM's serial port is connected "
        "to the server, and that the server has a definition for this VM"
    )
