"""The seals that a node keeps beside the pieces of a user.  I/O: the store's file.

Two records a user at most, and only of the key of live pieces: what bounds the pieces bounds them, and
the last piece takes them along (`shelves`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overlay.errors import RemoteError
from overlay.ring.holding import Kept
from overlay.trust.seals import Seals

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from overlay.trust.pieces import KeyPiece


class Sealed:
    """The seals of each user."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def keep(self, seals: Seals, pieces: Collection[KeyPiece]) -> Kept:
        """Keep seals beside the live pieces of their key; those of a later dealing take the place of earlier ones."""
        if not any(seals.is_of(piece) for piece in pieces):
            return Kept.NO_PIECE
        held = next((other for other in self.of(pieces) if other.first == seals.first), None)
        if held == seals:
            return Kept.SAME
        if held is not None and held.expires_at >= seals.expires_at:
            return Kept.OLDER
        try:
            seals.verify()
        except RemoteError:
            return Kept.FORGED
        self._db.execute(
            "INSERT OR REPLACE INTO seals (aor, first, body) VALUES (?, ?, ?)",
            (seals.aor, seals.first, seals.encode()),
        )
        return Kept.KEPT

    def of(self, pieces: Collection[KeyPiece]) -> tuple[Seals, ...]:
        """Return the seals of the key of these pieces, all of one user and generation."""
        piece = next(iter(pieces), None)
        if piece is None:
            return ()
        found = []
        for (body,) in self._db.execute("SELECT body FROM seals WHERE aor = ? ORDER BY first", (piece.aor,)).fetchall():
            try:
                seals = Seals.decode(body)
            except RemoteError:
                continue
            if seals.is_of(piece):
                found.append(seals)
        return tuple(found)
