"""THE SHELL: listening, limits, time-outs, worker threads, shutdown; what is said is the core's."""

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from vmw_cloudinit_metadata import log, systemd
from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import ConfigurationError
from vmw_cloudinit_metadata.log import ConnectionLog, address_text, describe
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.vspc import connection, events
from vmw_cloudinit_metadata.vspc.admission import Admission, Network, Tokens, is_loopback, most_connections
from vmw_cloudinit_metadata.vspc.connection import VSPCConnection
from vmw_cloudinit_metadata.vspc.keeping import Keeping
from vmw_cloudinit_metadata.vspc.listening import BACKLOG, TLS_NAME, open_sockets
from vmw_cloudinit_metadata.vspc.port import Port
from vmw_cloudinit_metadata.vspc.protocol import OPENING_SECONDS, VSPCProtocol
from vmw_cloudinit_metadata.vspc.run import RUN_SECONDS
from vmw_cloudinit_metadata.vspc.session import Session
from vmw_cloudinit_metadata.vspc.timeouts import Timeouts
from vmw_cloudinit_metadata.vspc.tls import Certificate
from vmw_cloudinit_metadata.vspc.vmotion import VMOTION_SECONDS, VMotionTable
from vmw_cloudinit_metadata.vspc.workers import Workers

DEFAULT_PORT = 13370
DEFAULT_TLS_PORT = 13371

# One read. No VM sends more than a few hundred bytes at a time; who sends more waits for its next turn of the
# loop, and nobody else does for long (6 ms for the worst there is, nothing but telnet negotiations).
RECEIVE_BUFFER = 4 * 1024

# The loop's timers may come a little before their time; a vMotion is over only after its own.
TIMER_SLACK = 0.01

# Calls of a thread-safe driver at once: enough to hide a slow disk, few enough for a small host.
DRIVER_THREADS = 8

