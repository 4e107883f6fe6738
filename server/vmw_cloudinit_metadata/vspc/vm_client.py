"""One VM's half of the dialogue: a request comes in, documents of the driver's instance go out.

A ``VMClient`` knows which packets are answered; from which snapshot is run.py's, how answers of version 2
look version2.py's. Telnet, sockets, threads and queues are the shell's (vspc/session.py), which gives it a
writer and ``take_snapshot``. Drivers may subclass it to answer packet codes of their own.
"""

import contextlib
import enum
import functools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.errors import MetadataError, ProtocolError, ReportError
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMetadata, InstanceNetworkData
from vmw_cloudinit_metadata.vspc import version2
from vmw_cloudinit_metadata.vspc.access import Refusal
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.run import RETRY_SECONDS, NotAtHandError, Runs
from vmw_cloudinit_metadata.vspc.snapshot import Document, Snapshot
from vmw_cloudinit_metadata.vspc.version2 import Answer, Request, Status
from vmw_cloudinit_wire import Packet, encode

if TYPE_CHECKING:
    from vmw_cloudinit_metadata.drivers.driver import Driver

__all__ = ["InstanceData", "InstanceMetadata", "InstanceNetworkData", "PacketCode", "VMClient", "Writer"]

# A VM can make up codes for ever, and each is worth a line in the log once.
MAX_UNKNOWN_CODES = 16

# What ``receive`` returns for a request that came broken, beside the words of version 2.
BROKEN = "broken"

# The methods by which documents go out in 0.0.8. A client that has its own knows nothing of pieces and etags:
# all its answers are of version 1, and guests follow it there.
_WRITERS = ("write", "write_metadata", "write_networkdata", "write_userdata", "write_vendordata", "documents")
# Who has none of these of its own, either, need not be asked by them.
_ANSWERS = ("receive", "process_packets", *_WRITERS)


class PacketCode(enum.StrEnum):
    """The packet codes there are; a driver may add others, which are plain strings here."""

    REQUEST_METADATA = "REQUEST_METADATA"
    REQUEST_NETWORKDATA = "REQUEST_NETWORKDATA"
    REQUEST_USERDATA = "REQUEST_USERDATA"
    REQUEST_VENDORDATA = "REQUEST_VENDORDATA"
    RESPONSE_METADATA = "RESPONSE_METADATA"
    RESPONSE_NETWORKDATA = "RESPONSE_NETWORKDATA"
    RESPONSE_USERDATA = "RESPONSE_USERDATA"
    RESPONSE_VENDORDATA = "RESPONSE_VENDORDATA"
    REPORT_STATUS = "REPORT_STATUS"
    RESPONSE_REPORT = "RESPONSE_REPORT"


# What answers a request of version 1: the code, the attribute of a snapshot, and whether that holds secrets.
_VERSION_1 = {
    "REQUEST_METADATA": ("RESPONSE_METADATA", "metadata", False),
    "REQUEST_NETWORKDATA": ("RESPONSE_NETWORKDATA", "networkdata_version_1", False),
    "REQUEST_USERDATA": ("RESPONSE_USERDATA", "userdata", True),
    "REQUEST_VENDORDATA": ("RESPONSE_VENDORDATA", "vendordata", True),
}
_NOTHING = Document.of(b"")

_logger = functools.cache(logging.getLogger)  # which takes a lock, once for each VM


class Shell(Protocol):
    """Who runs a client; each method is called by the client's of the same name, which says what it does."""

    async def take_snapshot(self) -> Snapshot | Refusal | None:
        """Ask the driver, without holding up other VMs."""

    def snapshot_at_hand(self) -> Snapshot | None:
        """Ask the driver what it has at hand."""

    async def may_serve(self, instance: InstanceData, run: str) -> str | None:
        """Ask whoever keeps serving windows."""

    async def take_report(self, instance: InstanceData, report: Report) -> None:
        """Give a report to whoever keeps it."""

    def note_served(self, snapshot: Snapshot) -> None:
        """Return at once."""


class Writer(Protocol):
    """Where answers go: the VM's serial port, whatever connection carries it at the moment."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the guest."""

    async def drain(self) -> None:
        """Wait until the port takes more."""


