"""The tty: which serial ports there are, opened raw and locked, read side by side, left as they were found.

Nothing else in the guest touches a descriptor of a port. pyserial opens and configures it; the lock and the
old settings are kept here, since pyserial restores nothing, and locks only from 3.3 on (EL 8 has an older
one).
"""

import contextlib
import errno
import fcntl
import os
import re
import select
import termios
import time
from typing import Any, Dict, List, Optional, Tuple

import serial

from vmw_cloudinit_guest.client import Ports
from vmw_cloudinit_guest.errors import NoPortError

BAUD_RATE = 115200
# Much more than the kernel holds for a tty, so that one read takes all there is.
READ_SIZE = 65536
# A 16550 gives eight or fourteen bytes at a time. To look at each of them takes an emulated machine longer
# than to receive them: it got half of what cat gets, and so gets more. In this time 1.5 KiB come at 150
# KiB/s, of which the kernel holds 4, and a hundred bytes at 115200 baud.
GATHER_SECONDS = 0.01
# A request is some twenty bytes; a port that does not take them in this time is stuck, and must not hold up
# the others.
WRITE_SECONDS = 0.5
# A port in use, or one that has hung up, is tried again this often.
REOPEN_SECONDS = 0.25


class PortError(Exception):
    """A port cannot be opened, or has hung up; the text goes on after the port's name."""


class PortBusyError(PortError):
    """Another program has the port; it may be free later."""


def find_ports(dev: str = "/dev", sysfs: str = "/sys", proc: str = "/proc") -> List[str]:
    """Return the paths of the serial ports that exist and are not the console, in the order of their numbers.

    There are nodes for ports that do not exist; the kernel gives these the type 0 (PORT_UNKNOWN).

    Raises:
        NoPortError: there are none, or the consoles are not known.
    """
    try:
        with open(os.path.join(proc, "consoles")) as lines:
            consoles = {line.split()[0] for line in lines if line.strip()}
        numbers = sorted(
            int(name[4:])
            for name in os.listdir(os.path.join(sysfs, "class/tty"))
            if re.fullmatch("ttyS[0-9]+", name) and _exists(name, dev, sysfs)
        )
    except OSError as error:
        raise NoPortError(f"cannot look for serial ports: {error}; name one with --port") from None
    names = [f"ttyS{number}" for number in numbers]
    free = [name for name in names if name not in consoles]
    if not free:
        there_are = f"{', '.join(names)} is the console" if names else "there is none"
        raise NoPortError(
            f"no serial port to ask on: {there_are}; add a serial port to the VM, or name one with --port"
        )
    return [os.path.join(dev, name) for name in free]


def _exists(name: str, dev: str, sysfs: str) -> bool:
    with open(os.path.join(sysfs, "class/tty", name, "type")) as value:
        return value.read().strip() != "0" and os.path.exists(os.path.join(dev, name))


