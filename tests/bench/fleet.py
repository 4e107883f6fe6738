"""Many VMs at once: held, asking all together, moving; and large user-data for a hundred of them."""

from collections.abc import Iterator
from pathlib import Path

from tests.bench import programs
from tests.bench.definitions import write_large, write_usual
from tests.bench.programs import Load
from tests.bench.table import Row

VMS = 16_000
DEFINITIONS = VMS  # each its own
MOST_BYTES = 12 * 1024  # of memory a VM
MOST_SECONDS = 2.0  # until all but one in a hundred have all their documents
RATE, RATE_SECONDS = 500.0, 6.0
MOST_GOAHEAD = 0.02

LARGE, LARGE_VMS = 1024 * 1024, 100


def measure(built: Path, scratch: Path) -> Iterator[Row]:
    """Hold a fleet, let it ask, and let it move."""
    definitions = scratch / "fleet"
    write_usual(definitions, DEFINITIONS)
    with programs.ours(definitions) as server:
        before = server.usage().resident
        with Load(built, server.port).fleet(VMS) as fleet:
            each = (server.usage().resident - before) / VMS
            yield Row(
                f"{VMS:,} VMs held",
                f"{each / 1024:.1f} KiB of memory each, connected in {fleet.held:.1f} s",
                f"<= {MOST_BYTES // 1024} KiB",
                each <= MOST_BYTES,
            )
            first = fleet.ask()
            yield Row("all ask at once, for the first time", _asked(first))
            asked = fleet.ask()
            slowest = asked["boot"]["p99"]
            yield Row(
                "all ask at once, again",
                _asked(asked),
                f"p99 <= {MOST_SECONDS:.0f} s",
                slowest <= MOST_SECONDS,
            )
            moved = fleet.move(RATE, RATE_SECONDS)
            goahead = moved["goahead"]["p99"]
            done = moved["vmotions"] / moved["seconds"]
            yield Row(
                f"{done:.0f} vMotions a second meanwhile",
                f"GOAHEAD p50 {moved['goahead']['p50'] * 1000:.1f} ms, p99 {goahead * 1000:.1f} ms,"
                f" max {moved['goahead']['max'] * 1000:.0f} ms",
                f"p99 <= {MOST_GOAHEAD * 1000:.0f} ms",
                goahead <= MOST_GOAHEAD and not moved["refused"],
            )


def measure_large(built: Path, scratch: Path) -> Iterator[Row]:
    """Give a hundred VMs a MiB each, at once."""
    definitions = scratch / "large"
    write_large(definitions, LARGE)
    with programs.ours(definitions) as server, Load(built, server.port).fleet(LARGE_VMS) as fleet:
        before = server.usage().resident
        server.reset_peak()
        asked = fleet.ask()
        grown = server.peak() - before
    most = 32 * LARGE
    yield Row(
        f"1 MiB of user-data to {LARGE_VMS} VMs at once",
        f"{grown / 1024 / 1024:.0f} MiB of memory at most, {asked['seconds']:.1f} s",
        f"<= {most // 1024 // 1024} MiB",
        grown <= most,
    )


def _asked(asked: dict[str, dict[str, float]]) -> str:
    answer, all_ = asked["metadata"]["p99"], asked["boot"]["p99"]
    return f"p99 of the first document {answer:.2f} s, of the third {all_:.2f} s"
