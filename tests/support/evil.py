"""Holders that lie: real nodes with real credentials whose store answers what an attacker would answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from overlay.errors import RemoteError
from overlay.ring.holding import Holding, Kept
from overlay.ring.storage import RecordStore
from overlay.ring.store_file import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, Release


class LyingStore(RecordStore):
    """Keeps everything as it should, and says what it likes."""

    def __init__(self, path: Path | str = MEMORY) -> None:
        super().__init__(path)
        self.lie: Callable[[str, Holding], Holding] | None = None
        """None tells the truth."""
        self.lie_to_readers: Callable[[str, Holding], Holding] | None = None
        """The same, told only through `lend_tongue`."""
        self.takes_nothing = False
        """Whether every piece is refused."""
        self.after_release: Callable[[], None] | None = None
        """Called when an owner's release was acted on, or not."""

    def put_piece(self, *pieces: Any, **details: Any) -> Kept:
        return Kept.FULL if self.takes_nothing else super().put_piece(*pieces, **details)

    def release(self, release: Release, now: float) -> Kept:
        outcome = super().release(release, now)
        if self.after_release is not None:
            self.after_release()
        return outcome

    def get(self, aor: str, now: float) -> Holding:
        truth = super().get(aor, now)
        return truth if self.lie is None else self.lie(aor, truth)


def changed_shares(_aor: str, truth: Holding) -> Holding:
    """Change each share by one, under the old signature: what anybody can do."""
    return Holding(pieces=tuple(_one_more(piece) for piece in truth.pieces), record=truth.record)


def nothing(_aor: str, _truth: Holding) -> Holding:
    """Deny everything."""
    return Holding()


def another_key(pieces: tuple[KeyPiece, ...], record: LookupRecord | None) -> Callable[[str, Holding], Holding]:
    """Claim whole pieces of another key, whatever lies here; signed ones take the dealing key."""
    return lambda _aor, _truth: Holding(pieces=pieces, record=record)


def another_record(record: LookupRecord) -> Callable[[str, Holding], Holding]:
    """Tell the truth about the pieces and lead the call elsewhere."""
    return lambda _aor, truth: Holding(pieces=truth.pieces, record=record)


def _one_more(piece: KeyPiece) -> KeyPiece:
    share = (int.from_bytes(piece.share, "big") + 1) % (2**521 - 1)
    return replace(piece, share=share.to_bytes(66, "big"))


def silent(_aor: str, _truth: Holding) -> Holding:
    """Leave every question about a name unanswered, as a node that drops it would; see `lend_tongue`."""
    raise RemoteError("dropped")


def lend_tongue(ring: KademliaRing, store: LyingStore) -> None:
    """Let a node that is not open yet lie to those who fetch from it, and to nobody else: its own upkeep runs on."""
    handlers = ring._server._options["handlers"]
    honest = handlers["fetch"]

    def on_fetch(*arguments: Any) -> list[Any]:
        store.lie = store.lie_to_readers
        try:
            return honest(*arguments)
        finally:
            store.lie = None

    handlers["fetch"] = on_fetch
