"""What evil processes are told: a file that is whole at every moment.  I/O: files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

WRONG_SUCCESSOR = "wrong successor"
NOTHING: dict[str, Any] = {"attack": "", "liars": []}


def write_orders(file: Path, orders: dict[str, Any]) -> None:
    """Replace the orders."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(orders))
    draft.replace(file)


def read_orders(file: Path) -> dict[str, Any]:
    """Return the orders."""
    orders: dict[str, Any] = json.loads(file.read_text())
    return orders
