"""The rows as a table, the promises below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tests.attack.promises import Judged

COUNTS = ("ok", "refused", "stale", "forged")
STYLES = {"ok": "green", "refused": "yellow", "stale": "magenta", "forged": "bold red"}


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sort rows as they are read: level, threshold, attack, liars, then the variants side by side."""
    levels = ("holder", "ring", "message", "process")
    return (levels.index(row["level"]), row["k"], row["n"], row["attack"], row["liars"], row["variant"])


def show(console: Console, rows: Sequence[dict[str, Any]], judged: Sequence[Judged]) -> None:
    """Print everything."""
    for level in dict.fromkeys(row["level"] for row in rows):
        console.print(_table(level, [row for row in rows if row["level"] == level]))
    for promise in judged:
        mark = Text("not tried", "dim") if not promise.rows else Text("BROKEN", "bold red")
        if promise.rows and not promise.broken:
            mark = Text("held", "green")
        console.print(Text.assemble(mark, f"  {promise.sentence} ({promise.rows} cells)"))
        for row in promise.broken:
            where = f"{row['attack']}, {row['liars']} of {row['of']}, k={row['k']} n={row['n']}"
            console.print(f"        {where}: " + ", ".join(f"{row[count]} {count}" for count in COUNTS))


def _table(level: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"{level} level", title_justify="left", pad_edge=False)
    for name in ("attack", "variant", "(k, n)"):
        table.add_column(name, no_wrap=True)
    for name in ("evil", "calls", *COUNTS, "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, row["attack"]):
            table.add_section()
        before = row["attack"]
        table.add_row(
            row["attack"],
            row["variant"],
            f"({row['k']}, {row['n']})",
            f"{row['liars']} of {row['of']}",
            str(row["calls"]),
            *(Text(str(row[count]), STYLES[count] if row[count] else "dim") for count in COUNTS),
            *("-" if row[p] is None else f"{row[p]:.0f}" for p in ("p50_ms", "p95_ms", "p99_ms")),
        )
    return table
