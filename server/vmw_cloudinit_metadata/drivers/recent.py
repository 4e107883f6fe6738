"""What VMs got a moment ago: rendered once, and at hand for those that ask again, without a look at any file.

It is kept for a few seconds only. What definitions say is kept for longer, by definitions.py; rendered, and
as packets, it takes several times the memory, and a VM asks for it once a boot.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from vmw_cloudinit_metadata.instance import InstanceData
from vmw_cloudinit_metadata.vspc.snapshot import Snapshot

# A VM is served what its definition was this long ago. A thousand VMs that boot at once are looked up once a
# second each, and not as often as they ask.
AT_HAND_SECONDS = 1.0

# What nobody has asked for in this time, or twice of it, is rendered again.
RECENT_SECONDS = 5.0

# So much is kept in each half: of 1,600 usual definitions, or of a few with megabytes of user-data. Beside
# some objects a document is kept as bytes, as a line of version 1 and in pieces of version 2. Names count.
RECENT_BYTES = 32 * 1024 * 1024
SNAPSHOT_BYTES = 4096
DOCUMENT_FACTOR = 4
NAME_BYTES = 256


@dataclass(slots=True)
class _Half:
    """What was asked for since ``began``, by the monotonic clock.

    Attributes:
        size: about how many bytes it takes.
        snapshots: by the path of their definition, each with the instance that it was rendered of.
        names: by the VM's name, each with the time when it was looked up.
    """

    began: float
    size: int = 0
    snapshots: dict[str, tuple[InstanceData, Snapshot]] = field(default_factory=dict)
    names: dict[str, tuple[float, Snapshot]] = field(default_factory=dict)


class Recent:
    """Snapshots of the last seconds: a newer and an older half, of which the older goes as a whole.

    Several threads may use it without a lock: what one of them overwrites is looked up once more.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._newer, self._older = _Half(clock()), _Half(clock())

    def at_hand(self, name: str) -> Snapshot | None:
        """Return what a VM of this name got within the last second."""
        newer, older = self._newer, self._older
        found = newer.names.get(name) or older.names.get(name)
        return found[1] if found and self._clock() < found[0] + AT_HAND_SECONDS else None

    def keep_at_hand(self, name: str, asked: float, snapshot: Snapshot) -> None:
        """Have at hand what a VM of this name gets, as it was when it was ``asked`` for."""
        half = self._half()
        half.names[name] = asked, snapshot
        half.size += NAME_BYTES

    def snapshot(self, path: str, instance: InstanceData, render: Callable[[], Snapshot]) -> Snapshot:
        """Return what was rendered of a definition, as long as it makes the same, unchanged ``instance``."""
        half, older = self._half(), self._older
        found = half.snapshots.get(path)
        if found is None or found[0] is not instance:
            found = older.snapshots.get(path)
            if found is None or found[0] is not instance:
                found = instance, render()
            half.snapshots[path] = found
            half.size += SNAPSHOT_BYTES + DOCUMENT_FACTOR * found[1].size
        return found[1]

    def _half(self) -> _Half:
        """Return the half that is added to."""
        now, newer = self._clock(), self._newer
        if now >= newer.began + RECENT_SECONDS or newer.size >= RECENT_BYTES:
            self._newer, self._older = _Half(now), newer
        return self._newer
