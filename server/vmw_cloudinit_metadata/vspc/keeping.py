"""What outlives a session: windows, reports, what was served; between VMs' clients and the state directory.

The disk and the driver's ``take_report`` have threads of their own: a driver that hangs does not hold up a
serving window, nor a slow disk a VM whose definition has none.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from vmw_cloudinit_metadata.drivers.driver import Driver
from vmw_cloudinit_metadata.errors import DriverBusyError, StateError
from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.log import ConnectionLog, Throttle, describe, printable
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.records import DamagedError
from vmw_cloudinit_metadata.state.reports import KeptReport, Reports
from vmw_cloudinit_metadata.state.served import ServedRecords
from vmw_cloudinit_metadata.state.windows import Windows, name_of
from vmw_cloudinit_metadata.vspc.noting import Noting
from vmw_cloudinit_metadata.vspc.report import Report
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot
from vmw_cloudinit_metadata.vspc.vm_client import VMClient
from vmw_cloudinit_metadata.vspc.workers import Workers

# How long the disk may take, other VMs' turns included: a guest gives up 30 s after the last progress.
STATE_SECONDS = 20.0
# When a guest asks again, then.
RETRY_SECONDS = 5

# Reports of all VMs that wait for the driver, as after a power failure, and what they take in memory: usual
# ones a tenth of that, the largest there may be all of it. A driver that falls farther behind gets no more.
MAX_WAITING_REPORTS = 10_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
# What waits beside the texts of each.
REPORT_BYTES = 2048

# A boot has two reports, and may bring those of the boot before. A guest that sends more than this in that
# time has to wait: each is written to the disk, and stands in the driver's line.
MAX_REPORTS = 8
REPORTS_SECONDS = 60.0

# A guest may ask and report as fast as it likes; the log takes a line of each kind only this often.
LOG_SECONDS = 10.0

# For the guest's console; the rest is for the log.
NOT_KEPT = "user-data is not served to this VM: the server keeps no serving windows"
NOT_KNOWN = (
    "user-data is not served to this VM: the server cannot use its serving window, see the server's log"
)

_logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Keeping:
    """The state of a server; without a directory nothing is kept, and no window is open."""

    def __init__(self, directory: StateDirectory | None, driver: Driver) -> None:
        self.directory = directory
        self._windows = Windows(directory) if directory else None
        self._reports = Reports(directory) if directory else None
        self._noting = Noting(ServedRecords(directory), self._complain) if directory else None
        self._window_workers, self._report_workers, self._driver_workers = Workers(1), Workers(1), Workers(1)
        self._take_report = driver.take_report
        self._driver_takes_reports = type(driver).take_report is not Driver.take_report
        self._waiting: deque[tuple[VMClient, Report, int]] = deque()  # for the driver; the last is the size
        self._waiting_bytes = 0
        self._telling: asyncio.Task[None] | None = None
        self._failures = Throttle(LOG_SECONDS)

    def keeper(self, client: VMClient, logger: Callable[[], ConnectionLog]) -> "Keeper":
        """Return what keeps for a VM; ``logger`` returns that of the connection which carries it."""
        return Keeper(self, client, logger)

    async def admit(self, instance: InstanceData, vm_name: str, run: str) -> str | None:
        """Count a run of an instance that has a window; return None, or why it is not served.

        Raises:
            DriverBusyError: the disk takes its time.
            StateError: there is no directory, or it cannot be used.
        """
        if self._windows is None:
            raise StateError("there is no state directory: give --state-directory DIR")
        return await self._in_time(self._window_workers, self._windows.admit, instance, vm_name, run)

    async def keep(self, instance: InstanceData, kept: KeptReport) -> None:
        """Keep a report, and close the window that ends with it.

        Raises:
            DriverBusyError: the disk takes its time.
            StateError: it cannot be kept.
        """
        if self._windows and _ends_window(instance, kept.report):
            await self._in_time(self._window_workers, self._windows.close, instance, kept.vm_name)
        if self._reports:
            await self._in_time(self._report_workers, self._reports.keep, kept)

    def tell_driver(self, client: VMClient, report: Report) -> None:
        """Give a report to a driver that takes them, when it has time; no VM waits for that."""
        if not self._driver_takes_reports:
            return
        size = REPORT_BYTES + len(repr(report))
        if len(self._waiting) >= MAX_WAITING_REPORTS or self._waiting_bytes + size > MAX_WAITING_BYTES:
            fault = "reports wait for the driver; it does not get the next ones"
            self._complain(f"{len(self._waiting)} {fault}", fault)
            return
        self._waiting.append((client, report, size))
        self._waiting_bytes += size
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_driver())

    def note_served(self, vm_name: str, snapshot: Snapshot) -> None:
        """Keep what a VM is served, when the disk has time; no VM waits for that."""
        if self._noting is not None:
            self._noting.note(vm_name, snapshot)

    async def close(self, seconds: float) -> None:
        """Wait so long for the driver to take what was reported; then let the threads end."""
        tasks = [task for task in (self._telling, self._noting and self._noting.task) if task]
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, seconds))
        if self._telling is not None:
            self._telling.cancel()
        if self._noting is not None:
            self._noting.close()
        for workers in (self._window_workers, self._report_workers, self._driver_workers):
            workers.close()

    async def _tell_driver(self) -> None:
        try:
            while self._waiting:
                client, report, size = self._waiting[0]
                try:
                    await self._driver_workers.run(self._take_report, client, report)
                except Exception as error:
                    name, fault = printable(client.vm_name), describe(error)
                    self._complain(f"the driver could not take the report of {name}: {fault}", fault)
                self._waiting.popleft()
                self._waiting_bytes -= size
        finally:
            self._telling = None

    async def _in_time(self, workers: Workers, function: Callable[..., _T], *args: object) -> _T:
        try:
            async with asyncio.timeout(STATE_SECONDS):
                return await workers.run(function, *args)
        except TimeoutError:
            where = f" {self.directory.path}" if self.directory else ""
            raise DriverBusyError(
                f"the state directory{where} has not answered in {STATE_SECONDS:g} s", RETRY_SECONDS
            ) from None

    def _complain(self, text: str, fault: str) -> None:
        # One that all VMs have, as after a power failure, is told of one of them.
        if self._failures.count(fault):
            _logger.error("%s", text)


class Keeper:
    """What is kept for one VM: its serving window and its reports."""

    def __init__(self, keeping: Keeping, client: VMClient, logger: Callable[[], ConnectionLog]) -> None:
        self._keeping = keeping
        self._client = client
        self._logger = logger
        self._last_report: Report | None = None
        # When the last ones came, by the loop's clock.
        self._reported: deque[float] = deque(maxlen=MAX_REPORTS)
        self._lines: defaultdict[str, Throttle] = defaultdict(lambda: Throttle(LOG_SECONDS))

    async def may_serve(self, instance: InstanceData, run: str) -> str | None:
        """Say why user-data and vendor-data are not served in a run; None if they are.

        Raises:
            DriverBusyError: that cannot be said yet.
        """
        if instance.serve is None:
            return None
        rearm = f"'vmw-cloudinit-metadata rearm {printable(name_of(instance))}'"
        try:
            sentence = await self._keeping.admit(instance, self._client.vm_name, run)
        except DriverBusyError as error:
            self._log("window", logging.ERROR, f"has to wait for its serving window: {error}")
            raise
        except StateError as error:
            hint = f"; {rearm} makes it anew" if isinstance(error, DamagedError) else ""
            self._log("window", logging.ERROR, f"its serving window cannot be used: {error}{hint}")
            return NOT_KNOWN if self._keeping.directory else NOT_KEPT
        if sentence:
            self._log("window", logging.WARNING, f"{sentence} by {rearm}")
        return sentence

    async def take_report(self, instance: InstanceData, report: Report) -> None:
        """Keep a report, log it, and give it to the driver.

        Raises:
            DriverBusyError, StateError: it could not be kept; the guest is to send it again.
        """
        if report == self._last_report:
            return  # its acknowledgement was lost
        clock = asyncio.get_running_loop().time()
        if len(self._reported) == MAX_REPORTS and clock - self._reported[0] < REPORTS_SECONDS:
            self._log("fault", logging.WARNING, "reports too often; what is too much is not kept")
            raise DriverBusyError("a boot has fewer reports", RETRY_SECONDS)
        self._reported.append(clock)
        client, metadata = self._client, instance.metadata
        hostname = str(metadata.hostname) if metadata else ""
        now = datetime.now(UTC)
        served = instance.source or client.vm_name
        kept = KeptReport(
            client.vm_name,
            served,
            client.vm_vc_uuid,
            client.vm_bios_uuid,
            hostname,
            now,
            report,
            instance.claimed,
        )
        try:
            await self._keeping.keep(instance, kept)
        except (DriverBusyError, StateError) as error:
            self._log("fault", logging.ERROR, f"its report was not kept: {error}")
            raise
        self._last_report = report
        self._log(report.stage, logging.INFO, f"reported: {report.result}")
        self._keeping.tell_driver(client, report)

    def _log(self, kind: str, level: int, text: str) -> None:
        # What the guest words itself is no news for being worded otherwise.
        news = self._lines[kind].count("" if level == logging.INFO else text)
        self._logger().log(level if news else logging.DEBUG, "%s", text)


def _ends_window(instance: InstanceData, report: Report) -> bool:
    """Tell whether this is the report after which an instance is not served any more.

    One that does not say which instance it is of ends the window as well: an operator can open it again.
    """
    if report.stage != "final" or instance.serve is None or not instance.serve.until_reported:
        return False
    mine = str(instance.metadata.instance_id) if instance.metadata else None
    return report.instance_id in (None, mine)
