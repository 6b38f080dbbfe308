"""Shamir's scheme: a key bundle in n pieces of which any k rebuild it, and a decode that names liars.  I/O: none.

Source: [Shamir 1979], used as in [paper §II.B]. The secret is the constant term of a random polynomial of degree k-1;
piece i is its value at i. The secret is public here, so the scheme hides nothing: what it gives is that no holder can
change the key alone, and that only because the pieces are also a Reed-Solomon codeword [McEliece & Sarwate 1981].
`decode` is Gao's decoder [Gao 2003]: from m points it corrects up to (m-k)/2 false ones and says which they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import BUNDLE_BYTES
from overlay.trust.polynomial import PRIME, divide, evaluate, interpolate, multiply, subtract, vanishing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "MAX_PIECES",
    "PRIME",
    "SHARE_BYTES",
    "Decoded",
    "check_threshold",
    "combine",
    "decode",
    "decode_share",
    "encode_share",
    "secret_of",
    "share_at",
    "split",
]

SHARE_BYTES: Final = 66
"""521 bits, big endian."""
MAX_PIECES: Final = 22
MIN_THRESHOLD: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a decode found."""

    secret: bytes
    """64 bytes."""
    liars: frozenset[int]
    """Indices whose share is not on the polynomial."""


def check_threshold(k: int, n: int) -> None:
    """LocalError with the reason unless fewer than k liars can neither forge nor block: 2 <= k, 3k-2 <= n <= 22."""
    if k < MIN_THRESHOLD:
        raise LocalError(f"a threshold of {k} lets a single liar in; take 2 or more")
    if n > MAX_PIECES:
        raise LocalError(f"{n} pieces are more than {MAX_PIECES}")
    if n < 3 * k - 2:
        raise LocalError(
            f"k={k} needs n of at least {3 * k - 2}, not {n}: fewer than {k} liars could forge or block a key otherwise"
        )


def split(secret: bytes, *, k: int, n: int, draw: Callable[[int], int]) -> tuple[bytes, ...]:
    """Split 64 bytes into n shares of 66 bytes; share i (1-based) stands at [i-1] [Shamir 1979].

    `draw(bound)` gives each of the k-1 random coefficients, in [0, bound). LocalError on a bad threshold or secret.
    """
    check_threshold(k, n)
    if len(secret) != BUNDLE_BYTES:
        raise LocalError(f"a secret has {BUNDLE_BYTES} bytes")
    polynomial = [int.from_bytes(secret, "big"), *(draw(PRIME) for _ in range(k - 1))]
    if not all(0 <= coefficient < PRIME for coefficient in polynomial):
        raise LocalError("a coefficient was drawn out of the field")
    return tuple(encode_share(evaluate(polynomial, index)) for index in range(1, n + 1))


def combine(points: Mapping[int, bytes], *, k: int) -> bytes:
    """Rebuild the secret from the k lowest of the given points, believing each of them [Shamir 1979].

    One false share among them gives another secret: this is the paper's plain reading; `decode` and the acceptance rule
    are what stands between. RemoteError when there are fewer than k points or they give no 64-byte secret.
    """
    return secret_of(interpolate(_lowest(points, k)))


def share_at(points: Mapping[int, bytes], *, k: int, index: int) -> bytes:
    """Rebuild the share of piece `index` from the k lowest of the given points, believing each of them."""
    _check_index(index)
    return encode_share(evaluate(interpolate(_lowest(points, k)), index))


def decode(points: Mapping[int, bytes], *, k: int) -> Decoded | None:
    """Find the polynomial of degree < k that all but (m-k)/2 of the m points lie on, and the points that do not.

    None when there is none, or when what it hides is no 64-byte secret. RemoteError on a malformed point [Gao 2003].
    """
    values = _read(points)
    count = len(values)
    if count < k:
        return None
    # Gao: run Euclid on (product of (X - x), interpolation of all points) until the degree falls under (m + k) / 2.
    # Then remainder / cofactor is the message, and the cofactor vanishes exactly where the lies are.
    previous, current = vanishing(list(values)), interpolate(values)
    cofactor_before: list[int] = []
    cofactor: list[int] = [1]
    while 2 * (len(current) - 1) >= count + k:
        quotient, remainder = divide(previous, current)
        previous, current = current, remainder
        cofactor_before, cofactor = cofactor, subtract(cofactor_before, multiply(quotient, cofactor))
    polynomial, rest = divide(current, cofactor)
    if rest or len(polynomial) > k:
        return None
    liars = frozenset(x for x, y in values.items() if evaluate(polynomial, x) != y)
    if 2 * len(liars) > count - k:
        return None
    try:
        return Decoded(secret=secret_of(polynomial), liars=liars)
    except RemoteError:
        return None


def secret_of(polynomial: list[int]) -> bytes:
    """Return the 64 bytes at the constant term; RemoteError when it needs more."""
    constant = polynomial[0] if polynomial else 0
    try:
        return constant.to_bytes(BUNDLE_BYTES, "big")
    except OverflowError:
        raise RemoteError(f"the shares give no secret of {BUNDLE_BYTES} bytes") from None


def encode_share(value: int) -> bytes:
    """Write a field element as 66 bytes, big endian."""
    return value.to_bytes(SHARE_BYTES, "big")


def decode_share(data: bytes) -> int:
    """Read a field element from its 66 bytes; RemoteError on another length or an unreduced value."""
    if type(data) is not bytes or len(data) != SHARE_BYTES:
        raise RemoteError(f"a share has {SHARE_BYTES} bytes")
    value = int.from_bytes(data, "big")
    if value >= PRIME:
        raise RemoteError("a share is smaller than the field's prime")
    return value


def _read(points: Mapping[int, bytes]) -> dict[int, int]:
    for index in points:
        _check_index(index)
    return {index: decode_share(share) for index, share in points.items()}


def _check_index(index: int) -> None:
    # index 0 is where the secret lies: nobody holds it as a piece
    if type(index) is not int or not 1 <= index <= MAX_PIECES:
        raise RemoteError(f"a piece has an index from 1 to {MAX_PIECES}")


def _lowest(points: Mapping[int, bytes], k: int) -> dict[int, int]:
    if len(points) < k:
        raise RemoteError(f"{len(points)} pieces are fewer than the {k} it takes")
    return _read({index: points[index] for index in sorted(points)[:k]})
