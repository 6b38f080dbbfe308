"""What a phone on another host proves itself with: hashes over its user's name and password.  I/O: none.

The configuration makes them, and digest.py compares with them; a command that only reads the configuration needs
nothing else of SIP [RFC 7616 §3.4.2] [RFC 8760].
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from overlay.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Algorithm = Literal["SHA-256", "MD5"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("SHA-256", "MD5")
REALM: Final = "secp2psip"
"""Never changes: a password may be stored as a hash over it."""
_HASHES: Final = {"SHA-256": 64, "MD5": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSecret:
    """What a user's phones on other hosts prove themselves with: H(user:secp2psip:password) for each algorithm."""

    ha1: Mapping[Algorithm, str] = field(repr=False)
    """Lower-case hexadecimal digits; an algorithm that is missing is not offered for this user."""

    def __post_init__(self) -> None:
        if not self.ha1 or any(
            len(value) != _HASHES.get(name) or not re.fullmatch("[0-9a-f]+", value) for name, value in self.ha1.items()
        ):
            raise LocalError(
                "a phone's secret is the hash of its password, 64 (SHA-256) or 32 (MD5) hexadecimal digits"
            )

    @classmethod
    def from_password(cls, user: str, password: str, *, algorithms: Sequence[Algorithm] = ALGORITHMS) -> PhoneSecret:
        """Hash a password for these algorithms."""
        return cls(ha1={name: hash_text(name, f"{user}:{REALM}:{password}") for name in algorithms})

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """What its user is offered, the strongest first."""
        return tuple(name for name in ALGORITHMS if name in self.ha1)


def hash_text(algorithm: Algorithm, text: str) -> str:
    """Return the hash of a text in lower-case hexadecimal digits."""
    if algorithm == "SHA-256":
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
