"""The generation before: what a node goes on showing of a user whose key is being changed.  I/O: the store's file.

A change of a key reaches the holders one after the other. If each of them dropped the old pieces at once, there would
be a moment in which neither key has enough of them, and a bootstrap that dies in that moment would make it last. So the
old pieces stay beside the new ones until the owner is seen to go on with the new key. They are never stored anew, and
who reads them prefers the new ones as soon as enough nodes have those.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from overlay.errors import RemoteError
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

MAX_READ: Final = 4096
"""Pieces, and records, that stay decoded: reading one costs ten times what finding it does."""


class Former:
    """The pieces of generations that a newer one has followed, and the record beside them; one generation a user."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def take(self, pieces: Iterable[KeyPiece], record: LookupRecord | None) -> None:
        """Keep these in place of whatever there was of their user; they live no longer than they would have."""
        for number, piece in enumerate(pieces):
            if number == 0:
                self.drop(piece.aor)
            self._db.execute(
                "INSERT OR REPLACE INTO former (aor, piece, expires_at, body) VALUES (?, ?, ?, ?)",
                (piece.aor, piece.index, piece.expires_at, piece.encode()),
            )
        if record is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO former_records (aor, body) VALUES (?, ?)", (record.aor, record.encode())
            )

    def pieces(self, aor: str, now: float) -> dict[int, KeyPiece]:
        """Return the live pieces by index; a row that does not read back is left out."""
        rows = self._db.execute("SELECT body FROM former WHERE aor = ? AND expires_at > ?", (aor, now)).fetchall()
        found: dict[int, KeyPiece] = {}
        for (body,) in rows:
            try:
                piece = read_piece(body)
            except RemoteError:
                continue
            if piece.aor == aor and piece.expires_at > now:
                found[piece.index] = piece
        return found

    def record(self, aor: str) -> LookupRecord | None:
        """Return the record beside them, expired or not."""
        row = self._db.execute("SELECT body FROM former_records WHERE aor = ?", (aor,)).fetchone()
        try:
            return None if row is None else read_record(row[0])
        except RemoteError:
            return None

    def end(self, aor: str, at: float) -> None:
        """Let the pieces of a user go at that time, if they do not expire before."""
        self._db.execute("UPDATE former SET expires_at = min(expires_at, ?) WHERE aor = ?", (int(at), aor))

    def drop(self, aor: str) -> None:
        """Forget a user."""
        self._db.execute("DELETE FROM former WHERE aor = ?", (aor,))
        self._db.execute("DELETE FROM former_records WHERE aor = ?", (aor,))

    def sweep(self, now: float) -> None:
        """Drop what has had its time."""
        self._db.execute("DELETE FROM former WHERE expires_at <= ?", (now,))
        self._db.execute("DELETE FROM former_records WHERE aor NOT IN (SELECT aor FROM former)")


@lru_cache(maxsize=MAX_READ)
def read_piece(body: bytes) -> KeyPiece:
    """Decode a row of ours; what was read lately costs nothing."""
    return KeyPiece.decode(body)


@lru_cache(maxsize=MAX_READ)
def read_record(body: bytes) -> LookupRecord:
    """Decode a row of ours; what was read lately costs nothing."""
    return LookupRecord.decode(body)
