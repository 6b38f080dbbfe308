"""The table of cases, live on a terminal and line by line elsewhere.  I/O: the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.interop.calls import Row

SHOWN = 18
"""Latest rows that stay in sight while it runs."""


class Board:
    """What is being tried and what came of it."""

    def __init__(self, cases: int) -> None:
        self._console = Console(highlight=False)
        self._cases = cases
        self._rows: list[Row] = []
        self._now = "building the LAN and its ring"
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, row: Row) -> None:
        """Say what is tried now."""
        self._now = f"{row.case}: {row.caller} calls {row.callee} over {row.transport}"
        self._show()

    def done(self, row: Row) -> None:
        """Take a row in."""
        self._rows.append(row)
        if not self._console.is_terminal:
            state = "skipped" if row.skipped else "ok" if row.ok else "FAILED"
            pair = f"{row.caller} -> {row.callee} ({row.transport})"
            text = f"{len(self._rows):3}/{self._cases} {state:7} {row.case}: {pair}"
            self._console.print(
                f"{text} {row.setup_ms:.0f} ms, {row.took_s:.0f} s {row.why}", markup=False, soft_wrap=True
            )
        self._show()

    def _show(self) -> None:
        if self._live.is_started:
            now = Text(f"{len(self._rows)} of {self._cases} done; {self._now}")
            self._live.update(Group(_table(self._rows[-SHOWN:]), now))

    def verdict(self, rows: Sequence[Row], took_s: float) -> None:
        """Show every row and the sum."""
        if self._console.is_terminal:
            self._console.print(_table(rows))
        good, skipped = sum(row.ok for row in rows), sum(row.skipped for row in rows)
        text = f"{good} ok, {len(rows) - good - skipped} failed, {skipped} skipped, in {took_s:.0f} s"
        self._console.print(text, style="green" if good + skipped == len(rows) else "red")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None)
    for column in ("case", "caller", "callee", "over", "", "302", "direct", "a to b", "b to a", "ms", "why"):
        table.add_column(column)
    for row in rows:
        state = Text("skipped", "yellow") if row.skipped else Text("ok", "green") if row.ok else Text("FAILED", "red")
        marks = [_mark(value) for value in (row.redirected, row.media_direct, row.audio_ab, row.audio_ba)]
        table.add_row(
            row.case, row.caller, row.callee, row.transport, state, *marks, f"{row.setup_ms:.0f}", Text(row.why[:80])
        )
    return table


def _mark(value: bool) -> str:  # noqa: FBT001 -- a cell
    return "yes" if value else "-"
