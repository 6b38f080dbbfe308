"""A file of rows in the state directory, `{"v": 1, NAME: [row, ...]}`: whole or not at all, mode 600.  I/O: files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

from adapter.keystore import make_private_dir
from adapter.problems import DamagedFile
from adapter.state import write_private
from overlay.errors import Secp2psipError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

VERSION: Final = 1

_T = TypeVar("_T")


def load_rows(
    path: Path, name: str, decode: Callable[[dict[str, Any]], _T], *, max_rows: int, max_bytes: int, hint: str
) -> tuple[_T, ...]:
    """Return what `decode` makes of each row of a list called `name`; nothing where there is no file.

    Raises DamagedFile, with `hint`, for a file that is longer, holds more rows, or has one that `decode` refuses with a
    Secp2psipError or by tripping over it. Raises OSError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        return ()
    try:
        value = json.loads(data)
        if len(data) > max_bytes or value["v"] != VERSION or len(value[name]) > max_rows:
            raise ValueError  # noqa: TRY301 -- one way out
        return tuple(decode(row) for row in value[name])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, Secp2psipError):
        raise DamagedFile(f"{path} is damaged", hint=hint) from None


def save_rows(path: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Keep the rows. Raises OSError."""
    make_private_dir(path.parent)
    write_private(path, json.dumps({"v": VERSION, name: rows}) + "\n")
