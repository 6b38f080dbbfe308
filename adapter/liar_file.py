"""The file of remembered liars, `liars.json` in the state directory: whole or not at all, mode 600.  I/O: files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from adapter.keystore import make_private_dir
from adapter.liars import MAX_LIARS, Lied
from adapter.problems import DamagedFile
from adapter.state import write_private
from overlay.errors import Secp2psipError

if TYPE_CHECKING:
    from pathlib import Path

LIARS_FILE: Final = "liars.json"
VERSION: Final = 1
MAX_FILE_BYTES: Final = 128 * 1024
"""MAX_LIARS rows of at most some 300 bytes each."""


def load_liars(state_dir: Path) -> tuple[Lied, ...]:
    """Return the nodes that were caught in earlier runs. Raises DamagedFile; without them lookups work as well."""
    path = state_dir / LIARS_FILE
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return ()
    try:
        value = json.loads(data)
        if len(data) > MAX_FILE_BYTES or value["v"] != VERSION or len(value["liars"]) > MAX_LIARS:
            raise ValueError  # noqa: TRY301 -- one way out
        return tuple(_decode(row) for row in value["liars"])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, Secp2psipError):
        raise DamagedFile(
            f"{path} is damaged", hint="it is made anew: nodes that lied before are met anew, and harm nobody"
        ) from None


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
    make_private_dir(state_dir)
    write_private(state_dir / LIARS_FILE, json.dumps({"v": VERSION, "liars": rows}) + "\n")


def _decode(row: dict[str, Any]) -> Lied:
    return Lied(
        node=bytes.fromhex(row["node"]),
        why=str(row["why"]),
        times=row["times"],
        first_at=float(row["first_at"]),
        last_at=float(row["last_at"]),
    )
