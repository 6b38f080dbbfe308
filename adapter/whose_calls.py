"""Whose calls the users of a device take: what holds for all of them, and what one says otherwise.  I/O: none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapter.pins import ACCEPT, EVERYONE
from adapter.problems import UsageProblem
from overlay.errors import Secp2psipError
from overlay.trust.identity import parse_aor

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class WhoseCalls:
    """One policy of `adapter.pins.ACCEPT` for a device, and others for some of its users."""

    usual: str = EVERYONE
    of: Mapping[str, str] = field(default_factory=dict)
    """AOR -> policy, where it is not the usual one."""

    def __str__(self) -> str:
        """Return it as it is written in a variable: ``contacts,alice=nobody``."""
        return ",".join([self.usual, *(f"{user}={policy}" for user, policy in self.of.items())])

    def taken_by(self, user: str) -> str:
        """Return whose calls this user takes: one of `adapter.pins.ACCEPT`."""
        return self.of.get(user, self.usual)


def read_whose_calls(given: object) -> WhoseCalls:
    """Return what a text like ``contacts,alice=nobody`` means, or a list of such texts. Raises UsageProblem."""
    texts = [text for text in (given if isinstance(given, list | tuple) else [given]) if isinstance(text, str)]
    if len(texts) < (len(given) if isinstance(given, list | tuple) else 1):
        raise UsageProblem("accept is a text, or a list of texts", hint='accept = ["contacts", "alice=everyone"]')
    of: dict[str, str] = {}
    for text in (part.strip() for one in texts for part in one.split(",")):
        name, is_one, policy = text.rpartition("=")
        if policy not in ACCEPT:
            if not text:
                continue
            hint = f"there are: {', '.join(ACCEPT)}; for one user alone: alice={ACCEPT[-1]}"
            raise UsageProblem(f"{policy!r} is nobody whose calls could be taken", hint=hint)
        try:
            user = parse_aor(name.strip()) if is_one else ""
        except Secp2psipError:
            raise UsageProblem(f"{name!r} is not a user's name", hint="write --accept alice=contacts") from None
        if of.setdefault(user, policy) != policy:
            whom = user or "all users"
            raise UsageProblem(f"whose calls {whom} take is said twice", hint="say it once: --accept contacts")
    return WhoseCalls(of.pop("", EVERYONE), of)
