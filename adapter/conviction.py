"""Which answers name a liar for certain.  I/O: none; no clock takes part.

That a node said something is certain: the ring takes an answer from the very node that was asked and from nobody else.
What no honest node ever says is a short list, for an honest node keeps only what verified when it came
(`overlay.ring.offers`), and shows what it keeps:

1. a piece that the dealing key did not sign, or a record or tombstone that its signer did not: nobody can have made an
   honest node keep it;
2. a signed share off the polynomial that the acceptance rule proved, for a share is kept only where the overlay key
   lists it [docs/adr/0011], or a lookup record of that generation for another key, for a record is kept only beside
   pieces of its own key.

What convicts nobody: to be silent, slow or without a piece (churn, an upkeep that has not come round yet); to show the
generation before, or its record (a key is being changed, and half of an answer may be lost); to show what has expired,
or what is dated ahead (whose clock is right?); a well signed piece of another threshold (the operator chose anew); an
older address of the owner; naming other nodes, true or not, to whoever looks for a way. Number 2 is left out unless the
rule itself decided: where a key stands on signatures or on a pin alone, those who contradict it may be the honest ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from overlay.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.findings import Key
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord
    from overlay.trust.tombstone import Tombstone


def flaw_of_piece(piece: KeyPiece, dealing_public: bytes) -> str:
    """Return why no honest node can have kept this piece at any time, empty if one can; `dealing_public`: 32 bytes."""
    return _reason(lambda: piece.verify(dealing_public, now=piece.issued_at))


def flaw_of_record(record: LookupRecord, key: Key | None) -> str:
    """Return why no honest node can have kept this lookup record, empty if one can.

    `key` is the one that was proved of the name, None where none was.
    """
    flaw = _reason(lambda: record.verify(now=record.issued_at))
    if flaw or key is None or key.basis != "polynomial":
        return flaw
    is_another = record.generation == key.generation and record.bundle != key.bundle.encode()
    return "lookup record of another key" if is_another else ""


def flaw_of_tombstone(tombstone: Tombstone, *, overlay: str, overlay_public: bytes) -> str:
    """Return why no honest node can have kept this tombstone, empty if one can; `overlay_public`: 32 bytes or empty."""
    if not overlay_public:
        return ""  # it cannot be judged here
    return _reason(lambda: tombstone.verify(overlay=overlay, overlay_public=overlay_public))


def _reason(check: Callable[[], None]) -> str:
    try:
        check()
    except RemoteError as error:
        return error.reason
    return ""
