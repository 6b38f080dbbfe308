"""The SQLite file behind the record store: opened, private, mended.  I/O: a file.

Everything in it is soft state that owners put back, so a damaged file is set aside and a new one begun.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
SCHEMA_VERSION: Final = 2
"""A file of version 1 holds pieces that no share list stands for; it is set aside."""
MEMORY: Final = ":memory:"

_SETTINGS: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA trusted_schema = OFF;
"""
"""A power cut may lose the last seconds, which the owners store again, and never the file."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pieces (
    aor TEXT NOT NULL, piece INTEGER NOT NULL, sender BLOB NOT NULL, expires_at INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (aor, piece)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_expiry ON pieces (expires_at);
CREATE TABLE IF NOT EXISTS records (
    aor TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS share_lists (
    aor TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS releases (
    aor TEXT NOT NULL PRIMARY KEY, sequence INTEGER NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former (
    aor TEXT NOT NULL, piece INTEGER NOT NULL, expires_at INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (aor, piece)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former_records (
    aor TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tombstones (
    aor TEXT NOT NULL PRIMARY KEY, expires_at INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seals (
    aor TEXT NOT NULL, first INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (aor, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS came_by (
    aor TEXT NOT NULL, family INTEGER NOT NULL,
    PRIMARY KEY (aor, family)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
    held BLOB NOT NULL, offered BLOB NOT NULL UNIQUE, aor TEXT NOT NULL, sender BLOB NOT NULL, seen_at INTEGER NOT NULL
);
"""


def open_store_file(path: Path | str) -> tuple[sqlite3.Connection, Path | None]:
    """Open or make the file (mode 0600, write-ahead log); return it and where a damaged one was moved, if so.

    OSError when the folder cannot be written, sqlite3.Error when even a new file cannot be used.
    """
    if str(path) == MEMORY:
        return _connect(MEMORY), None
    path = Path(path)
    _make_private(path)
    try:
        return _connect(path), None
    except sqlite3.DatabaseError as damage:
        if isinstance(damage, sqlite3.OperationalError):
            # locked, or no room: the file itself may be sound
            raise
    aside = path.with_name(path.name + ".damaged")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _make_private(path)
    return _connect(path), aside


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, so that it is never readable by others; its log inherits the mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))
    path.chmod(FILE_MODE)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
    try:
        connection.executescript(_SETTINGS)  # which keeps no statement, as execute() would
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"schema version {version}")
        connection.executescript(f"{_SCHEMA}; PRAGMA user_version = {SCHEMA_VERSION}")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("file damaged")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
