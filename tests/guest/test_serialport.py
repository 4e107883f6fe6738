import contextlib
import fcntl
import os
import re
import select
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Iterator, List, Optional

import pytest
import serial

from tests.guest.line import Pty
from vmw_cloudinit_guest import serialport
from vmw_cloudinit_guest.errors import NoPortError
from vmw_cloudinit_guest.serialport import PortBusyError, PortError, SerialPort, SerialPorts, find_ports


@pytest.fixture
def line() -> Iterator[Pty]:
    with contextlib.closing(Pty()) as line:
        yield line


@pytest.fixture
def other_line() -> Iterator[Pty]:
    with contextlib.closing(Pty()) as line:
        yield line


def received(ports: SerialPorts, size: int) -> bytes:
    data = b""
    deadline = time.monotonic() + 10
    while len(data) < size and time.monotonic() < deadline:
        data += b"".join(piece for _, piece in ports.read(1.0))
    return data


def test_an_open_port_is_raw_and_does_not_echo(line: Pty) -> None:
    assert line.settings()[3] & termios.ECHO
    port = SerialPort(line.path)
    port.open()
    try:
        iflag, oflag, cflag, lflag, ispeed, ospeed, _ = line.settings()
        assert not lflag & (termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        assert not iflag & (termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP)
        assert not iflag & (termios.IXON | termios.IXOFF | termios.IXANY)
        assert not oflag & termios.OPOST
        assert cflag & termios.CSIZE == termios.CS8
        assert cflag & termios.CLOCAL
        assert not cflag & (termios.CRTSCTS | termios.PARENB | termios.CSTOPB)
        assert ispeed == ospeed == termios.B115200
        os.write(line.host, b"\x00\x03\x11\x13\xff\r\n")
        ready, _, _ = select.select([port], [], [], 10)
        assert ready
        assert port.read() == b"\x00\x03\x11\x13\xff\r\n"
        assert line.received() == b""
        port.write(b"!!REQUEST_METADATA#\n")
        assert line.received() == b"!!REQUEST_METADATA#\n"
    finally:
        port.close()


def test_a_closed_port_has_its_settings_back(line: Pty) -> None:
    before = line.settings()
    port = SerialPort(line.path)
    port.open()
    assert line.settings() != before
    port.close()
    assert line.settings() == before
    port.close()


def test_settings_come_back_when_opening_fails_half_way(line: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    before = line.settings()

    class Failing(serial.Serial):
        def open(self) -> None:
            super().open()
            super().close()
            raise KeyboardInterrupt

    monkeypatch.setattr(serial, "Serial", Failing)
    port = SerialPort(line.path)
    with pytest.raises(KeyboardInterrupt):
        port.open()
    assert line.settings() == before
    assert not port.is_open
    monkeypatch.undo()
    port.open()
    port.close()


def test_no_descriptor_is_left_open(line: Pty) -> None:
    before = os.listdir("/proc/self/fd")
    port = SerialPort(line.path)
    port.open()
    port.close()
    with pytest.raises(PortError):
        SerialPort("/dev/null").open()
    assert os.listdir("/proc/self/fd") == before


def test_what_came_before_opening_is_discarded(line: Pty) -> None:
    os.write(line.host, b"half a line of an earlier boot\n")
    with contextlib.closing(SerialPorts([line.path])) as ports:
        (name,) = ports.open()
        assert ports.read(0.05) == []
        os.write(line.host, b"new")
        assert ports.read(10) == [(name, b"new")]


def test_what_is_left_of_an_answer_does_not_reach_the_next_reader(line: Pty) -> None:
    port = SerialPort(line.path)
    port.open()
    os.write(line.host, b"cm9vdA==\n")
    select.select([port], [], [], 10)
    port.close()
    tty.setraw(line.guest, termios.TCSANOW)  # the default would flush what is left itself
    assert select.select([line.guest], [], [], 0.05)[0] == []


def test_a_port_is_locked_while_it_is_open(line: Pty) -> None:
    first, second = SerialPort(line.path), SerialPort(line.path)
    first.open()
    raw = line.settings()
    with pytest.raises(PortBusyError, match="in use by another program"):
        second.open()
    assert line.settings() == raw, "the one that is refused must not touch the other's settings"
    first.close()
    second.open()
    second.close()


def test_a_lock_of_any_program_that_uses_flock_counts(line: Pty) -> None:
    fcntl.flock(line.guest, fcntl.LOCK_EX)
    with pytest.raises(PortBusyError):
        SerialPort(line.path).open()


def test_a_port_in_use_is_opened_once_it_is_free(line: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialport, "REOPEN_SECONDS", 0.01)
    fcntl.flock(line.guest, fcntl.LOCK_EX)
    with contextlib.closing(SerialPorts([line.path])) as ports:
        assert ports.open() == []
        assert list(ports.closed().values()) == ["is in use by another program"]
        began = time.monotonic()
        assert ports.read(10) == []
        assert time.monotonic() - began < 5, "it must look again before long"
        fcntl.flock(line.guest, fcntl.LOCK_UN)
        assert len(ports.open()) == 1
        assert ports.closed() == {}


def test_many_bytes_come_in_few_reads(line: Pty) -> None:
    with contextlib.closing(SerialPorts([line.path])) as ports:
        ports.open()
        os.write(line.host, b"x" * 3000)
        assert received(ports, 3000) == b"x" * 3000


def test_what_comes_in_a_moment_is_gathered_into_one_read_if_that_is_wanted(
    line: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: List[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        os.write(line.host, b"second")

    with contextlib.closing(SerialPorts([line.path])) as ports:
        (name,) = ports.open()
        monkeypatch.setattr(time, "sleep", sleep)
        assert ports.read(0.01, gather=True) == []  # nothing has come that more would belong to
        os.write(line.host, b"first ")
        assert ports.read(10, gather=True) == [(name, b"first second")]
        assert waits == [serialport.GATHER_SECONDS]


def test_ports_are_read_side_by_side(line: Pty, other_line: Pty) -> None:
    with contextlib.closing(SerialPorts([line.path, other_line.path])) as ports:
        first, second = ports.open()
        os.write(other_line.host, b"b")
        assert ports.read(10) == [(second, b"b")]
        ports.write(first, b"a")
        assert (line.received(), other_line.received()) == (b"a", b"")


def test_the_ports_that_are_not_kept_are_given_back_at_once(line: Pty, other_line: Pty) -> None:
    before = other_line.settings()
    with contextlib.closing(SerialPorts([line.path, other_line.path])) as ports:
        first, _ = ports.open()
        ports.keep(first)
        assert other_line.settings() == before
        assert ports.open() == [first]
        port = SerialPort(other_line.path)
        port.open()
        port.close()


def test_names_are_paths_without_dev(line: Pty) -> None:
    with contextlib.closing(SerialPorts([line.path])) as ports:
        assert ports.open() == [line.path[len("/dev/") :]]


def test_a_port_that_hangs_up_is_opened_again_when_it_is_back(
    line: Pty, other_line: Pty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a simulated host that is restarted: its pty goes, and the link leads to a new one."""
    monkeypatch.setattr(serialport, "REOPEN_SECONDS", 0.01)
    link = tmp_path / "port"
    link.symlink_to(line.path)
    with contextlib.closing(SerialPorts([str(link)])) as ports:
        (name,) = ports.open()
        line.hang_up()
        assert ports.read(10) == []
        assert ports.closed() == {name: "has hung up"}
        ports.read(0.05)
        assert ports.open() == []
        link.unlink()
        link.symlink_to(other_line.path)
        ports.read(0.05)
        assert ports.open() == [name]
        os.write(other_line.host, b"back")
        assert ports.read(10) == [(name, b"back")]


def test_writing_to_a_port_that_has_hung_up_loses_the_bytes_and_no_more(line: Pty) -> None:
    with contextlib.closing(SerialPorts([line.path])) as ports:
        (name,) = ports.open()
        line.hang_up()
        ports.write(name, b"!!REQUEST_METADATA#\n")
        assert ports.closed() == {name: "has hung up"}
        ports.write(name, b"!!REQUEST_METADATA#\n")


def test_a_stuck_port_does_not_hold_up_the_others(line: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialport, "WRITE_SECONDS", 0.05)
    with contextlib.closing(SerialPorts([line.path])) as ports:
        (name,) = ports.open()
        ports.write(name, b"x" * 1000000)
        assert ports.open() == [name]


def test_what_the_line_does_not_take_at_once_is_sent_when_it_does(line: Pty) -> None:
    data = bytes(range(256)) * 400
    with contextlib.closing(SerialPorts([line.path])) as ports:
        (name,) = ports.open()
        came = bytearray()

        def host() -> None:
            while len(came) < len(data):
                came.extend(os.read(line.host, 4096))

        reader = threading.Thread(target=host)
        reader.start()
        ports.write(name, data)
        reader.join(10)
    assert bytes(came) == data


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/null", "/dev/null is not a serial port"),
        (__file__, f"{re.escape(__file__)} is not a serial port"),
        ("/dev/ttyS4711", '/dev/ttyS4711 cannot be opened: No such file .*a path elsewhere needs a "/"'),
        ("./nowhere", "\\./nowhere cannot be opened: No such file or directory$"),
        (".", "cannot be opened: Is a directory"),
    ],
)
def test_what_cannot_be_opened_at_all_is_no_port(path: str, reason: str) -> None:
    with contextlib.closing(SerialPorts([path])) as ports, pytest.raises(NoPortError, match=reason):
        ports.open()


def test_a_useless_port_does_not_keep_a_good_one_from_being_asked(line: Pty) -> None:
    with contextlib.closing(SerialPorts(["/dev/null", line.path])) as ports:
        assert len(ports.open()) == 1


class Machine:
    """A machine's ports as the kernel shows them."""

    def __init__(self, root: Path, consoles: Optional[str] = "") -> None:
        self.root = root
        for directory in ("dev", "sys/class/tty", "proc"):
            (root / directory).mkdir(parents=True)
        if consoles is not None:
            (root / "proc/consoles").write_text(consoles)

    def add(self, name: str, kind: str = "4", node: bool = True) -> None:
        (self.root / "sys/class/tty" / name).mkdir()
        (self.root / "sys/class/tty" / name / "type").write_text(kind + "\n")
        if node:
            (self.root / "dev" / name).touch()

    def ports(self) -> List[str]:
        paths = find_ports(*(str(self.root / name) for name in ("dev", "sys", "proc")))
        return [os.path.relpath(path, str(self.root / "dev")) for path in paths]


CONSOLES = "tty0                 -WU (EC p  )    4:7\nttyS0                -W- (E  p a)    4:64\n"


def test_ports_are_found_that_exist_and_are_not_the_console(tmp_path: Path) -> None:
    machine = Machine(tmp_path, CONSOLES)
    for name in ("ttyS0", "ttyS10", "ttyS2", "ttyS1"):
        machine.add(name)
    machine.add("ttyS3", kind="0")
    machine.add("ttyS4", node=False)
    machine.add("tty1")
    machine.add("ttyUSB0")
    assert machine.ports() == ["ttyS1", "ttyS2", "ttyS10"]


def test_a_machine_with_nothing_but_a_console_is_told_so(tmp_path: Path) -> None:
    machine = Machine(tmp_path, CONSOLES)
    machine.add("ttyS0")
    with pytest.raises(NoPortError, match="ttyS0 is the console; add a serial port to the VM, or name one"):
        machine.ports()


def test_a_machine_without_ports_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NoPortError, match="there is none; add a serial port"):
        Machine(tmp_path).ports()


def test_without_a_list_of_consoles_no_port_is_guessed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, consoles=None)
    machine.add("ttyS1")
    with pytest.raises(NoPortError, match=r"consoles.*name one with --port"):
        machine.ports()
