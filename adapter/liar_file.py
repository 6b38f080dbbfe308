"""The file of remembered liars, `liars.json` in the state directory.  I/O: files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapter.liars import MAX_LIARS, Lied
from adapter.rows_file import load_rows, save_rows

if TYPE_CHECKING:
    from pathlib import Path

LIARS_FILE: Final = "liars.json"
MAX_FILE_BYTES: Final = 512 * 1024
"""MAX_LIARS rows, each with a reason of MAX_WHY_CHARS that JSON may write in twelve bytes a character."""


def load_liars(state_dir: Path) -> tuple[Lied, ...]:
    """Return the nodes that were caught in earlier runs. Raises DamagedFile; without them lookups work as well."""
    return load_rows(
        state_dir / LIARS_FILE,
        "liars",
        _decode,
        max_rows=MAX_LIARS,
        max_bytes=MAX_FILE_BYTES,
        hint="it is made anew: nodes that lied before are met anew, and harm nobody",
    )


def save_liars(state_dir: Path, lied: tuple[Lied, ...]) -> None:
    """Keep them. Raises OSError."""
    rows = [
        {
            "node": one.node.hex(),
            "why": one.why,
            "times": one.times,
            "first_at": round(one.first_at),
            "last_at": round(one.last_at),
        }
        for one in lied
    ]
    save_rows(state_dir / LIARS_FILE, "liars", rows)


def _decode(row: dict[str, Any]) -> Lied:
    return Lied(
        node=bytes.fromhex(row["node"]),
        why=str(row["why"]),
        times=row["times"],
        first_at=float(row["first_at"]),
        last_at=float(row["last_at"]),
    )
