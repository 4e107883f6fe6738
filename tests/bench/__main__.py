"""``make bench``: how fast it is, beside what it should be; each part in its turn, alone.

``python -m tests.bench [PART…]``. Nothing is asserted: the table says what was missed, and then the exit code
is 1.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench import boots, files, fleet, guest, machine, programs, streams, tls
from tests.bench.table import Row, text


def main() -> int:
    """Measure what was asked for, or all."""
    if missing := programs.nothing_is_missing():
        print(f"make bench needs {missing}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        parts = _parts(programs.build(), Path(scratch))
        names = sys.argv[1:] or list(parts)
        if unknown := [name for name in names if name not in parts]:
            print(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}", file=sys.stderr)
            return 2
        rows: list[Row] = []
        for name in names:
            for row in parts[name]():
                print(f"{row.what}: {row.value}", file=sys.stderr, flush=True)
                rows.append(row)
    print(f"\n{machine.describe()}\n\n{text(rows)}")
    return int(any(row.good is False for row in rows))


def _parts(built: Path, scratch: Path) -> dict[str, Callable[[], Iterator[Row]]]:
    return {
        "boots": partial(boots.measure, built, scratch),
        "fleet": partial(fleet.measure, built, scratch),
        "tls": partial(tls.measure, built, scratch),
        "large": partial(fleet.measure_large, built, scratch),
        "files": partial(files.measure, built, scratch),
        "streams": streams.measure,
        "guest": guest.measure,
    }


if __name__ == "__main__":
    sys.exit(main())
