"""One TCP connection: bytes from the transport to the core and back, events to the server."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from vmw_cloudinit_metadata.errors import ProtocolError
from vmw_cloudinit_metadata.log import ConnectionLog, address_text
from vmw_cloudinit_metadata.vspc.connection import VSPCConnection
from vmw_cloudinit_metadata.vspc.tls import HANDSHAKE, Certificate, TLSStream

if TYPE_CHECKING:
    from vmw_cloudinit_metadata.vspc.server import VSPCServer

_logger = logging.getLogger("vmw_cloudinit_metadata.vspc")

# What is in the kernel's buffer and the transport's goes out before GOAHEAD and makes a VM stand still
# longer, so both are kept small; the rest waits in the port, where a vMotion can take it along.
SEND_BUFFER = 16 * 1024
SEND_PIECE = 16 * 1024

# A host speaks first, at once, and gets what the server opens with and the answer in one segment; one that
# waits for the server waits no longer than this.
OPENING_SECONDS = 0.02


class VSPCProtocol(asyncio.BufferedProtocol):
    """Carry a port between a transport and the server. Of a vMotion's two connections each has its own."""

    __slots__ = (
        *("_closing", "_open", "_receiving", "_server", "_silent", "_tls", "_unread_timer", "_writable"),
        *("address", "core", "logger", "transport"),
    )

    def __init__(self, server: "VSPCServer", certificate: Certificate | None = None) -> None:
        self._server = server
        self._tls = certificate.new_stream() if certificate else None
        self._writable = True
        self._silent = True  # the peer has not said anything yet
        self._open = False  # admitted, and the peer's stream has not ended
        self._receiving = False  # a read is being dealt with
        self._closing = False  # close when all is sent
        self._unread_timer: asyncio.TimerHandle | None = None  # runs while the peer takes no more
        self.address = ""
        self.transport: asyncio.Transport
        self.core: VSPCConnection
        self.logger: ConnectionLog

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the dialogue, unless the server has its fill."""
        self.transport = cast(asyncio.Transport, transport)
        # A peer that is gone already has no name.
        address, port = (self.get_extra_info("peername") or ("gone", 0))[:2]
        # A socket of systemd's takes IPv4 as well, and then has its addresses as IPv6's.
        self.address = address.removeprefix("::ffff:")
        self.logger = ConnectionLog(_logger, address_text(self.address, port))
        if not self._server.admit(self):
            self.transport.abort()
            return
        if self.logger.isEnabledFor(logging.DEBUG):
            self.logger.debug("connected")
        self.transport.set_write_buffer_limits(high=SEND_BUFFER)
        self.core = self._server.new_connection(self.logger, self.address)
        self._open = True
        self._server.identifying.start(self)
        self._server.opening.start(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the server's buffer: it is emptied before the loop turns to another connection."""
        return self._server.receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was received."""
        server = self._server
        if nbytes == len(server.receive_buffer):
            # There is more: let the others have their turn first. uvloop would read 32 times in a row.
            self.transport.pause_reading()
            server.loop.call_soon(self._read_on)
        if self._closing:
            return
        data = server.receive_buffer[:nbytes].tobytes()
        silent, self._silent = self._silent, False
        if silent:
            server.opening.stop(self)
        if self._tls is not None:
            self._receive_encrypted(self._tls, data)
        elif silent and data[0] == HANDSHAKE:
            reason = "speaks TLS, and this port does not: is its vSPC URI telnet://?"
            server.log_end(self, "plain", logging.WARNING, "closed: %s", reason)
            self.transport.abort()
        else:
            self._receive(data)

    def eof_received(self) -> None:
        """Take the peer's end of the stream: nobody is left to read what is unsent."""
        self._end_of_stream()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection, for whatever reason."""
        self._end_of_stream()
        self._server.closing.stop(self)
        self._server.dismiss(self)

    def pause_writing(self) -> None:
        """Stop: the peer does not take more at the moment, and has its time to go on."""
        self._writable = False
        self._expect_reader()

    def resume_writing(self) -> None:
        """Go on: the peer has taken what there was."""
        self._writable = True
        self._cancel(self._unread_timer)
        self.flush()

    def _receive(self, data: bytes) -> None:
        self._receiving = True
        try:
            self.core.receive_data(data)
            self._server.handle_events(self)
        finally:
            self._receiving = False
        if self.core.deadline is not None and self not in self._server.naming:
            self._server.naming.start(self)
        self.flush()

    def _receive_encrypted(self, tls: TLSStream, data: bytes) -> None:
        try:
            data = tls.receive_data(data)
        except ProtocolError as error:
            self._server.log_end(self, "tls", logging.WARNING, "closed: %s", error)
            self.close_when_sent()
            return
        self._receive(data)
        if tls.ended:
            self.eof_received()

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # What the server calls

    def flush(self) -> None:
        """Send what is to be sent, as far as the peer takes it; what a read has brought about, together."""
        if self._receiving:
            return  # it ends with a flush
        while self._writable and not self.transport.is_closing():
            if self.transport.get_write_buffer_size() > SEND_BUFFER:
                # uvloop writes at the end of its turn, and only then says whether the peer takes more.
                self._server.loop.call_soon(self.flush)
                return
            if data := self._data_to_send():
                self.transport.write(data)
                self._server.output_sent(self.core.port)
                if self.core.port.unsent or self._closing:
                    continue
            elif self._closing:
                self._close()
            return

    def close_when_sent(self) -> None:
        """Take nothing more, and close when all is sent; a peer that does not read it has its time, too."""
        self._closing = True
        if self not in self._server.identifying and self not in self._server.closing:
            self._server.closing.start(self)
        self.flush()

    def abort(self) -> None:
        """End the connection at once; what is unsent is lost."""
        self.transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows, e.g. ``peername``."""
        return self.transport.get_extra_info(name, default)

    def _data_to_send(self) -> bytes:
        if self._tls is None:
            return self.core.data_to_send(SEND_PIECE)
        if self._tls.established and (data := self.core.data_to_send(SEND_PIECE)):
            self._tls.send(data)
        return self._tls.data_to_send()

    # Ends and timers

    def _close(self) -> None:
        if self._tls is not None:
            self._tls.close()
            self.transport.write(self._tls.data_to_send())
        self.transport.close()  # which sends what it holds

    def _end_of_stream(self) -> None:
        if not self._open:
            return
        self._open = False
        for timeouts in (self._server.opening, self._server.identifying, self._server.naming):
            timeouts.stop(self)
        self._cancel(self._unread_timer)
        self.core.receive_eof()
        self._server.handle_events(self)

    def time_is_up(self) -> None:
        """Close a connection that has not said which VM it is; the server calls it."""
        if self.core.awaits_vmotion:
            # A destination waits as long as the vMotion may last, which the table limits.
            self._server.identifying.start(self)
            return
        shaking_hands = self._tls is not None and not self._tls.established
        what = "finish the TLS handshake" if shaking_hands else "say which VM it is"
        seconds = self._server.options.identify_seconds
        self._server.log_end(self, what, logging.INFO, "closed: did not %s in %g s", what, seconds)
        self.transport.abort()

    def go_on_without_uuids(self) -> None:
        """Serve a VM that has not said all it was asked; the server calls it."""
        self.core.check_deadline()
        self._server.handle_events(self)
        self.flush()

    def _expect_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        seconds = self._server.options.unread_seconds
        self._unread_timer = self._server.loop.call_later(seconds, self._check_reader, unread)

    def _check_reader(self, unread: int) -> None:
        # Nothing is added meanwhile: what is there can only become less. A VM in its vMotion stands still and
        # reads nothing.
        if self.transport.get_write_buffer_size() < unread or self._moves_away:
            self._expect_reader()
            return
        seconds = self._server.options.unread_seconds
        self.logger.warning("closed: has read none of its output for %g s", seconds)
        self.transport.abort()

    @property
    def _moves_away(self) -> bool:
        return self.core.port.held and self.core.port.carrier is self.core

    @staticmethod
    def _cancel(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
