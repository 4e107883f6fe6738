"""One VM's half of the dialogue: a request comes in, documents of the driver's instance go out.

A ``VMClient`` knows packet codes and documents; telnet, sockets, threads and queues are the shell's
(vspc/server.py), which gives it a writer and ``take_snapshot``. Drivers may subclass it to answer packet
codes of their own.
"""

import enum
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from vmw_cloudinit_metadata import nocloud
from vmw_cloudinit_metadata.errors import DefinitionError, MetadataError
from vmw_cloudinit_metadata.instance import InstanceData, InstanceMetadata, InstanceNetworkData
from vmw_cloudinit_metadata.log import describe
from vmw_cloudinit_wire import Packet, encode

if TYPE_CHECKING:
    from vmw_cloudinit_metadata.drivers.driver import Driver

__all__ = ["InstanceData", "InstanceMetadata", "InstanceNetworkData", "PacketCode", "VMClient", "Writer"]

# A guest of version 1 asks for three documents one after the other and cannot say that they belong together.
# One rendering answers them all, if it asks within this time; an edited definition waits no longer than this.
SNAPSHOT_SECONDS = 5.0

# A VM can make up codes for ever, and each is worth a line in the log once.
MAX_UNKNOWN_CODES = 16


class PacketCode(enum.StrEnum):
    """The packet codes of version 1; a driver may add others, which are plain strings here."""

    REQUEST_METADATA = "REQUEST_METADATA"
    REQUEST_NETWORKDATA = "REQUEST_NETWORKDATA"
    REQUEST_USERDATA = "REQUEST_USERDATA"
    RESPONSE_METADATA = "RESPONSE_METADATA"
    RESPONSE_NETWORKDATA = "RESPONSE_NETWORKDATA"
    RESPONSE_USERDATA = "RESPONSE_USERDATA"


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
        writer, driver: what it was made with.
        take_snapshot: fetches this VM's instance; the shell puts one here that asks the driver in a worker
            thread. By default the driver is called directly.
        clock: monotonic seconds.
    """

    def __init__(self, vm_name: str, writer: Writer, driver: "Driver") -> None:
        self.logger = logging.getLogger(f"{type(self).__module__}.{type(self).__name__}")
        self.vm_name = vm_name
        self.vm_bios_uuid: uuid.UUID | None = None
        self.vm_vc_uuid: uuid.UUID | None = None
        self.writer = writer
        self.driver = driver
        self.take_snapshot: Callable[[], Awaitable[InstanceData | None]] = self._ask_driver
        self.clock: Callable[[], float] = time.monotonic
        self._documents: nocloud.Documents | None = None
        self._documents_expire: float | None = None
        self._complaint = ""
        self._unknown_codes: set[str] = set()

    async def process_packets(self, code: str, data: str) -> None:
        """Answer one packet; ``data`` is its payload as text (requests of version 1 have none).

        Override it to answer codes of your own, and call it for the others. An unknown code is logged and not
        answered. A response is never answered: it is an echo, or a server on the other end of the line.
        """
        self.logger.debug("%r < %s", self.vm_name, code)
        answers: dict[str, Callable[[], Awaitable[None]]] = {
            PacketCode.REQUEST_METADATA: self.write_metadata,
            PacketCode.REQUEST_NETWORKDATA: self.write_networkdata,
            PacketCode.REQUEST_USERDATA: self.write_userdata,
        }
        answer = answers.get(code)
        if answer is not None:
            await answer()
        elif not code.startswith("RESPONSE_"):
            self._note_unknown(code)

    async def write(self, code: enum.Enum | str, text: str | bytes) -> None:
        """Send one packet and wait until the port takes more.

        Raises:
            vmw_cloudinit_wire.PacketError: the code holds characters that would break the line apart.
        """
        name = str(code.value) if isinstance(code, enum.Enum) else code
        payload = text.encode() if isinstance(text, str) else text
        self.logger.debug("%r > %s, %d bytes", self.vm_name, name, len(payload))
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
            await self.write(PacketCode.RESPONSE_NETWORKDATA, documents.network_config or b"")

    async def write_userdata(self) -> None:
        """Send user-data, or nothing where there is no instance."""
        if documents := await self.documents():
            await self.write(PacketCode.RESPONSE_USERDATA, documents.user_data)

    async def documents(self) -> nocloud.Documents | None:
        """Return this VM's documents, all from one snapshot of its instance.

        None where the driver has no instance, or none that documents can be made of; why is logged once,
        until it changes. A snapshot, and its absence, is kept for ``SNAPSHOT_SECONDS``.
        """
        if self._documents_expire is None or self.clock() >= self._documents_expire:
            self._documents = await self._render()
            self._documents_expire = self.clock() + SNAPSHOT_SECONDS
        return self._documents

    async def _render(self) -> nocloud.Documents | None:
        try:
            instance = await self.take_snapshot()
            if instance is None:
                # Why is the driver's to log, if there is more to say; the session logs that nothing was sent.
                self._complain(logging.DEBUG, "not answered: the driver has no instance for this VM")
                return None
            if not isinstance(instance, InstanceData):
                raise DefinitionError(f"the driver returned a {type(instance).__name__}, not an InstanceData")
            instance.validate()
            documents = nocloud.render(instance)
        except MetadataError as error:
            self._complain(logging.ERROR, f"not answered: {error}")
            return None
        except Exception as error:
            # Anything may come out of a driver. Its message stays unsaid: it may quote a password.
            self._complain(logging.ERROR, f"not answered: the driver raised {describe(error)}")
            return None
        self._complaint = ""
        return documents

    async def _ask_driver(self) -> InstanceData | None:
        return self.driver.get_instance(self)

    def _complain(self, level: int, text: str) -> None:
        # Guests ask again every few seconds; the log hears of a fault once.
        if text != self._complaint:
            self.logger.log(level, "%r %s", self.vm_name, text)
            self._complaint = text

    def _note_unknown(self, code: str) -> None:
        if code not in self._unknown_codes and len(self._unknown_codes) < MAX_UNKNOWN_CODES:
            self._unknown_codes.add(code)
            self.logger.warning(
                "%r sent the unknown packet code %r, which is not answered", self.vm_name, code
            )
