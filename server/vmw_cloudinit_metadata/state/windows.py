"""Serving windows: how far each is used up, and whether a VM gets its user-data and vendor-data now.

``decide`` is a pure function. ``Windows`` keeps what it says: a run is on the disk before the first byte of
user-data goes out, so that a crash serves no run that was not counted. What cannot be read or written is an
error, and no permission.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from vmw_cloudinit_metadata.errors import StateError
from vmw_cloudinit_metadata.instance import InstanceData, ServingWindow
from vmw_cloudinit_metadata.log import printable
from vmw_cloudinit_metadata.state.directory import StateDirectory
from vmw_cloudinit_metadata.state.records import DamagedError, Records

# Definitions make windows, VMs do not. This is more than a site has, and a limit for a driver that makes up
# definitions; no window is forgotten to make room for another, for that would open it again. Only where a
# definition is for all names that fit a pattern, VMs make them: as many again, and no others are refused when
# somebody has made up that many names.
MAX_WINDOWS = 100_000

# A run that was counted may ask again: the server was restarted, or the VM moved. But the guest chose its id,
# and one that keeps it must not be served for ever. No run takes longer over a serial line.
RUN_TIME = timedelta(minutes=15)

# The names under which VMs were served. A definition is one VM's, which is renamed now and then; and a name
# that is longer than vSphere allows (80 characters) is somebody's joke.
MAX_VM_NAMES = 4
MAX_VM_NAME = 256

# The sentences go to the guest's console: they do not say what the definition says.
_DENIED = "user-data is not served to this VM any more: {}; the operator can re-arm it"
NO_RUNS_LEFT = _DENIED.format("it was served as often as it may be")
TIME_IS_OVER = _DENIED.format("the time to serve it is over")
HAS_REPORTED = _DENIED.format("the VM has reported that its first boot is done")


@dataclass(frozen=True, slots=True)
class Window:
    """How far the serving window of a definition is used up, since it was armed."""

    instance_id: str  # as an operator wrote it: another one arms it anew; "" if it is left to the VM's UUID
    runs: int = 0
    run: str = ""  # the id of the run that was counted last; "" if it had none, as in version 1
    counted: datetime | None = None  # when that was
    reported: bool = False  # the guest's final report has come
    rearmed: datetime | None = None  # by an operator
    vm_names: tuple[str, ...] = ()  # whom it was served to, the latest last


def decide(window: Window, serve: ServingWindow, run: str, now: datetime) -> tuple[Window, str | None]:
    """Return what is to be kept before a run is served, and None; or why it is not served.

    ``run`` is "" in version 1, where nobody can tell which requests belong together: each snapshot counts.
    ``now`` is the wall clock's time, which ``until`` means. A run that was counted goes on when the time is
    over meanwhile. A window that is re-armed after its time is good for one run: nobody wants it to stay open
    for ever, and a longer time is the definition's to say.
    """
    if serve.until_reported and window.reported:
        return window, HAS_REPORTED
    # A clock that was set back makes it another run, which is counted.
    if run and run == window.run and window.counted and timedelta(0) <= now - window.counted <= RUN_TIME:
        return window, None
    limit = serve.runs
    if serve.until is not None and now >= serve.until:
        if window.rearmed is None or window.rearmed < serve.until:
            return window, TIME_IS_OVER
        limit = 1
    if limit is not None and window.runs >= limit:
        return window, NO_RUNS_LEFT
    return replace(window, runs=window.runs + 1, run=run, counted=now), None


class Windows:
    """The windows of all definitions. The methods block: they write to a disk, and wait for other processes.

    ``now`` is the wall clock.
    """

    def __init__(
        self, directory: StateDirectory, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._records = directory.records("windows", MAX_WINDOWS)
        self._claimed = directory.records("claimed-windows", MAX_WINDOWS)
        self._now = now

    def admit(self, instance: InstanceData, vm_name: str, run: str) -> str | None:
        """Count a run, durably, and return None; or return why it is not served.

        Raises:
            StateError: nobody can say how far the window is used up, or the run cannot be counted.
        """
        if instance.serve is None:
            return None
        records = self._of(instance)
        with records.locked():
            known = _read(records, name_of(instance))
            window = _current(known, instance, vm_name)
            window, sentence = decide(window, instance.serve, run, self._now())
            _write(records, name_of(instance), known, window)
        return sentence

    def would_admit(self, instance: InstanceData, vm_name: str) -> str | None:
        """Return what ``admit`` would say to a run that began now, and count nothing.

        Raises:
            StateError: nobody can say.
        """
        if instance.serve is None:
            return None
        window = _current(_read(self._of(instance), name_of(instance)), instance, vm_name)
        return decide(window, instance.serve, "", self._now())[1]

    def close(self, instance: InstanceData, vm_name: str) -> None:
        """Take note that the VM has sent the final report of this instance.

        Raises:
            StateError: that cannot be kept.
        """
        records = self._of(instance)
        with records.locked():
            known = _read(records, name_of(instance))
            reported = replace(_current(known, instance, vm_name), reported=True)
            _write(records, name_of(instance), known, reported)

    def rearm(self, name: str) -> tuple[str, Window | None]:
        """Arm a window anew, by the name of the definition or of the VM it was served to.

        Return the definition's name and how far the window was used up; None if that was damaged.

        Raises:
            StateError: there is no such window, or more than one, or it cannot be written.
        """
        records, definition = self._find(name)
        with records.locked():
            try:
                known = _read(records, definition)
            except DamagedError:
                known = None
            if known is None:
                records.remove(definition)  # the next run begins another
            else:
                armed = Window(known.instance_id, rearmed=self._now(), vm_names=known.vm_names)
                _write(records, definition, known, armed)
        return definition, known

    def names(self) -> set[str]:
        """Return the names that ``rearm`` takes.

        Raises:
            StateError: the directory cannot be read.
        """
        return {name for _, definition, window in self._all() for name in (definition, *window.vm_names)}

    def _of(self, instance: InstanceData) -> Records:
        # Not whatever else may be claimed: one definition under two names would have two windows.
        return self._claimed if instance.source_claimed else self._records

    def _find(self, name: str) -> tuple[Records, str]:
        for records in (self._records, self._claimed):
            try:
                if _read(records, name) is not None:
                    return records, name
            except DamagedError:
                return records, name
        found = [(records, definition) for records, definition, each in self._all() if name in each.vm_names]
        if len(found) > 1:
            raise StateError(
                f"the VM {printable(name)} was served {len(found)} definitions; "
                f"name one of them: {', '.join(printable(definition) for _, definition in found)}"
            )
        if not found:
            raise StateError(
                f"{self._records.path} has no window of {printable(name)}: no VM or definition of that name "
                "was served in one yet"
            )
        return found[0]

    def _all(self) -> Iterator[tuple[Records, str, Window]]:
        """Yield the windows that are not damaged, with their records and their definitions' names."""
        for records in (self._records, self._claimed):
            for entry in records.read_all():
                if not isinstance(entry, StateError):
                    definition, raw = entry
                    try:
                        window = _window(records, definition, raw)
                    except DamagedError:
                        continue
                    yield records, definition, window


