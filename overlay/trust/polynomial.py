"""Polynomials over the prime field of the key pieces.  I/O: none.

A polynomial is a list of coefficients, lowest first, without trailing zeros; the zero polynomial is the empty list.
Plain integers under 2**521 - 1 are enough: decoding 13 pieces takes a millisecond or two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRIME: Final = 2**521 - 1
"""The Mersenne prime just above the 512 bits of a key bundle."""

MAX_INVERSES: Final = 256
"""Inverses remembered."""

Polynomial = list[int]


def trim(coefficients: Sequence[int]) -> Polynomial:
    """Return the coefficients reduced modulo PRIME, without trailing zeros."""
    result = [c % PRIME for c in coefficients]
    while result and result[-1] == 0:
        result.pop()
    return result


@lru_cache(maxsize=MAX_INVERSES)
def inverse(value: int) -> int:
    """Return 1 / value; remembered, since the differences of piece indices come back again and again."""
    return pow(value, -1, PRIME)


def evaluate(f: Sequence[int], x: int) -> int:
    """Return f(x) by Horner's rule."""
    value = 0
    for coefficient in reversed(f):
        value = (value * x + coefficient) % PRIME
    return value


def subtract(f: Sequence[int], g: Sequence[int]) -> Polynomial:
    """Return f - g."""
    size = max(len(f), len(g))
    padded_f = [*f, *[0] * (size - len(f))]
    padded_g = [*g, *[0] * (size - len(g))]
    return trim([a - b for a, b in zip(padded_f, padded_g, strict=True)])


def multiply(f: Sequence[int], g: Sequence[int]) -> Polynomial:
    """Return f * g."""
    if not f or not g:
        return []
    result = [0] * (len(f) + len(g) - 1)
    for i, a in enumerate(f):
        for j, b in enumerate(g):
            result[i + j] += a * b
    return trim(result)


def divide(f: Sequence[int], g: Sequence[int]) -> tuple[Polynomial, Polynomial]:
    """Return quotient and remainder of f by g; g must not be zero."""
    remainder = list(f)
    quotient = [0] * max(0, len(f) - len(g) + 1)
    leading = inverse(g[-1])
    for shift in range(len(f) - len(g), -1, -1):
        factor = remainder[shift + len(g) - 1] * leading % PRIME
        quotient[shift] = factor
        for i, coefficient in enumerate(g):
            remainder[shift + i] = (remainder[shift + i] - factor * coefficient) % PRIME
    return trim(quotient), trim(remainder)


def interpolate(points: Mapping[int, int]) -> Polynomial:
    """Return the polynomial of degree < len(points) through them: x -> y, by Newton's divided differences."""
    xs = list(points)
    slopes = [points[x] for x in xs]
    for level in range(1, len(xs)):
        for i in range(len(xs) - 1, level - 1, -1):
            slopes[i] = (slopes[i] - slopes[i - 1]) * inverse(xs[i] - xs[i - level]) % PRIME
    result: Polynomial = []
    for x, slope in zip(reversed(xs), reversed(slopes), strict=True):
        # Horner's rule over the nodes: result * (X - x) + slope
        shifted = [0, *result]
        scaled = [*(x * c for c in result), 0]
        result = [a - b for a, b in zip(shifted, scaled, strict=True)]
        result[0] += slope
    return trim(result)


def vanishing(xs: Sequence[int]) -> Polynomial:
    """Return the product of (X - x) over all x."""
    result: Polynomial = [1]
    for x in xs:
        result = multiply(result, [-x % PRIME, 1])
    return result
