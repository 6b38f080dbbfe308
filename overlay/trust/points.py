"""Public keys that prove nothing: the few points of small order on the two curves.  I/O: none.

A signature check under such an Ed25519 key passes for signatures that nobody made, and an agreement with such an X25519
key gives a secret that everybody knows [RFC 7748 §6.1] [RFC 8032 §8.8]. Both libraries below us accept them silently or
fail late, so they are refused where a key comes in.
"""

from __future__ import annotations

from typing import Final

_P: Final = 2**255 - 19
_LOW_BITS: Final = (1 << 255) - 1
"""The top bit is the sign of x (Ed25519) or ignored (X25519)."""

_ED25519_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
"""y of two points of order 8; its negative belongs to the two others."""
_ED25519_SMALL: Final = frozenset({0, 1, _P - 1, _P, _P + 1, _ED25519_ORDER_8, _P - _ED25519_ORDER_8})
"""y of every point whose order divides 8, the unreduced spellings of 0 and 1 among them."""

_X25519_ORDER_8: Final = (
    0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
)
_X25519_SMALL: Final = frozenset({0, 1, *_X25519_ORDER_8, _P - 1, _P, _P + 1})
"""u of every point whose order divides 8, on the curve and on its twist."""


def is_small_order_ed25519(public: bytes) -> bool:
    """Tell whether 32 bytes name an Ed25519 point of small order."""
    return int.from_bytes(public, "little") & _LOW_BITS in _ED25519_SMALL


def is_small_order_x25519(public: bytes) -> bool:
    """Tell whether 32 bytes name an X25519 point of small order."""
    return int.from_bytes(public, "little") & _LOW_BITS in _X25519_SMALL
