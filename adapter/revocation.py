"""A user's wish to revoke his key: written down before anything is done, and carried out until it is.  I/O: files, dht.

Beside ``users/NAME.key`` lies ``users/NAME.revoking`` from the wish to its end: the tombstone, how many holders took
it, and why the bootstrap server did not yet. As long as it lies there, this device publishes nothing of that key.

The order: write the wish; tell the holders; tell the server, as often as need be; note in the wish that the server
knows; drop the enrolment; put the key out of use; drop the wish. A start that finds a wish goes on where it stood. The
server brings the tombstone to the ring too, so nothing is left to do once it knows.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from adapter.enrolment import EnrolmentRefused
from adapter.key_change import retire
from adapter.keystore import KEY_SUFFIX, USERS_DIR, load_private
from adapter.problems import DamagedFile
from adapter.state import write_private
from overlay.errors import Secp2psipError
from overlay.trust.identity import parse_aor
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from adapter.enrolled import Enrolment
    from adapter.state import StateDir
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.ring.two_rings import TwoRings
    from overlay.trust.identity import PrivateBundle

REVOKING_SUFFIX: Final = ".revoking"
VERSION: Final = 1
MAX_WISH_BYTES: Final = 4096
MAX_WHY_CHARACTERS: Final = 300
"""Longest reason that is kept: it may be a stranger's."""
RETRY_S: Final = 60.0
"""From one try to finish a revocation to the next, in seconds."""
RETRY_HINT: Final = "it is tried again every minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """How far a revocation has come."""

    tombstone: Tombstone
    holders: int = 0
    """How many nodes of the ring said, when they were last asked, that they know."""
    server: bool = False
    """Whether the bootstrap server knows."""
    why: str = ""
    """Why it does not."""

    def report(self) -> dict[str, Any]:
        """Return it for people and programs."""
        return {"holders": self.holders, "server": self.server, "why": self.why, "since": self.tombstone.issued_at}


def load_revocation(state_dir: Path, user: str) -> Revocation | None:
    """Return the wish to revoke the user's key, None where there is none. Raises DamagedFile."""
    path = _at(state_dir, user)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_WISH_BYTES + 1)
    except FileNotFoundError:
        return None
    try:
        row = json.loads(data)
        holders, server, why = row["holders"], row["server"], row["why"]
        tombstone = Tombstone.decode(bytes.fromhex(row["tombstone"]))
        is_sound = row["v"] == VERSION and [type(holders), type(server), type(why)] == [int, bool, str]
        is_sound = is_sound and tombstone.aor == parse_aor(user)
    except (KeyError, TypeError, ValueError, RecursionError, Secp2psipError):
        is_sound = False
    if not is_sound:
        # no way on from here by itself: without the file the key would be published again
        hint = f"move it away (mv {path} {path}.bad) and at once: secp2psip keys revoke --user {user} --yes"
        raise DamagedFile(f"{path}, a wish to revoke a key, is damaged", hint=hint)
    return Revocation(tombstone=tombstone, holders=holders, server=server, why=why)


