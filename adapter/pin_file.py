"""The file of pinned contacts, `contacts.json` in the state directory.  I/O: files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapter.pins import MAX_CONTACTS, Pin
from adapter.rows_file import load_rows, save_rows

if TYPE_CHECKING:
    from pathlib import Path

CONTACTS_FILE: Final = "contacts.json"
MAX_FILE_BYTES: Final = 256 * 1024


def load_pins(state_dir: Path) -> tuple[Pin, ...]:
    """Return the pinned contacts. Raises DamagedFile: with a pin lost in silence, anybody could be that contact."""
    path = state_dir / CONTACTS_FILE
    return load_rows(
        path,
        "contacts",
        _decode,
        max_rows=MAX_CONTACTS,
        max_bytes=MAX_FILE_BYTES,
        hint=f"put back a copy of it, or move it away (mv {path} {path}.bad): every contact is then met anew",
    )


def save_pins(state_dir: Path, pins: tuple[Pin, ...]) -> None:
    """Keep the pinned contacts."""
    rows = [
        {
            "name": pin.aor,
            "bundle": pin.bundle.hex(),
            "generation": pin.generation,
            "first_seen": round(pin.first_seen),
            "verified": pin.verified,
        }
        for pin in pins
    ]
    save_rows(state_dir / CONTACTS_FILE, "contacts", rows)


def _decode(row: dict[str, Any]) -> Pin:
    return Pin(
        aor=row["name"],
        bundle=bytes.fromhex(row["bundle"]),
        generation=row["generation"],
        first_seen=float(row["first_seen"]),
        verified=row["verified"] is True,
    )