# The garbage collector counts what is made less what is freed, and may come late: to look through what 16,000
# VMs got meanwhile takes it 0.3 s. Called after so many events, it looks at what is new for some ms.
GARBAGE_EVENTS = 512

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server listens and what it allows. Sizes are in bytes, times in seconds."""

    listen: tuple[tuple[str, int], ...] = (("", DEFAULT_PORT),)  # host and port; "" is every address
    tls_listen: tuple[tuple[str, int], ...] = ()  # the same, for TLS from the first byte
    certificate: Certificate | None = None  # for TLS
    # Sockets that systemd listens on, descriptor and name: if there are any, instead of the two above.
    inherited: tuple[tuple[int, str], ...] = ()
    allow: tuple[Network, ...] = ()  # who may connect; none: everyone
    tokens: Tokens = field(default_factory=Tokens)  # what a VM's service URI must carry; none: nothing
    state: StateDirectory | None = None  # where serving windows and reports are kept; None: nowhere
    limits: events.Limits = field(default_factory=events.Limits)
    max_connections: int | None = None  # None: what RLIMIT_NOFILE allows, less RESERVED_DESCRIPTORS
    max_connections_per_address: int | None = None  # None: no limit; one ESXi host brings hundreds of VMs
    # A VM that does not read gets no further answer while more than this is unsent; the longest answer there
    # may be comes on top.
    max_unsent: int = 1024 * 1024
    identify_seconds: float = 30.0  # a connection that has not said by then which VM it is, is closed
    # A VM that reads none of its output for so long is disconnected. Where a hypervisor paces by 9600 baud, a
    # host's receive buffer opens about once a minute.
    unread_seconds: float = 120.0
    stop_seconds: float = 5.0  # how long requests under way and unsent output may hold up the end

    def __post_init__(self) -> None:
        """Refuse TLS without a certificate, and a certificate without TLS: ``ConfigurationError``."""
        names = [name for _, name in self.inherited]
        speaks_tls = TLS_NAME in names if names else bool(self.tls_listen)
        if speaks_tls and self.certificate is None:
            raise ConfigurationError("TLS needs a certificate: give --tls-cert FILE")
        if self.certificate is not None and not speaks_tls:
            raise ConfigurationError(
                "there is a certificate, but nothing listens for TLS: give --tls-listen HOST:PORT"
                if not names
                else f"there is a certificate, but no socket of systemd's has FileDescriptorName={TLS_NAME}"
            )


class VSPCServer:
    """Serve the VMs whose service URI is ``uri`` from a driver.

    ``start`` blocks until ``stop``, SIGTERM or SIGINT, as in 0.0.8; inside an event loop of your own, use
    ``listen`` and ``close``.
    """

    def __init__(self, uri: str, driver: Driver, options: ServerOptions | None = None) -> None:
        self.uri = uri
        self.driver = driver
        self.options = options or ServerOptions()
        self.receive_buffer = memoryview(bytearray(RECEIVE_BUFFER))
        self.loop: asyncio.AbstractEventLoop
        self.opening: Timeouts[VSPCProtocol]  # connections that have not said anything
        self.identifying: Timeouts[VSPCProtocol]  # connections that have not said which VM they carry
        self.naming: Timeouts[VSPCProtocol]  # and those that were asked for its UUIDs
        self.closing: Timeouts[VSPCProtocol]  # connections that are to be closed when all is sent
        self.silent: Timeouts[Session]  # whose VMs have asked for nothing lately
        self._running = False  # connections are taken
        self._told_to_stop = False
        self._events = 0  # of all connections, since the garbage collector was called
        self._listeners: list[asyncio.Server] = []
        self._protocols: set[VSPCProtocol] = set()
        self._sessions: dict[Port, Session] = {}
        self._admission = Admission(
            self.options.allow,
            self.options.max_connections or most_connections(),
            self.options.max_connections_per_address,
        )
        self._workers = Workers(DRIVER_THREADS if driver.thread_safe else 1)
        self._keeping = Keeping(self.options.state, driver)
        self._vmotions: VMotionTable
        self.new_connection: Callable[[ConnectionLog, str], VSPCConnection]  # with its peer's address
        self._vmotion_timer: asyncio.TimerHandle | None = None  # of the vMotion that began first
        self._stopping = asyncio.Event()
        self._told_to_reload = asyncio.Event()
        self._empty = asyncio.Event()  # the last connection has ended

    # Starting and stopping

    def start(self) -> None:
        """Serve until told to stop.

        Raises:
            ListenError: an address cannot be listened on.
        """
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """End ``start``, even one that has not got far yet; may be called from any thread."""
        self._told_to_stop = True
        if self._running:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self.loop.call_soon_threadsafe(self._stopping.set)

    async def listen(self) -> list[tuple[str, int]]:
        """Begin to serve; return the addresses, those with TLS last, with the ports the system chose for 0.

        Raises:
            ListenError: an address cannot be listened on; then none is.
        """
        self.loop = loop = asyncio.get_running_loop()
        seconds = self.options.identify_seconds
        self.opening = Timeouts(loop, OPENING_SECONDS, VSPCProtocol.flush)
        self.identifying = Timeouts(loop, seconds, VSPCProtocol.time_is_up)
        self.naming = Timeouts(loop, connection.UUID_SECONDS, VSPCProtocol.go_on_without_uuids)
        self.closing = Timeouts(loop, seconds, VSPCProtocol.abort)
        self.silent = Timeouts(loop, RUN_SECONDS, Session.forget)
        self._vmotions = VMotionTable(self.loop.time, self._admission.most)
        new, limits, accept = VSPCConnection, self.options.limits, self.options.tokens.accept
        self.new_connection = functools.partial(
            new, self.uri, self._vmotions, loop.time, limits, accept_token=accept
        )
        sockets = open_sockets(self.options.listen, self.options.tls_listen, self.options.inherited)
        self._running = True
        addresses = []
        for one, tls in sockets:
            host, port = one.getsockname()[:2]
            addresses.append((host, port))
            factory = functools.partial(VSPCProtocol, self, self.options.certificate if tls else None)
            self._listeners.append(await self.loop.create_server(factory, sock=one, backlog=BACKLOG))
            _logger.info("listening %son %s", "for TLS " if tls else "", address_text(host, port))
        open_to_all = not (self.options.allow or self.options.tokens)
        if open_to_all and not all(is_loopback(host) for host, _ in addresses):
            _logger.warning(
                "anyone who can connect can claim to be any VM: give --allow CIDR, the network of your ESXi"
                " hosts, or --token-file FILE"
            )
        return addresses

    async def close(self) -> None:
        """Stop: answer what was asked, send what is queued, for ``stop_seconds`` at most; then close all."""
        if not self._running:
            return
        self._running = False
        deadline = self.loop.time() + self.options.stop_seconds
        for listener in self._listeners:
            listener.close()
        if tasks := [session.task for session in self._sessions.values() if session.task]:
            await asyncio.wait(tasks, timeout=self.options.stop_seconds)
        for protocol in list(self._protocols):
            protocol.close_when_sent()
        for end in (deadline, deadline + 1):  # the second time for what abort() takes to take effect
            if self._protocols:
                self._empty.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(end):
                        await self._empty.wait()
            for protocol in list(self._protocols):
                protocol.abort()
        for session in list(self._sessions.values()):
            session.close()
        for timeouts in (self.opening, self.identifying, self.naming, self.closing, self.silent):
            timeouts.close()
        self._sessions.clear()
        await self._keeping.close(deadline - self.loop.time())
        try:
            async with asyncio.timeout_at(deadline + 1):
                await self._workers.run(self.driver.close)
        except TimeoutError:
            _logger.warning("the driver was not closed: it is still busy")
        except Exception as error:
            _logger.error("the driver could not close: %s", describe(error))
        self._workers.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        # Before anyone can see that we listen. Not in the main thread: who started us there calls stop().
        with contextlib.suppress(ValueError, RuntimeError):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stopping.set)
            loop.add_signal_handler(signal.SIGHUP, self._told_to_reload.set)
        await self.listen()
        if self._told_to_stop:
            self._stopping.set()
        systemd.notify("READY=1")
        background = [loop.create_task(each) for each in (self._feed_watchdog(), self._reload())]
        with log.by_turns(loop.call_soon):
            try:
                await self._stopping.wait()
            finally:
                for task in background:
                    task.cancel()
                systemd.notify("STOPPING=1")
                _logger.info("stopping")
                await self.close()

    async def _feed_watchdog(self) -> None:
        if (seconds := systemd.watchdog_seconds()) is None:
            return
        while True:
            systemd.notify("WATCHDOG=1")
            await asyncio.sleep(seconds)

    async def _reload(self) -> None:
        while await self._told_to_reload.wait():
            self._told_to_reload.clear()
            systemd.notify_reloading()
            self._reload_files()
            try:
                await self._workers.run(self.driver.reload)
                _logger.info("reloaded")
            except Exception as error:
                _logger.error("the driver could not reload: %s", describe(error))
            systemd.notify("READY=1")

    def _reload_files(self) -> None:
        for what, files in (
            ("certificate stays", self.options.certificate),
            ("tokens stay", self.options.tokens),
        ):
            try:
                if files is not None:
                    files.reload()
            except ConfigurationError as error:
                _logger.error("the %s as before: %s", what, error)

    # What connections ask of the server

    def admit(self, protocol: VSPCProtocol) -> bool:
        """Count a connection in, or refuse it: not allowed, a limit is reached, or the server is stopping."""
        if not (self._running and self._admission.admit(protocol.address)):
            return False
        self._protocols.add(protocol)
        return True

    def dismiss(self, protocol: VSPCProtocol) -> None:
        """Count a connection out."""
        if protocol not in self._protocols:
            return
        self._protocols.remove(protocol)
        self._admission.dismiss(protocol.address)
        if not self._protocols:
            self._empty.set()

    def log_end(self, protocol: VSPCProtocol, kind: str, level: int, text: str, *args: object) -> None:
        """Log why a connection ends, of each kind a line so often: who is closed may come again at once."""
        if count := self._admission.count_refusal(kind):
            more = f" (and {count - 1} connections before it)" if count > 1 else ""
            protocol.logger.log(level, f"{text}%s", *args, more)

    def output_sent(self, port: Port) -> None:
        """Tell the VM's session, which may wait for room."""
        if session := self._sessions.get(port):
            session.output_sent()

    def handle_events(self, protocol: VSPCProtocol) -> None:
        """Do what the events of a connection ask for."""
        asked: Session | None = None
        received = protocol.core.events_received()
        self._events += len(received)
        if self._events >= GARBAGE_EVENTS:
            self._events = 0
            self.loop.call_soon(gc.collect, 1)
        for event in received:
            match event:
                case events.PacketReceived(port, packet):
                    if session := self._sessions.get(port):
                        session.receive(packet)
                        asked = session  # a connection carries one at a time
                case events.VMIdentified(port):
                    self._begin_session(protocol, port)
                case events.VMLeft(port):
                    self._end_session(port, "disconnected")
                case events.VMotionBegan(port):
                    if session := self._sessions.get(port):
                        session.log_vmotion("vMotion began")
                    self._watch_vmotions()
                case events.VMotionCompleted(port):
                    self._move_session(protocol, port)
                case events.VMotionAborted(port):
                    if session := self._sessions.get(port):
                        session.log_vmotion("vMotion aborted")
                case events.ProxyRefused(service):
                    self._refuse(
                        protocol, "service", "asks for the service %a, this is %a", service, self.uri
                    )
                case events.TokenRefused():
                    self._refuse(protocol, "token", "its service URI carries no token that is accepted here")
                case events.ProtocolViolated(reason, fatal=True):
                    self.log_end(protocol, "violation", logging.WARNING, "%s", reason)
                    protocol.abort()
                case events.ProtocolViolated(reason):
                    protocol.logger.debug("%s", reason)
        if asked is not None:
            asked.answer()

    def _refuse(self, protocol: VSPCProtocol, kind: str, reason: str, *args: object) -> None:
        self.log_end(protocol, kind, logging.WARNING, f"refused: {reason}", *args)
        protocol.close_when_sent()

    def _begin_session(self, protocol: VSPCProtocol, port: Port) -> None:
        if port.identity is None:
            return
        self.identifying.stop(protocol)
        protocol.logger.is_about(port.identity.name, port.identity.port)
        try:
            shared = self._workers, self.options.max_unsent, self._keeping, self.silent
            session = Session(port, protocol, self.driver, *shared)
        except Exception as error:
            protocol.logger.error("closed: the driver made no client for it: %s", describe(error))
            protocol.abort()
            return
        self._sessions[port] = session
        uuids = port.identity.vc_uuid or "-", port.identity.bios_uuid or "-"
        protocol.logger.info("connected, vc-uuid %s, bios-uuid %s", *uuids)

    def _move_session(self, protocol: VSPCProtocol, port: Port) -> None:
        session = self._sessions.get(port)
        if session is None:  # the driver made no client for it, and its source was closed
            protocol.abort()
            return
        self.identifying.stop(protocol)
        source = session.carrier.logger
        protocol.logger.is_about(source.vm, source.port)
        protocol.logger.info("vMotion completed, came from %s", source.peer)
        session.carrier = protocol

    def _end_session(self, port: Port, reason: str) -> None:
        if session := self._sessions.pop(port, None):
            session.carrier.logger.info("%s", reason)
            session.close()

    def _watch_vmotions(self) -> None:
        if self._vmotion_timer is None and (deadline := self._vmotions.deadline) is not None:
            self._vmotion_timer = self.loop.call_at(deadline + TIMER_SLACK, self._expire_vmotions)

    def _expire_vmotions(self) -> None:
        self._vmotion_timer = None
        for vmotion in self._vmotions.expire():
            if vmotion.source_open:
                if session := self._sessions.get(vmotion.port):
                    session.carrier.logger.warning(
                        "vMotion not completed in %g s, taken as aborted", VMOTION_SECONDS
                    )
                    session.carrier.flush()
            else:
                self._end_session(
                    vmotion.port, f"lost: its vMotion was not completed in {VMOTION_SECONDS:g} s"
                )
        self._watch_vmotions()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's event loop where it is installed: it answers twice as many VMs a second."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return factory
