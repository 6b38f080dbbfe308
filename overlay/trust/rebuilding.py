"""A lost piece out of those that are left, bit for bit as it was dealt.  I/O: none.

f(x_i) by interpolation [Shamir 1979]. Nothing is believed on the way: a share counts only if the overlay key's list
names it, so k of them are the polynomial, however many liars gave others; and the outcome counts only if the list names
it too and the dealing key's signature holds on it [docs/adr/0018].
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from overlay.errors import LocalError, RemoteError
from overlay.trust.shamir import share_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from overlay.trust.pieces import KeyPiece
    from overlay.trust.seals import Seals
    from overlay.trust.share_list import ShareList


def rebuild(
    index: int,
    pieces: Iterable[KeyPiece],
    *,
    share_list: ShareList,
    seals: Iterable[Seals],
    dealing_public: bytes,
    now: float,
) -> KeyPiece | None:
    """Return piece `index` of the dealing that a sound share list is of; None where these pieces and seals fall short.

    `pieces` may be anybody's word; `dealing_public` has 32 bytes, `now` is in seconds since 1970.
    """
    listed = {piece.index: piece for piece in pieces if share_list.names(piece)}
    pattern = next(iter(listed.values()), None)
    if pattern is None or len(listed) < share_list.k or not 1 <= index <= share_list.n:
        return None
    share = share_at({at: piece.share for at, piece in listed.items()}, k=share_list.k, index=index)
    for some in seals:
        seal = some.of_index(index) if some.is_of(pattern) else None
        if seal is None:
            continue
        try:
            rebuilt = replace(
                pattern,
                index=index,
                share=share,
                issued_at=some.issued_at,
                expires_at=some.expires_at,
                signature=seal,
            )
            rebuilt.verify(dealing_public, now=now)
        except (LocalError, RemoteError):
            continue
        if share_list.covers(rebuilt):
            return rebuilt
    return None