class Revocations:
    """The revocations under way on this device."""

    def __init__(self, state: StateDir, *, warn: Callable[[str, str], None]) -> None:
        """`warn` takes a sentence and its hint."""
        self._state, self._warn = state, warn
        self.on_done: Callable[[str, Revocation], None] = lambda _user, _wish: None
        """Hears of each that is finished."""
        self._under_way: dict[str, Revocation] = {}
        self._said: dict[str, str] = {}
        """What was warned of last, by user."""

    def read(self, users: Iterable[str]) -> None:
        """Read the wishes of these users. Raises DamagedFile."""
        for user in users:
            if (wish := load_revocation(self._state.path, user)) is not None:
                self._under_way[user] = wish

    def of(self, user: str) -> Revocation | None:
        """Return how far the revocation of the user's key has come, None where none is under way."""
        return self._under_way.get(user)

    def users(self) -> tuple[str, ...]:
        """Return whose keys are being revoked."""
        return tuple(self._under_way)

    def begin(self, user: str, keys: PrivateBundle, enrolment: Enrolment, *, now: float) -> None:
        """Write down that the user's keys, in force by this enrolment, are to be revoked.

        Raises OSError: then nothing has been done.
        """
        tombstone = Tombstone.issue(
            keys,
            overlay=enrolment.overlay,
            aor=user,
            generation=enrolment.generation,
            bundle=keys.public,
            issued_at=int(now),
        )
        self._keep(user, Revocation(tombstone=tombstone))

    async def carry_out(
        self, user: str, *, ring: KademliaRing | TwoRings | None, ask: Callable[[Tombstone], Awaitable[object]]
    ) -> Revocation:
        """Tell the holders and the server, and return how far it has come; finished where the server knows.

        `ask` brings the tombstone to the server, which refuses with `revoked` once it knows: by EnrolmentRefused, which
        is proved. Raises OSError where the state directory cannot be written.
        """
        before = self._under_way[user]
        wish = replace(before, holders=await _tell(ring, before.tombstone))
        try:
            await ask(wish.tombstone)
            wish = replace(wish, why="the bootstrap server did not take it for a revocation")
        except EnrolmentRefused as answer:
            wish = replace(wish, server=answer.code == "revoked", why=str(answer)[:MAX_WHY_CHARACTERS])
        except (Secp2psipError, OSError) as error:
            wish = replace(wish, why=str(error)[:MAX_WHY_CHARACTERS])
        if wish.server:
            wish = replace(wish, why="")
        self._keep(user, wish)
        if wish.server:
            finish_revocation(self._state, user)
            del self._under_way[user]
            self.on_done(user, wish)
        else:
            self._warn_once(user, f"the key of {user} is being revoked: {how_far(wish)}", RETRY_HINT, about=wish.why)
        return wish

    async def run(self, go_on: Callable[[str], Awaitable[object]], stopping: asyncio.Event) -> None:
        """Go on with what is under way now and every RETRY_S, until `stopping`, whatever becomes of one try."""
        while not stopping.is_set():
            for user in self.users():
                try:
                    await go_on(user)
                except OSError as error:
                    text = f"a revocation of {user}'s key could not be written down: {error}"
                    self._warn_once(user, text, "is the disk full?")
                except Secp2psipError as error:
                    text = f"a revocation of {user}'s key could not go on: {error}"
                    self._warn_once(user, text, str(getattr(error, "hint", "")) or RETRY_HINT)
            try:
                async with asyncio.timeout(RETRY_S):
                    await stopping.wait()
            except TimeoutError:
                continue

    def _warn_once(self, user: str, text: str, hint: str, *, about: str = "") -> None:
        """Warn, unless what was last said of this user was about the same."""
        about = about or text
        if self._said.get(user) != about:
            self._said[user] = about
            self._warn(text, hint)

    def _keep(self, user: str, wish: Revocation) -> None:
        row = {"v": VERSION, "tombstone": wish.tombstone.encode().hex(), "holders": wish.holders}
        write_private(_at(self._state.path, user), json.dumps(row | {"server": wish.server, "why": wish.why}) + "\n")
        self._under_way[user] = wish


def finish_revocation(state: StateDir, user: str) -> bool:
    """Put a revoked key out of use if the server knows; return whether it did. Called before keys are read.

    Raises DamagedFile.
    """
    wish = load_revocation(state.path, user)
    if wish is None or not wish.server:
        return False
    state.forget_enrolment(user)
    key = state.path / USERS_DIR / f"{parse_aor(user)}{KEY_SUFFIX}"
    if key.exists() and load_private(key).public.thumbprint() == wish.tombstone.thumbprint:
        retire(state.path, user)
    _at(state.path, user).unlink(missing_ok=True)
    return True


def how_far(wish: Revocation) -> str:
    """Say in words who knows and who does not yet."""
    nodes = "1 node of the ring knows" if wish.holders == 1 else f"{wish.holders} nodes of the ring know"
    return f"{nodes}, the bootstrap server does not yet" + (f" ({wish.why})" if wish.why else "")


async def _tell(ring: KademliaRing | TwoRings | None, tombstone: Tombstone) -> int:
    """Bring a tombstone to whoever holds pieces; return how many nodes say that they keep it."""
    if ring is None:
        return 0
    try:
        return len(await ring.bury(tombstone))
    except Secp2psipError:
        # whatever is wrong with the ring here, the server is still to be asked
        return 0


def _at(state_dir: Path, user: str) -> Path:
    return state_dir / USERS_DIR / f"{parse_aor(user)}{REVOKING_SUFFIX}"
