"""What was measured, as a table."""

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One thing that was measured, beside what it should be; ``good`` is None where nothing was promised."""

    what: str
    value: str
    target: str = ""
    good: bool | None = None


def text(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown, which README has as well."""
    cells = [("what", "measured", "target", ""), *((*row[:3], _word(row.good)) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _word(good: bool | None) -> str:
    return {None: "", True: "ok", False: "MISSED"}[good]
