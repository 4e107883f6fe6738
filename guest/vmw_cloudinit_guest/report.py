"""One report, sent on a port that is open: the guest's word to the server, of version 2 of the packets.

What it says, and when there is one, is for others to know. Nobody must be sent one who has not answered in
version 2: a server of 0.0.8 would disconnect.
"""

from typing import Callable, List, Optional

from vmw_cloudinit_guest.client import Ports
from vmw_cloudinit_guest.dialogue import Trace
from vmw_cloudinit_guest.ids import fresh_id
from vmw_cloudinit_wire import LineBuffer, PacketError, decode, encode, options

# Seconds without an acknowledgement until it goes out again.
REPEAT_SECONDS = 1.0
# An acknowledgement is a hundred bytes; before it there may be half an answer from before.
MAX_LINE = 65536


def send(
    ports: Ports,
    name: str,
    payload: bytes,
    seconds: float,
    clock: Callable[[], float],
    trace: Trace,
    ids: Callable[[], str] = fresh_id,
) -> bool:
    """Send a report; return whether the server has taken it.

    Args:
        ports: those that were asked, still open.
        name: the one of them that the server answered on.
        payload: JSON, at most 4 KiB.
        seconds: how long to wait for the acknowledgement.
        clock: monotonic seconds.
        trace: takes one line for each packet.
        ids: gives another eight hexadecimal digits whenever it is called.
    """
    end = clock() + seconds
    due = clock()
    lines = LineBuffer(MAX_LINE)
    sent: List[str] = []
    while clock() < end:
        if clock() >= due:
            sent.append(ids())
            trace(f"{name} > REPORT_STATUS {len(payload)} bytes")
            report = options.answer("REPORT_STATUS", payload, [("v", "2"), ("id", sent[-1])])
            ports.write(name, encode(report, end=b"\n"))
            due = clock() + REPEAT_SECONDS
        for port, data in ports.read(max(0.0, min(due, end) - clock())):
            for line in lines.feed(data) if port == name else ():
                status = _status(line, sent)
                if status:
                    trace(f"{name} < RESPONSE_REPORT {status}")
                if status and status != "busy":  # which may be over when it goes out again
                    return status == "ok"
    return False


def _status(line: bytes, sent: List[str]) -> Optional[str]:
    """Return the status that a line gives one of our attempts: they all carried the same."""
    try:
        packet = decode(line)
    except PacketError:
        return None
    answer = options.read_answer(packet)
    if packet.code != "RESPONSE_REPORT" or answer is None or answer.get("id") not in sent:
        return None
    return answer.get("status")