def name_of(instance: InstanceData) -> str:
    """Return the name of a window: the definition's, or the instance's where a driver names no definition."""
    return instance.source or (str(instance.metadata.instance_id) if instance.metadata else "")


def _read(records: Records, definition: str) -> Window | None:
    raw = records.read(definition)
    return None if raw is None else _window(records, definition, raw)


def _window(records: Records, definition: str, raw: dict[str, Any]) -> Window:
    try:
        return _from_json(raw)
    except (KeyError, TypeError, ValueError):
        raise records.damaged(definition) from None


def _write(records: Records, definition: str, known: Window | None, window: Window) -> None:
    if window != known:
        records.write(definition, _to_json(window))


def _instance_id(instance: InstanceData) -> str:
    """Return what arms a window anew: the definition's own id. A VM could claim a new one each time."""
    metadata = instance.metadata
    if metadata is None:
        return ""
    return str(metadata.instance_id) if metadata.written_id is None else metadata.written_id


def _current(known: Window | None, instance: InstanceData, vm_name: str) -> Window:
    """Return an instance's window, a new one if none is known of it; with the VM's name as the latest."""
    instance_id = _instance_id(instance)
    window = known if known and known.instance_id == instance_id else Window(instance_id)
    if len(vm_name) > MAX_VM_NAME:
        return window
    names = [*(name for name in window.vm_names if name != vm_name), vm_name]
    return replace(window, vm_names=tuple(names[-MAX_VM_NAMES:]))


def _to_json(window: Window) -> dict[str, Any]:
    return {
        "instance-id": window.instance_id,
        "runs": window.runs,
        "run": window.run,
        "counted": window.counted and window.counted.isoformat(),
        "reported": window.reported,
        "rearmed": window.rearmed and window.rearmed.isoformat(),
        "vm-names": window.vm_names,
    }


def _from_json(raw: dict[str, Any]) -> Window:
    """Return the window of a record.

    Raises:
        KeyError, TypeError, ValueError: it is none. It is not guessed at: a wrong guess would open it.
    """
    instance_id, runs, run, reported = (raw[key] for key in ("instance-id", "runs", "run", "reported"))
    names = raw["vm-names"]
    texts = isinstance(names, list) and all(isinstance(text, str) for text in (instance_id, run, *names))
    if not texts or type(runs) is not int or runs < 0 or not isinstance(reported, bool):
        raise ValueError
    times = _time(raw["counted"]), _time(raw["rearmed"])
    return Window(instance_id, runs, run, times[0], reported, times[1], tuple(names))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError
    return time
