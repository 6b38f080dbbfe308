"""Lines and rows that fit the terminal, however narrow.  I/O: none.

A line too long for a terminal goes on below its own beginning, so that the eye finds where the next one starts; in a
pipe it stays one line. A table too wide for a terminal becomes one paragraph a row with the columns' names in it: a
column of "alic…" says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

FURTHER: Final = 2
"""Columns by which the rest of a line is moved to the right."""
MIN_WIDTH: Final = 20
"""Columns that the rest of a line keeps; a terminal narrower than that gets no indent."""
_GAP: Final = "  "
_QUIET: Final = "dim"


class Lines:
    """Text whose lines go on under their beginnings."""

    def __init__(self, text: Text, *, indent: int = FURTHER) -> None:
        self._text, self._indent = text, indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.no_wrap:
            yield self._text
            return
        for line in self._text.split("\n", allow_blank=True):
            yield from _folded(line, console, options.max_width, max(self._indent, _leading(line.plain)))


class Rows:
    """A table where it fits, else one paragraph a row."""

    def __init__(self, *columns: str) -> None:
        self._columns = columns
        self._rows: list[tuple[str | Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add one cell a column."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in self._columns:
            table.add_column(column, no_wrap=True, overflow="ellipsis")
        for row in self._rows:
            table.add_row(*row)
        if (
            options.no_wrap
            or Measurement.get(console, options.update(width=10_000), table).maximum <= options.max_width
        ):
            yield table
            return
        for row in self._rows:
            yield from _paragraph(list(self._items(row)), console, options.max_width)

    def _items(self, row: tuple[str | Text, ...]) -> Iterator[Text]:
        for number, (column, cell) in enumerate(zip(self._columns, row, strict=True)):
            text = Text(cell) if isinstance(cell, str) else cell.copy()
            if number == 0:
                text.stylize("bold")
                yield text
            elif text.plain:
                yield Text.assemble((f"{column} ", _QUIET), text) if column else text


def _paragraph(items: list[Text], console: Console, width: int) -> Iterator[Text]:
    """Yield the items with gaps between them, broken between two items where one of them does not fit any more."""
    line = Text()
    for item in items:
        if line.plain and len(line) + len(_GAP) + len(item) > width:
            yield from _folded(line, console, width, FURTHER)
            line = Text(" " * FURTHER)
        elif line.plain:
            line.append(_GAP)
        line.append_text(item)
    yield from _folded(line, console, width, FURTHER)


def _folded(line: Text, console: Console, width: int, indent: int) -> Iterator[Text]:
    """Yield a line in pieces that fit, all but the first moved to the right."""
    if len(line) <= width or width - indent < MIN_WIDTH:
        yield line
        return
    first, *rest = line.wrap(console, width)
    yield first
    if rest:
        below = line[len(first) :]
        below = below[len(below.plain) - len(below.plain.lstrip()) :]
        for piece in below.wrap(console, width - indent):
            yield Text.assemble(" " * indent, piece)


def _leading(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
