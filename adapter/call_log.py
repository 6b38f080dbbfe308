"""The history of calls: `calls.jsonl` in the state directory, one receipt a line, mode 600.  I/O: files.

A line says who called whom, when, how it ended and what the other side's key rests on: which node gave which piece,
who lied and how. No key, no token. The softphone adds a line of kind `talk` when a call is over: how long it was, how
it sounded, or that it was missed; the digest of the call's token joins the two. At MAX_FILE_BYTES the file becomes
`calls.jsonl.1`, in the place of the one before. Adapter and softphone are two processes: each holds the directory's
lock while it writes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from adapter.keystore import make_private_dir

if TYPE_CHECKING:
    from pathlib import Path

CALLS_FILE: Final = "calls.jsonl"
OLDER_FILE: Final = "calls.jsonl.1"
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_LINE_BYTES: Final = 16 * 1024
"""A receipt with more than this, from a ring full of liars, is kept without its pieces and liars."""
TALK: Final = "talk"
"""The kind of a line that says what became of a call."""
_BULKY: Final = ("pieces", "liars", "conflicts", "nodes_silent")


class CallLog:
    """Writes receipts."""

    def __init__(self, state_dir: Path, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._dir, self._max_bytes = state_dir, max_bytes

    def keep(self, receipt: dict[str, Any], now: float) -> None:
        """Append one receipt, `now` in seconds since 1970. Raises OSError."""
        row = {"v": 1, "at": round(now, 3)} | receipt
        line = _encode(row)
        if len(line) > MAX_LINE_BYTES:
            line = _encode({key: value for key, value in row.items() if key not in _BULKY} | {"cut": True})
        make_private_dir(self._dir)
        lock = os.open(self._dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held for one short write: nobody else turns the file over meanwhile
            self._append(line)
        finally:
            os.close(lock)

    def _append(self, line: bytes) -> None:
        path = self._dir / CALLS_FILE
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(fd).st_size + len(line) > self._max_bytes:
                path.replace(self._dir / OLDER_FILE)
                os.close(fd)
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.write(fd, line)
        finally:
            os.close(fd)


def read_calls(state_dir: Path, *, last: int) -> list[dict[str, Any]]:
    """Return at most `last` calls, oldest first; a line cut by a power failure is left out. Raises OSError.

    A call is its receipt, with what became of it as member `talk`; a call that no adapter announced is a talk alone.
    """
    rows: deque[dict[str, Any]] = deque(maxlen=last)
    receipts: dict[tuple[object, object], dict[str, Any]] = {}
    for name in (OLDER_FILE, CALLS_FILE):
        try:
            with (state_dir / name).open("rb") as file:
                for line in file:
                    if (row := _decode(line)) is None:
                        continue
                    key = (row.get("side"), row.get("call"))
                    if row.get("kind") == TALK and (receipt := receipts.pop(key, None)) is not None:
                        receipt["talk"] = row["talk"]
                        continue
                    rows.append(row)
                    if row.get("call"):
                        receipts[key] = row
        except FileNotFoundError:
            continue
    return list(rows)


def _encode(row: dict[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_sound = (
        isinstance(row, dict) and row.get("v") == 1 and (row.get("kind") != TALK or isinstance(row.get(TALK), dict))
    )
    return row if is_sound else None
