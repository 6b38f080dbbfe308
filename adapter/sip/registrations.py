"""Registrations kept across a restart: who called in from where, and until when.  I/O: files.

One small SQLite file, readable by its owner alone. It is a memory aid and no truth: what cannot be read is dropped and
the phone registers again within five minutes; every Contact is read anew by the rules of a REGISTER when it comes back.
Times are wall-clock seconds, because a monotonic clock means nothing to the next process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAX_ROWS: Final = 4096
PAGE_BYTES: Final = 4096
MAX_PAGES: Final = 2048
"""8 MB: four times what MAX_ROWS of usual length take."""
BUSY_S: Final = 1.0
LAYOUT: Final = 1
"""Number of the table's layout; a file with another one is begun anew."""

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS registrations (
        number INTEGER PRIMARY KEY, user TEXT NOT NULL, contact TEXT NOT NULL, host TEXT NOT NULL,
        port INTEGER NOT NULL, connected INTEGER NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One registered Contact as the file has it."""

    contact: str
    """The Contact value as the phone wrote it, without expires."""
    source: tuple[str, int]
    is_connected: bool
    """Whether it came over a connection, which is gone by now."""
    call_id: str
    cseq: int
    expires_at: float
    """Seconds since the epoch."""


class Registrations:
    """The file. No method raises for what is wrong with it: a phone line does not depend on it."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, which need not exist; its directory must."""
        self._path = path
        self._db: sqlite3.Connection | None = None

    def open(self) -> Self:
        """Open the file, or begin a new one where there is none or it is damaged."""
        try:
            self._connect()
        except (sqlite3.Error, OSError) as error:
            _log.warning("the kept registrations are begun anew: %s", error)
            self.close()
            try:
                self._remove()
                self._connect()
            except (sqlite3.Error, OSError) as again:
                _log.warning("registrations are not kept: %s", again)
                self.close()
        return self

    def load(self) -> dict[str, list[Kept]]:
        """Return what was kept of each user, oldest first."""
        kept: dict[str, list[Kept]] = {}
        if self._db is None:
            return kept
        try:
            rows = self._db.execute(
                "SELECT user, contact, host, port, connected, call_id, cseq, expires_at FROM registrations"
                " ORDER BY number LIMIT ?",
                (MAX_ROWS,),
            )
            for user, contact, host, port, connected, call_id, cseq, expires_at in rows:
                row = Kept(
                    contact=contact,
                    source=(host, port),
                    is_connected=bool(connected),
                    call_id=call_id,
                    cseq=cseq,
                    expires_at=expires_at,
                )
                kept.setdefault(user, []).append(row)
        except sqlite3.Error as error:
            _log.warning("the kept registrations cannot be read: %s", error)
        return kept

    def save(self, users: Mapping[str, Iterable[Kept]]) -> None:
        """Replace what is kept of each of these users, oldest first, all of it or nothing."""
        if self._db is None:
            return
        try:
            with self._db:
                self._db.executemany("DELETE FROM registrations WHERE user = ?", [(user,) for user in users])
                (room,) = self._db.execute("SELECT ? - count(*) FROM registrations", (MAX_ROWS,)).fetchone()
                rows = [
                    (user, kept.contact, *kept.source, kept.is_connected, kept.call_id, kept.cseq, kept.expires_at)
                    for user, bindings in users.items()
                    for kept in bindings
                ]
                self._db.executemany(
                    "INSERT INTO registrations (user, contact, host, port, connected, call_id, cseq, expires_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows[: max(0, room)],
                )
        except sqlite3.Error as error:
            _log.warning("registrations could not be kept: %s", error)

    def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _connect(self) -> None:
        # made by us and not by SQLite: it would be readable by all
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        self._path.chmod(0o600)
        self._db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level="DEFERRED")
        for setting in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = NORMAL",  # a power cut may cost the last seconds, never the file
            f"max_page_count = {MAX_PAGES}",
            "trusted_schema = OFF",
        ):
            self._db.execute(f"PRAGMA {setting}")
        (layout,) = self._db.execute("PRAGMA user_version").fetchone()
        if layout not in {0, LAYOUT}:
            raise sqlite3.DatabaseError(f"they have layout {layout}")
        with self._db:
            self._db.execute(_TABLE)
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
        (flaw,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if flaw != "ok":
            raise sqlite3.DatabaseError(flaw)

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