class SerialPort:
    """One port: locked, raw, 115200 8N1 without flow or modem control while open; afterwards as it was.

    The lock is flock's, as pyserial and others use it. TIOCEXCL is not set: it does not keep root out, and
    would outlive a killed process on a pty.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Held before and after pyserial's own descriptor, for the lock and the settings.
        self._keeper: Optional[int] = None
        self._settings: Optional[List[Any]] = None
        self._serial: Optional[serial.Serial] = None

    @property
    def is_open(self) -> bool:
        """Whether the port can be read and written."""
        return self._serial is not None

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        if self._serial is None:
            raise ValueError(f"{self.path} is not open")
        return int(self._serial.fileno())

    def open(self) -> None:
        """Lock the port, remember its settings, make it raw and discard what had been received.

        Raises:
            PortBusyError: another program holds the lock.
            PortError: it cannot be opened, or is no serial port.
        """
        try:
            # O_NONBLOCK: else opening waits for a carrier, which a virtual port may not have.
            flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
            self._keeper = os.open(self.path, flags)
            fcntl.flock(self._keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._settings = termios.tcgetattr(self._keeper)
            self._serial = _open_raw(self.path)
        except (OSError, termios.error) as error:
            self.close()
            raise _port_error(error, self.path) from None
        except BaseException:
            self.close()
            raise

    def read(self) -> bytes:
        """Return what has been received, without waiting.

        Raises:
            PortError: the port has hung up.
        """
        if self._serial is None:
            return b""
        try:
            return bytes(self._serial.read(READ_SIZE))
        except serial.SerialException:
            raise PortError("has hung up") from None

    def write(self, data: bytes) -> None:
        """Send the bytes; those that a stuck port does not take are lost.

        Raises:
            PortError: the port has hung up.
        """
        if self._serial is None:
            return
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            pass
        except serial.SerialException:
            raise PortError("has hung up") from None

    def close(self) -> None:
        """Give the port back: nothing left in its buffers, its settings as they were, unlocked."""
        with contextlib.ExitStack() as stack:
            if self._keeper is not None:
                stack.callback(os.close, self._keeper)
                # A port that has hung up has no settings any more.
                stack.enter_context(contextlib.suppress(termios.error))
            if self._serial is not None:
                stack.callback(self._serial.close)
            if self._keeper is not None and self._settings is not None:
                # What is left of an answer must not reach a getty as a user's name; what is not sent would
                # hold up close() for half a minute on a port that nobody reads.
                termios.tcflush(self._keeper, termios.TCIOFLUSH)
                termios.tcsetattr(self._keeper, termios.TCSANOW, self._settings)
        self._keeper = self._settings = self._serial = None


def _open_raw(path: str) -> serial.Serial:
    # With dsrdtr and rtscts pyserial leaves the modem lines alone while opening. A pty has none, which EL 8's
    # pyserial takes for an error. dsrdtr means nothing else on POSIX; flow control is off before any byte.
    port = serial.Serial(path, BAUD_RATE, timeout=0, write_timeout=WRITE_SECONDS, dsrdtr=True, rtscts=True)
    port.rtscts = False
    return port


def _port_error(error: Exception, path: str) -> PortError:
    # termios.error is no OSError, and pyserial's own errors do not always carry a number.
    number = error.errno if isinstance(error, OSError) else error.args[0]
    if number in (errno.EAGAIN, errno.EBUSY):
        return PortBusyError("is in use by another program")
    if number == errno.ENOTTY:
        return PortError("is not a serial port")
    if number == errno.EIO:
        return PortError("has no device behind it")
    reason = os.strerror(number) if number else str(error)
    if number == errno.ENOENT and os.path.dirname(path) == "/dev":
        reason += ' (a path elsewhere needs a "/")'  # perhaps what was written was a name alone
    return PortError(f"cannot be opened: {reason}")


class SerialPorts(Ports):
    """Several ports by name, the name being the path without ``/dev/``.

    A port that cannot be opened at all is left out from then on; one that is in use, or has hung up, is
    tried again. Use it in a ``with contextlib.closing(...)``.
    """

    def __init__(self, paths: List[str]) -> None:
        self._ports = {path[5:] if path.startswith("/dev/") else path: SerialPort(path) for path in paths}
        self._closed: Dict[str, str] = {}
        self._useless: Dict[str, str] = {}
        self._next_attempt = time.monotonic()

    def open(self) -> List[str]:
        """Open what can be opened by now; see ``Ports``."""
        now = time.monotonic()
        if now >= self._next_attempt and not all(port.is_open for port in self._ports.values()):
            self._next_attempt = now + REOPEN_SECONDS
            for name, port in list(self._ports.items()):
                if not port.is_open:
                    self._open(name, port)
        if not self._ports:
            reasons = "; ".join(f"{path} {reason}" for path, reason in self._useless.items())
            raise NoPortError(f"no serial port to ask on: {reasons}")
        return [name for name, port in self._ports.items() if port.is_open]

    def write(self, name: str, data: bytes) -> None:
        """Send the bytes, or lose them; see ``Ports``."""
        try:
            self._ports[name].write(data)
        except PortError as error:
            self._lose(name, error)

    def read(self, seconds: float, gather: bool = False) -> List[Tuple[str, bytes]]:
        """Wait for bytes on any port; see ``Ports``."""
        ports = {port: name for name, port in self._ports.items() if port.is_open}
        if len(ports) < len(self._ports):
            seconds = min(seconds, REOPEN_SECONDS)
        received = []
        ready = select.select(list(ports), [], [], seconds)[0]
        if ready and gather:
            time.sleep(GATHER_SECONDS)
        for port in ready:
            try:
                received.append((ports[port], port.read()))
            except PortError as error:
                self._lose(ports[port], error)
        return received

    def keep(self, name: str) -> None:
        """Release all other ports for good; see ``Ports``."""
        for other in set(self._ports) - {name}:
            self._ports.pop(other).close()
            self._closed.pop(other, None)

    def closed(self) -> Dict[str, str]:
        """Return why ports are not open; see ``Ports``."""
        return dict(self._closed)

    def path(self, name: str) -> str:
        """Return the path of a port that is not given up."""
        return self._ports[name].path

    def close(self) -> None:
        """Give all ports back as they were found."""
        for port in self._ports.values():
            port.close()

    def _open(self, name: str, port: SerialPort) -> None:
        known = name in self._closed
        self._closed.pop(name, None)
        try:
            port.open()
        except PortError as error:
            if known or isinstance(error, PortBusyError):
                self._closed[name] = str(error)
            else:
                self._useless[port.path] = str(error)
                del self._ports[name]

    def _lose(self, name: str, error: PortError) -> None:
        self._ports[name].close()
        self._closed[name] = str(error)
