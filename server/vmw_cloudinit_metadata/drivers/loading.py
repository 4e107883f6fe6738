"""A path -> a Definition, with the defaults on the way to it, and with a note of each file it was made of."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator

from vmw_cloudinit_metadata.definition import MAX_DEFINITION, Definition, Source
from vmw_cloudinit_metadata.drivers.cache import File, Files
from vmw_cloudinit_metadata.drivers.reading import ABSENT, HIDDEN, is_definition, is_inside, read_whole
from vmw_cloudinit_metadata.errors import DefinitionError, Fault
from vmw_cloudinit_metadata.log import printable

# Defaults, for each definition of their directory and of those below it.
DEFAULTS = "_defaults.yaml"


class Loader:
    """Loads the definitions of a directory and of those below it. Several threads may do so at once."""

    def __init__(self, root: str, clock_ns: Callable[[], int]) -> None:
        self._root = root
        self._clock_ns = clock_ns
        self._here = threading.local()

    def load(self, path: str) -> Definition | None:
        """Return the definition in a file; None if there is no such file.

        Raises:
            DefinitionError: it has faults, or the defaults on the way to it have.
            DriverBusyError: a file changes all the time.
        """
        source = self._source(path)
        if source is None:
            return None
        names = {source.name: path}
        defaults = []
        for directory in self._way(path):
            if each := self._source(f"{directory}/{DEFAULTS}"):
                names[each.name] = f"{directory}/{DEFAULTS}"
                defaults.append(each)
        return Definition(source, defaults, lambda name, relative: self.read_file(names[name], relative))

    def read_file(self, path: str, relative: str) -> bytes:
        """Return what is in a file that another one names, by its path from there.

        Raises:
            DefinitionError: it cannot be read, or is not inside the directory; the end of a sentence.
            DriverBusyError: it changes all the time.
        """
        try:
            relative.encode()
        except UnicodeEncodeError:
            relative = ""
        if not relative or "\0" in relative or os.path.isabs(relative):
            raise DefinitionError("is not the path of a file from the directory of this one")
        target = os.path.join(os.path.dirname(path), relative)
        if not is_inside(self._root, target):
            raise DefinitionError("leads out of the directory")
        if _is_of_definitions(os.path.relpath(target, self._root)):
            raise DefinitionError(
                "is a definition; what a definition names does not end in .yaml or .yml, or lies in a "
                "directory whose name begins with _"
            )
        text = self._read(target)
        if text is None:
            raise DefinitionError("cannot be read: there is no such file")
        if len(text) > MAX_DEFINITION:
            raise DefinitionError(f"is longer than {MAX_DEFINITION // 1024 // 1024} MiB")
        return text

    @contextlib.contextmanager
    def noting(self) -> Iterator[Files]:
        """Note each file that this thread reads meanwhile, or would if it were there, in what is yielded."""
        notes: dict[str, File] = {}
        self._here.notes = notes
        try:
            yield notes
        finally:
            self._here.notes = {}

    def renewed(self, known: Files) -> Files | None:
        """Return the same files as they are now; None if what is in one of them may be something else.

        Raises:
            DriverBusyError: one changes all the time.
        """
        touched = [path for path, file in known.items() if not file.is_untouched(path)]
        if not touched:
            return known
        with self.noting() as now:
            for path in touched:
                with contextlib.suppress(DefinitionError):
                    self._read(path)
        same = all(known[path].digest and known[path].digest == now[path].digest for path in touched)
        return {**known, **now} if same else None

    def _way(self, path: str) -> Iterator[str]:
        """Yield the directories on the way to a file, the outermost first."""
        directory = self._root
        yield directory
        for name in os.path.relpath(path, self._root).split(os.sep)[:-1]:
            directory = f"{directory}/{name}"
            yield directory

    def _source(self, path: str) -> Source | None:
        # A name may hold line ends, and a log must not.
        name = printable(path)
        try:
            text = self._read(path)
        except DefinitionError as error:
            fault = Fault(name, 0, "", str(error))
            raise DefinitionError(str(fault), faults=[fault]) from error
        return None if text is None else Source(name, text)

    def _read(self, path: str) -> bytes | None:
        """Return what is in a file, None if there is none.

        Raises:
            DefinitionError: it cannot be read; the text is the end of a sentence.
            DriverBusyError: it changes all the time.
        """
        notes: dict[str, File] = getattr(self._here, "notes", {})
        notes[path] = File(None, settled=False)
        try:
            signature, text = read_whole(self._root, path)
        except OSError as error:
            if error.errno in ABSENT:
                notes[path] = File(None)
                return None
            raise DefinitionError(f"cannot be read: {error.strerror}") from error
        digest = hashlib.blake2b(text, digest_size=16).digest()
        notes[path] = File(signature, signature.is_settled(self._clock_ns()), digest)
        return text


def _is_of_definitions(way: str) -> bool:
    """Tell whether a file is a definition or defaults, which may hold what is for one VM and no other."""
    *directories, name = way.split(os.sep)
    if any(each.startswith(HIDDEN) for each in directories):
        return False
    return is_definition(name) or name == DEFAULTS
