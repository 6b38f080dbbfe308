"""The two tables of the configuration file: phones on other hosts, and limits.  I/O: none.

::

    [phones]                            # this file must be readable by you alone then
    alice = "a password"
    bob = { sha256 = "64 digits", md5 = "32 digits" }     # of bob:secp2psip:password
    carol = { password = "a password", digest = "md5" }   # an old phone, which SHA-256 beside MD5 stops

    [limits]
    transactions = 10000
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from adapter.problems import UsageProblem
from adapter.sip.limits import DEFAULT_LIMITS, MOST, Limits
from adapter.sip.phone_secret import ALGORITHMS, Algorithm, PhoneSecret
from overlay.errors import LocalError, Secp2psipError
from overlay.trust.identity import parse_aor

MAX_PASSWORD_CHARS: Final = 256
_DIGEST_HINT: Final = 'alice = { password = "...", digest = "md5" }, or digest = "sha256"; without it both are offered'
_HINT: Final = 'alice = "password", or alice = { sha256 = "..." } with the hash of alice:secp2psip:password'
_ALGORITHMS: Final[Mapping[str, Algorithm]] = {"sha256": "SHA-256", "md5": "MD5"}


def read_phones(table: object) -> dict[str, PhoneSecret]:
    """Return the secret of each user of `[phones]`. Raises UsageProblem, which never repeats a password."""
    if not isinstance(table, Mapping):
        raise UsageProblem("phones is a table of users", hint=f"[phones]  {_HINT}")
    return {_user(name): _secret(_user(name), value) for name, value in table.items()}


def read_limits(table: object) -> Limits:
    """Return the limits of `[limits]` over the usual ones. Raises UsageProblem."""
    if not isinstance(table, Mapping):
        raise UsageProblem("limits is a table of numbers", hint="[limits]  transactions = 10000")
    names = [field.name for field in fields(Limits)]
    for name, value in table.items():
        if name not in names:
            raise UsageProblem(f"there is no limit {name!r}", hint=f"there are: {', '.join(names)}")
        whole = isinstance(getattr(DEFAULT_LIMITS, name), int)
        good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not good or not 1 <= value <= MOST:
            raise UsageProblem(f"the limit {name} is a number from 1 to {MOST}", hint=f"{name} = 1000")
    return Limits(**table)


def _user(name: str) -> str:
    try:
        user = parse_aor(name)
    except Secp2psipError:
        raise UsageProblem(f"{name!r} in [phones] is not a user's name", hint=_HINT) from None
    if user != name:
        raise UsageProblem(f"{name!r} in [phones] is spelt {user!r}", hint="the phone hashes the name as it is spelt")
    return user


def _secret(user: str, value: Any) -> PhoneSecret:
    if isinstance(value, str) and 0 < len(value) <= MAX_PASSWORD_CHARS:
        return PhoneSecret.from_password(user, value)
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise UsageProblem(f"the password of {user} in [phones] is a text", hint=_HINT)
    if "password" in value:
        return _narrowed(user, value)
    unknown = sorted(value.keys() - _ALGORITHMS.keys())
    if unknown:
        known = "sha256, md5, or password with digest"
        raise UsageProblem(f"{user} in [phones] has an unknown key {unknown[0]!r}", hint=f"there are: {known}")
    try:
        return PhoneSecret(ha1={_ALGORITHMS[name]: text.lower() for name, text in value.items()})
    except LocalError as error:
        raise UsageProblem(f"{user} in [phones]: {error}", hint=_HINT) from None


def _narrowed(user: str, table: Mapping[str, str]) -> PhoneSecret:
    """Read a password with the one algorithm that is offered for it."""
    password, name = table["password"], table.get("digest", "")
    if not 0 < len(password) <= MAX_PASSWORD_CHARS:
        raise UsageProblem(f"the password of {user} in [phones] is a text", hint=_HINT)
    if table.keys() - {"password", "digest"} or (name and name not in _ALGORITHMS):
        raise UsageProblem(f"{user} in [phones] has a password and perhaps a digest beside it", hint=_DIGEST_HINT)
    return PhoneSecret.from_password(user, password, algorithms=[_ALGORITHMS[name]] if name else ALGORITHMS)
