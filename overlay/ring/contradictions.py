"""Two signed things that cannot both be right: kept, bounded, for a person to see.  I/O: the store's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from overlay.errors import RemoteError
from overlay.ring.holding import Evidence
from overlay.ring.ids import id_from_bytes
from overlay.trust.pieces import KeyPiece
from overlay.trust.share_list import ShareList

if TYPE_CHECKING:
    import sqlite3
    from collections import Counter

MAX_EVIDENCE: Final = 256
MAX_EVIDENCE_PER_USER: Final = 4


class Contradictions:
    """What was offered against what is held. Every method may raise sqlite3.Error."""

    __slots__ = ("_counters", "_db", "_max_evidence")

    def __init__(self, db: sqlite3.Connection, counters: Counter[str], *, most: int) -> None:
        """`counters` hears of rows that did not read back; `most` is the cap on all of them."""
        self._db, self._counters, self._max_evidence = db, counters, most

    def note(self, held: KeyPiece | ShareList, offered: KeyPiece | ShareList, sender: bytes, now: float) -> None:
        """Keep two signed things that cannot both be right; the first ones stay."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM evidence").fetchone()
        (of_user,) = self._db.execute("SELECT COUNT(*) FROM evidence WHERE aor = ?", (offered.aor,)).fetchone()
        # the first ones stay: a flood of later ones proves nothing new and hides nothing old
        if count < self._max_evidence and of_user < MAX_EVIDENCE_PER_USER:
            self._db.execute(
                "INSERT OR IGNORE INTO evidence (held, offered, aor, sender, seen_at) VALUES (?, ?, ?, ?, ?)",
                (held.encode(), offered.encode(), offered.aor, sender, int(now)),
            )

    def all(self) -> list[Evidence]:
        """Return them, oldest first; a row that does not read back is left out."""
        found = []
        for held, offered, sender, seen_at in self._db.execute(
            "SELECT held, offered, sender, seen_at FROM evidence ORDER BY rowid"
        ).fetchall():
            try:
                found.append(
                    Evidence(
                        held=_read_signed(held),
                        offered=_read_signed(offered),
                        sender=id_from_bytes(sender),
                        seen_at=seen_at,
                    )
                )
            except RemoteError:
                self._counters["malformed row"] += 1
        return found


def _read_signed(body: bytes) -> KeyPiece | ShareList:
    """Decode a row of evidence; RemoteError when it is neither a piece nor a share list."""
    try:
        return KeyPiece.decode(body)
    except RemoteError:
        return ShareList.decode(body)
