"""Tombstones: the keys of which a node knows that they are revoked.  I/O: the store's file.

A tombstone is kept beside pieces of its key only, which bounds their number, and outlives the pieces that were there
when it came: who has the stolen key can sign whatever he likes and brings none of it back for as long as they would
have lived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overlay.errors import RemoteError
from overlay.ring.holding import Kept
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping

    from overlay.trust.pieces import KeyPiece


class Graves:
    """One tombstone a user."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def dig(self, tombstone: Tombstone, pieces: Collection[KeyPiece]) -> Kept:
        """Keep a tombstone whose signature holds, if these live pieces of its user are of its key."""
        mine = [piece for piece in pieces if _is_of(tombstone, piece)]
        if not mine:
            return Kept.NO_PIECE
        if self.of(pieces, 0.0) is not None:
            return Kept.SAME
        self._db.execute(
            "INSERT OR REPLACE INTO tombstones (aor, expires_at, body) VALUES (?, ?, ?)",
            (tombstone.aor, max(piece.expires_at for piece in mine), tombstone.encode()),
        )
        return Kept.KEPT

    def of(self, pieces: Iterable[KeyPiece], now: float) -> Tombstone | None:
        """Return what revokes the key of these pieces, all of one user and generation; None: nothing does."""
        piece = next(iter(pieces), None)
        if piece is None:
            return None
        found = self._read(piece.aor, now)
        return found if found is not None and _is_of(found, piece) else None

    def bars(self, piece: KeyPiece, held: Mapping[int, KeyPiece], now: float) -> bool:
        """Tell whether a piece is of a revoked key, and not just one that is held already."""
        found = self._read(piece.aor, now)
        return found is not None and _is_of(found, piece) and held.get(piece.index) != piece

    def sweep(self, now: float) -> None:
        """Drop what has had its time."""
        self._db.execute("DELETE FROM tombstones WHERE expires_at <= ?", (now,))

    def _read(self, aor: str, now: float) -> Tombstone | None:
        row = self._db.execute("SELECT body FROM tombstones WHERE aor = ? AND expires_at > ?", (aor, now)).fetchone()
        try:
            found = None if row is None else Tombstone.decode(row[0])
        except RemoteError:
            return None
        return found if found is not None and found.aor == aor else None


def _is_of(tombstone: Tombstone, piece: KeyPiece) -> bool:
    return (tombstone.aor, tombstone.generation, tombstone.thumbprint) == (
        piece.aor,
        piece.generation,
        piece.thumbprint,
    )
