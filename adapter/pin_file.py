"""The file of pinned contacts, `contacts.json` in the state directory: whole or not at all, mode 600.  I/O: files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from adapter.keystore import make_private_dir
from adapter.pins import MAX_CONTACTS, Pin
from adapter.problems import DamagedFile
from adapter.state import write_private
from overlay.errors import Secp2psipError

if TYPE_CHECKING:
    from pathlib import Path

CONTACTS_FILE: Final = "contacts.json"
VERSION: Final = 1
MAX_FILE_BYTES: Final = 256 * 1024


def load_pins(state_dir: Path) -> tuple[Pin, ...]:
    """Return the pinned contacts. Raises DamagedFile: with a pin lost in silence, anybody could be that contact."""
    path = state_dir / CONTACTS_FILE
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return ()
    try:
        value = json.loads(data)
        if len(data) > MAX_FILE_BYTES or value["v"] != VERSION or len(value["contacts"]) > MAX_CONTACTS:
            raise ValueError  # noqa: TRY301 -- one way out
        return tuple(_decode(row) for row in value["contacts"])
    except (KeyError, TypeError, ValueError, RecursionError, Secp2psipError):
        hint = f"put back a copy of it, or move it away (mv {path} {path}.bad): every contact is then met anew"
        raise DamagedFile(f"{path} is damaged", hint=hint) from None


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
    make_private_dir(state_dir)
    write_private(state_dir / CONTACTS_FILE, json.dumps({"v": VERSION, "contacts": rows}) + "\n")


def _decode(row: dict[str, Any]) -> Pin:
    return Pin(
        aor=row["name"],
        bundle=bytes.fromhex(row["bundle"]),
        generation=row["generation"],
        first_seen=float(row["first_seen"]),
        verified=row["verified"] is True,
    )