class VMClient:
    """Answer one VM's packets.

    Attributes:
        vm_name: as the VM gave it: a claim, and any Unicode.
        vm_bios_uuid, vm_vc_uuid: ``uuid.UUID``, or None where the VM did not say.
        vm_token: the secret in its service URI, "" where there is none.
        writer, driver: what it was made with.
        clock: monotonic seconds.
        answers_in_version_2: False for a client that answers documents its own way.

        shell: who runs it; without one, the driver is asked directly and nothing is kept.
    """

    shell: "Shell | None" = None
    _own: ClassVar[frozenset[str]] = frozenset()  # the methods of _ANSWERS that a subclass has of its own

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._own = frozenset(name for name in _ANSWERS if getattr(cls, name) is not getattr(VMClient, name))

    def __init__(self, vm_name: str, writer: Writer, driver: "Driver") -> None:
        self.logger = _logger(f"{type(self).__module__}.{type(self).__name__}")
        self.vm_name = vm_name
        self.vm_bios_uuid: uuid.UUID | None = None
        self.vm_vc_uuid: uuid.UUID | None = None
        self.vm_token = ""
        self.writer = writer
        self.driver = driver
        self.clock: Callable[[], float] = time.monotonic
        self._runs = Runs(self)
        self.answers_in_version_2 = self._own.isdisjoint(_WRITERS)
        self._status = ""  # of the answer to the packet at hand
        self._wrote = False  # whether a packet of version 1 went out for it
        self._left_run: str | None = None  # in whose middle version 2 was left
        self._unknown_codes: tuple[str, ...] = ()

    @property
    def answers_at_hand(self) -> bool:
        """Whether ``answer_at_hand`` may stand in for ``receive``: no answer is a subclass's own."""
        return not self._own and vars(self).keys().isdisjoint(_ANSWERS)

    def answer_at_hand(self, packet: Packet, given: Mapping[str, str] | None) -> str:
        """Answer a request for a document as ``receive`` does; ``given`` are its options of version 2.

        Raises:
            NotAtHandError: something has to be waited for, or it is none of the requests that every guest
                sends: that is for ``receive``. Nothing was sent.
        """
        code = packet.code
        if code not in _VERSION_1:
            raise NotAtHandError
        try:
            request = version2.request_of(packet, given) if packet.payload else None
        except ProtocolError:
            raise NotAtHandError from None
        if request is not None:
            if request.fault:
                raise NotAtHandError
            answer = self._runs.answer_at_hand(request)
            self.logger.debug("%r < %s", self.vm_name, code)
            self._say(answer, request.response_code, request.id)
            return answer.status
        response_code, name, secrets = _VERSION_1[code]
        snapshot = self._runs.version_1_at_hand(secrets)
        self.logger.debug("%r < %s", self.vm_name, code)
        if snapshot is not None:
            self._say_in_version_1(response_code, getattr(snapshot, name) or _NOTHING)
        return ""

    async def receive(self, packet: Packet) -> str:
        """Answer one packet; return the status word it was answered with.

        That is ``BROKEN`` for a request that cannot be read, and "" where there is none: version 1 has no
        words. To answer codes of your own override ``process_packets``, which gets all packets but reports:
        those carry what a payload cannot say.
        """
        self._status, self._wrote = "", False
        report_id = version2.read_report_id(packet)
        if report_id is None:
            # 0.0.8 hands the payload over as text. Bytes that are none come back with surrogateescape.
            await self.process_packets(packet.code, packet.payload.decode(errors="surrogateescape"))
            if self._wrote and not self._status:
                await self._follow_own_answer(packet)
        else:
            self.logger.debug("%r < %s", self.vm_name, packet.code)
            answer = await self._answer_report(packet.payload)
            await self._send(answer, PacketCode.RESPONSE_REPORT, report_id)
        return self._status

    async def process_packets(self, code: str, data: str) -> None:
        """Answer one packet; ``data`` is its payload as text (requests of version 1 have none).

        Override it to answer codes of your own, and call it for the others. A code that nobody answers is
        logged; a guest of version 2 is told. A response is never answered: it is an echo, or a server on the
        other end of the line.
        """
        self.logger.debug("%r < %s", self.vm_name, code)
        if code.startswith(version2.RESPONSE) or code == PacketCode.REPORT_STATUS:
            return  # a report that is whole does not come here
        in_version_1: dict[str, Callable[[], Awaitable[None]]] = {
            PacketCode.REQUEST_METADATA: self.write_metadata,
            PacketCode.REQUEST_NETWORKDATA: self.write_networkdata,
            PacketCode.REQUEST_USERDATA: self.write_userdata,
            PacketCode.REQUEST_VENDORDATA: self.write_vendordata,
        }
        try:
            request = version2.read_request(Packet(code, data.encode(errors="surrogateescape")))
        except ProtocolError as error:
            self.logger.debug("%r not answered: %s", self.vm_name, error)
            self._status = BROKEN
            return
        # What carries a sum that is wrong is noise, and its code too.
        if code not in in_version_1 and (request is not None or "sum=" not in data):
            self._note_unknown(code)
        if request is not None and self.answers_in_version_2:
            await self._send(await self._answer(request), request.response_code, request.id)
        elif code in in_version_1:
            await in_version_1[code]()

    async def write(self, code: enum.Enum | str, text: str | bytes) -> None:
        """Send one packet of version 1 and wait until the port takes more.

        Raises:
            vmw_cloudinit_wire.PacketError: the code holds characters that would break the line apart.
        """
        name = str(code.value) if isinstance(code, enum.Enum) else code
        payload = text.encode() if isinstance(text, str) else text
        self.logger.debug("%r > %s, %d bytes", self.vm_name, name, len(payload))
        self._wrote = True
        self.writer.write(encode(Packet(name, payload)))
        await self.writer.drain()

    async def write_metadata(self) -> None:
        """Send meta-data, or nothing where there is no instance."""
        if documents := await self.documents():
            await self.write(PacketCode.RESPONSE_METADATA, documents.meta_data)

    async def write_networkdata(self) -> None:
        """Send network-config, or nothing where there is no instance.

        An instance without network data is answered with an empty payload, which our guest takes as "none":
        silence would make it wait.
        """
        if documents := await self.documents():
            await self.write(PacketCode.RESPONSE_NETWORKDATA, documents.network_config_version_1 or b"")

    async def write_userdata(self) -> None:
        """Send user-data, or nothing where there is no instance, or one whose secrets are not served."""
        if snapshot := await self._runs.version_1(secrets=True):
            await self._write_document(PacketCode.RESPONSE_USERDATA, snapshot.userdata)

    async def write_vendordata(self) -> None:
        """Send vendor-data, as user-data; an instance without has an empty one."""
        if snapshot := await self._runs.version_1(secrets=True):
            await self._write_document(PacketCode.RESPONSE_VENDORDATA, snapshot.vendordata or _NOTHING)

    async def documents(self) -> nocloud.Documents | None:
        """Return this VM's documents, all from one snapshot of its instance, for answers of version 1.

        None where the driver has no instance, or none that documents can be made of; why is logged once,
        until it changes. A snapshot, and its absence, is kept for ``SNAPSHOT_SECONDS``.
        """
        snapshot = await self._runs.version_1()
        return snapshot.documents if snapshot else None

    def forget(self) -> None:
        """Drop the snapshots that are kept; the shell calls it when the VM has been silent for a while."""
        self._runs.forget()

    # What its shell does for it

    async def take_snapshot(self) -> Snapshot | Refusal | None:
        """Fetch what answers this VM, as ``Driver.get_snapshot`` returns it.

        Raises:
            DriverBusyError: the driver takes its time; its call goes on, and the next request waits for it.
        """
        return await self.shell.take_snapshot() if self.shell else self.driver.get_snapshot(self)

    def snapshot_at_hand(self) -> Snapshot | None:
        """Return the same if nothing has to be waited for, else None."""
        return self.shell.snapshot_at_hand() if self.shell else self.driver.snapshot_at_hand(self)

    async def may_serve(self, instance: InstanceData, run: str) -> str | None:
        """Say why user-data and vendor-data, which an instance limits, may not go out; None if they may.

        ``run`` is its id, "" in version 1. Asked once a run, before the first byte goes.
        """
        if self.shell:
            return await self.shell.may_serve(instance, run)
        # Who counts runs keeps them over a restart; nobody does here.
        return "this server does not keep what 'serve' in this VM's definition asks for"

    async def take_report(self, instance: InstanceData, report: Report) -> None:
        """Take what the guest says of its boot, with the instance that it has.

        Raises:
            MetadataError: the guest is to send it again; why was logged.
        """
        if self.shell:
            await self.shell.take_report(instance, report)

    def note_served(self, snapshot: Snapshot) -> None:
        """Take note of the snapshot that a run is answered from."""
        if self.shell:
            self.shell.note_served(snapshot)

    # Answers

    async def _answer(self, request: Request) -> Answer:
        if request.fault:
            return version2.refusal(Status.INVALID, request.fault)
        if request.document not in version2.DOCUMENTS:
            return version2.refusal(Status.UNSUPPORTED, f"this server does not answer {request.code}")
        return await self._runs.answer(request)

    async def _follow_own_answer(self, packet: Packet) -> None:
        """Leave version 2, if a client's own ``process_packets`` has answered for a document.

        That answer is of version 1, and a guest takes no two versions in one run: it is told to begin anew,
        as often as it asks in that run. Where METADATA is answered so, the run is one of version 1.
        """
        request = None
        with contextlib.suppress(ProtocolError):  # broken: its guest takes no answer for one to it
            request = version2.read_request(packet)
        if request is None or request.document not in version2.DOCUMENTS:
            return
        if self.answers_in_version_2:
            self.answers_in_version_2 = False
            self._left_run = None if request.document == "metadata" else request.run
            self.logger.info(
                "%r is answered in version 1: its client has its own %s", self.vm_name, packet.code
            )
        if request.run == self._left_run:
            changed = version2.refusal(Status.CHANGED, "this server goes over to version 1")
            await self._send(changed, request.response_code, request.id)

    async def _answer_report(self, payload: bytes) -> Answer:
        """Hand a report on, if it is one, and of a VM that is served."""
        try:
            report = Report.parse(payload)
        except ReportError as error:
            return version2.refusal(Status.INVALID, str(error))
        source = await self._runs.current()
        if isinstance(source, Answer):
            return source
        try:
            await self.take_report(source.instance, report)
        except MetadataError:
            return version2.refusal(Status.BUSY, "the server cannot keep reports; see its log", RETRY_SECONDS)
        if report.stage == "final":
            self._runs.forget()  # the boot is over, and with it what it was allowed
        return Answer(Status.OK)

    async def _send(self, answer: Answer, code: str, request_id: str) -> None:
        """Send an answer of version 2, and wait until the port takes more."""
        self._status = answer.status
        self._say(answer, code, request_id)
        await self.writer.drain()

    def _say(self, answer: Answer, code: str, request_id: str) -> None:
        self.logger.debug("%r > %s %s, %d bytes", self.vm_name, code, answer.status, len(answer.payload))
        # Whatever stands on the line, half an answer of version 1 or a prompt, ends here.
        self.writer.write(b"\r\n" + answer.line(code, request_id))

    async def _write_document(self, code: str, document: Document) -> None:
        """Send a document in version 1, by ``write`` if this client has its own."""
        if "write" in self._own or "write" in vars(self):
            await self.write(code, document.content)
            return
        self._wrote = True
        self._say_in_version_1(code, document)
        await self.writer.drain()

    def _say_in_version_1(self, code: str, document: Document) -> None:
        self.logger.debug("%r > %s, %d bytes", self.vm_name, code, len(document.content))
        self.writer.write(document.line(code))

    def _note_unknown(self, code: str) -> None:
        if code not in self._unknown_codes and len(self._unknown_codes) < MAX_UNKNOWN_CODES:
            self._unknown_codes += (code,)
            self.logger.warning("%r sent the packet code %r, which nobody answers", self.vm_name, code)
