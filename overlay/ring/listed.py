"""What a share list, given with a piece or held already, says about keeping that piece.  I/O: none.

A node keeps no piece on the dealing key's word alone: a thief of that key could else give his own shares to nodes that
hold none yet, and those would testify for him later. So a piece is kept only where a live share list of the overlay key
names its share and lives as long as it does [docs/adr/0011].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from overlay.errors import RemoteError
from overlay.ring.holding import Kept
from overlay.trust.share_list import ShareList

if TYPE_CHECKING:
    from overlay.trust.pieces import KeyPiece

MAX_READ: Final = 4096
"""Lists that stay decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayKeys:
    """Whose signatures count in this overlay."""

    overlay: str
    """Name of the overlay."""
    overlay_public: bytes
    """32 bytes, Ed25519: signs share lists."""
    dealing_public: bytes
    """32 bytes, Ed25519: signs pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The outcome for one piece: the list that counts for it, or why there is none."""

    counts: ShareList | None = None
    """The newest sound list of the piece's user, None where there is none."""
    is_new: bool = False
    """Whether it has to be kept: it is not the one that is held."""
    flaw: Kept | None = None
    """Why what was offered is refused, None where it is not."""
    contradiction: ShareList | None = None
    """A sound list that says something else than the one that is held."""


@lru_cache(maxsize=MAX_READ)
def read_share_list(body: bytes) -> ShareList:
    """Decode a row of ours; what was read lately costs nothing."""
    return ShareList.decode(body)


def weigh(
    given: bytes | None, held: ShareList | None, *, aor: str, generation: int, keys: OverlayKeys, now: float
) -> Listed:
    """Find the list that counts for a piece of this user and generation.

    `given` is what came with the piece, `held` what is kept of that user, expired perhaps. One that is held already is
    not verified again.
    """
    alive = held if held is not None and held.expires_at > now else None
    if given is None or (alive is not None and given == alive.encode()):
        return Listed(counts=alive)
    offered = _sound(given, aor=aor, generation=generation, keys=keys, now=now)
    if isinstance(offered, Kept):
        return Listed(counts=alive, flaw=offered)
    if alive is not None and alive.generation == generation:
        if not offered.says_the_same(alive):
            return Listed(counts=alive, flaw=Kept.CONFLICT, contradiction=offered)
        if offered.expires_at <= alive.expires_at:
            return Listed(counts=alive)
    return Listed(counts=offered, is_new=True)


def judge_listed(piece: KeyPiece, share_list: ShareList | None) -> Kept:
    """Decide on a piece with a good signature: KEPT, UNLISTED, or CONFLICT where the list has another share."""
    if share_list is None or share_list.generation != piece.generation:
        return Kept.UNLISTED
    if not share_list.names(piece):
        return Kept.CONFLICT
    return Kept.KEPT if share_list.covers(piece) else Kept.UNLISTED


def _sound(given: bytes, *, aor: str, generation: int, keys: OverlayKeys, now: float) -> ShareList | Kept:
    """Read and verify a list; return why it does not count where it does not."""
    try:
        offered = ShareList.decode(given)
    except RemoteError:
        return Kept.MALFORMED
    if (offered.aor, offered.generation) != (aor, generation):
        return Kept.UNLISTED
    try:
        offered.verify(keys.overlay_public, overlay=keys.overlay, now=now)
    except RemoteError:
        return Kept.EXPIRED if offered.expires_at <= now else Kept.UNLISTED
    return offered
