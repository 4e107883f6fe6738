"""Where a guest finds a simulated VM's serial port: a pty, or a Unix socket for QEMU.

A port is a context manager that makes, and removes, what the guest opens. ``bridge`` moves the bytes, with
back-pressure both ways: what one side does not take is not read from the other.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, Self

from vmw_cloudinit_metadata.errors import SimulatorError
from vmw_cloudinit_metadata.simulator.vm import SimulatedVM

CHUNK = 64 * 1024

_PTS = "/dev/pts/"


class SerialPort(Protocol):
    """What the guest's side of a serial port can be."""

    path: str  # what the guest, or QEMU, opens; known once the port is entered

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    async def bridge(self, vm: SimulatedVM) -> None:
        """Move bytes between the guest and the VM's connection, until cancelled or the VM ends."""


class PtyPort:
    """A pseudo-terminal.

    The guest's side is left as the kernel makes it, cooked and echoing, as a tty of a VM is at boot.
    """

    def __init__(self, link: Path | None = None) -> None:
        """``link``: a symbolic link to make to the pty, whose own name changes from run to run."""
        self.path = ""
        self._link = link
        self._device = ""

    def __enter__(self) -> Self:
        try:
            # The guest's side stays open here: a pty whose last user has left gives EIO at once and for ever,
            # and a guest may open and close its port as often as it likes.
            self._master, self._slave = os.openpty()
        except OSError as error:
            raise SimulatorError(f"cannot make a pty: {error.strerror}") from None
        os.set_blocking(self._master, False)
        self._device = self.path = os.ttyname(self._slave)
        if self._link:
            try:
                self._make_link(self._link)
            except BaseException:
                self._close()
                raise
            self.path = str(self._link)
        return self

    def __exit__(self, *error: object) -> None:
        if self._link and self._link.is_symlink() and os.readlink(self._link) == self._device:
            self._link.unlink()
        self._close()

    async def bridge(self, vm: SimulatedVM) -> None:
        """Move bytes between the pty and the VM's connection, until cancelled or the VM ends."""
        await until_first(self._from_guest(vm), self._to_guest(vm))

    async def _from_guest(self, vm: SimulatedVM) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await _ready(self._master, loop.add_reader, loop.remove_reader)
            try:
                data = os.read(self._master, CHUNK)
            except BlockingIOError:
                continue
            await vm.write(data)

    async def _to_guest(self, vm: SimulatedVM) -> None:
        loop = asyncio.get_running_loop()
        while data := await vm.read(CHUNK):
            while data:
                await _ready(self._master, loop.add_writer, loop.remove_writer)
                try:
                    data = data[os.write(self._master, data) :]
                except BlockingIOError:
                    continue

    def _make_link(self, link: Path) -> None:
        try:
            if link.is_symlink() and os.readlink(link).startswith(_PTS):
                link.unlink()  # of an earlier run, which was killed
            link.symlink_to(self._device)
        except OSError as error:
            raise SimulatorError(f"cannot link {link} to a pty: {error.strerror}") from None

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class UnixPort:
    """A Unix socket that listens, for ``qemu -chardev socket,id=s0,path=PATH -serial chardev:s0``."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._inode = 0

    def __enter__(self) -> Self:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        # User-data goes over it: nobody but us may connect, from the first moment on.
        umask = os.umask(0o177)
        try:
            self._remove_stale()
            self._listener.bind(self.path)
            self._listener.listen()
            self._inode = os.stat(self.path).st_ino
        except BaseException as error:
            self._listener.close()
            if isinstance(error, OSError):
                raise SimulatorError(f"cannot listen on {self.path}: {error.strerror or error}") from None
            raise
        finally:
            os.umask(umask)
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        path = Path(self.path)
        if path.exists() and path.stat().st_ino == self._inode:
            path.unlink()

    async def bridge(self, vm: SimulatedVM) -> None:
        """Serve one client after the other, until cancelled or the VM ends; the next one waits."""
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listener)
            with client:
                try:
                    await until_first(_from_client(client, vm), _to_client(client, vm))
                except ConnectionError:
                    continue  # QEMU was killed; the next one may come

    def _remove_stale(self) -> None:
        """Remove the socket of an earlier run that was killed: nobody listens there."""
        if not Path(self.path).is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                os.unlink(self.path)
            else:
                raise SimulatorError(f"cannot listen on {self.path}: another program does")


async def until_first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run all until the first one ends, cancel the others, and raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _from_client(client: socket.socket, vm: SimulatedVM) -> None:
    while data := await asyncio.get_running_loop().sock_recv(client, CHUNK):
        await vm.write(data)


async def _to_client(client: socket.socket, vm: SimulatedVM) -> None:
    while data := await vm.read(CHUNK):
        await asyncio.get_running_loop().sock_sendall(client, data)


async def _ready(
    descriptor: int, add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool]
) -> None:
    """Wait until a descriptor can be read or written; it is watched no longer than that."""
    ready = asyncio.get_running_loop().create_future()

    def set_ready() -> None:
        remove(descriptor)
        ready.set_result(None)

    add(descriptor, set_ready)
    try:
        await ready
    finally:
        remove(descriptor)
