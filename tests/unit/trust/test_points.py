"""The lists of small-order points are recomputed here from the curves' own equations."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from overlay.errors import RemoteError
from overlay.trust import points
from overlay.trust.identity import KeyBundle, verify
from tests.support.people import ALICE, private_bundle

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def _root(square: int) -> int | None:
    for root in (pow(square, (P + 3) // 8, P), pow(square, (P + 3) // 8, P) * pow(2, (P - 1) // 4, P) % P):
        if root * root % P == square % P:
            return root
    return None


def _add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P)
    return x % P, y % P


@pytest.mark.parametrize("y", sorted(points._ED25519_SMALL))
def test_every_listed_ed25519_point_times_eight_is_the_neutral_one(y):
    x = _root((y * y - 1) * pow(D * y * y + 1, -1, P))
    assert x is not None
    point = (x, y % P)
    for _ in range(3):
        point = _add(point, point)
    assert point == (0, 1)


@pytest.mark.parametrize("u", sorted(points._X25519_SMALL))
def test_every_listed_x25519_point_agrees_on_nothing(u):
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(u.to_bytes(32, "little")))


@pytest.mark.parametrize("y", sorted(points._ED25519_SMALL))
@pytest.mark.parametrize("sign", [0, 1])
def test_a_bundle_with_a_small_ed25519_key_is_refused(y, sign):
    key = (y | sign << 255).to_bytes(32, "little")
    with pytest.raises(RemoteError, match="small order"):
        KeyBundle.decode(key + ALICE.public.x25519)


@pytest.mark.parametrize("u", sorted(points._X25519_SMALL))
@pytest.mark.parametrize("top", [0, 1])
def test_a_bundle_with_a_small_x25519_key_is_refused(u, top):
    key = (u | top << 255).to_bytes(32, "little")
    with pytest.raises(RemoteError, match="small order"):
        KeyBundle.decode(ALICE.public.ed25519 + key)


def test_a_signature_that_nobody_made_does_not_verify_under_the_neutral_key():
    neutral = (1).to_bytes(32, "little")
    # R = the neutral point, S = 0: S*B = R + h*A holds for every message when A is neutral
    assert not verify(neutral, b"domain", b"any message at all", neutral + bytes(32))


def test_ordinary_keys_are_not_refused():
    for label in range(0, 200, 7):
        assert KeyBundle.decode(private_bundle(label).public.encode())
