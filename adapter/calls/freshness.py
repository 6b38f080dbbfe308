"""Is this INVITE new?  Three answers that need no clock service and little memory.

Pure: time and the secret are arguments, nothing is read or written.

An ad-hoc network has no time source, so a clock alone proves nothing [paper §III]:

* a *timestamp* within `FRESHNESS_S` of our clock is believed, if it is younger than this process;
* otherwise a *cookie* stands for it: we hand one out and remember nothing, and whoever brings it back inside a signed
  message made that message after we made the cookie;
* a *replay cache* holds every id we acted on for longer than any timestamp or cookie stays good.

The three numbers belong together: `REPLAY_S` > 2 * `FRESHNESS_S` and `REPLAY_S` > `COOKIE_S`.  Were one of them to grow
alone, an INVITE could outlive the memory of it.
"""

import hashlib
import hmac
from enum import Enum, auto

from overlay.errors import LocalError

FRESHNESS_S = 30
"""How far a timestamp may lie from our clock, in either direction, in seconds."""
COOKIE_S = 60
"""How long a cookie is good, in seconds."""
REPLAY_S = 90
"""How long an id is remembered, in seconds."""
MAX_REPLAY_IDS = 16_384
"""How many ids are remembered; beyond it new ones are refused, because forgetting early would let a replay in."""

SECRET_BYTES = 32
_TIME_BYTES = 5
_MAC_BYTES = 16
COOKIE_BYTES = _TIME_BYTES + _MAC_BYTES
_DOMAIN = b"secp2psip cookie 1\0"


def is_timely(*, issued_at: int, expires_at: int, started_at: float, now: float) -> bool:
    """Whether a timestamp alone shows that a message is new.

    `issued_at` and `expires_at` are whole seconds of the sender's clock, `started_at` is when this process began.  The
    second in which we began counts as before it: a message of that second may have been answered by our predecessor,
    whose replay cache is gone.
    """
    return (
        abs(now - issued_at) <= FRESHNESS_S and issued_at < expires_at and now < expires_at and issued_at > started_at
    )


class Cookies:
    """Stateless proofs that a message was made after we asked for it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        """`secret` is `SECRET_BYTES` random bytes that live as long as the process and are never stored."""
        if len(secret) != SECRET_BYTES:
            raise LocalError(f"a cookie secret has {SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret

    def make(self, *, source: bytes, invite_id: bytes, now: float) -> bytes:
        """Return the cookie of `COOKIE_BYTES` bytes for this INVITE from this node, dated `now`."""
        stamp = int(now).to_bytes(_TIME_BYTES, "big")
        return stamp + self._mac(stamp, source, invite_id)

    def check(self, cookie: bytes, *, source: bytes, invite_id: bytes, now: float) -> bool:
        """Whether we made this cookie for this INVITE from this node, no more than `COOKIE_S` ago."""
        if len(cookie) != COOKIE_BYTES:
            return False
        stamp, mac = cookie[:_TIME_BYTES], cookie[_TIME_BYTES:]
        if not hmac.compare_digest(mac, self._mac(stamp, source, invite_id)):
            return False
        return 0 <= int(now) - int.from_bytes(stamp, "big") <= COOKIE_S

    def _mac(self, stamp: bytes, source: bytes, invite_id: bytes) -> bytes:
        # both parts have a length in front, so that no two (source, id) pairs spell the same message
        parts = (len(part).to_bytes(2, "big") + part for part in (source, invite_id))
        return hmac.digest(self._secret, _DOMAIN + stamp + b"".join(parts), hashlib.sha256)[:_MAC_BYTES]


class Seen(Enum):
    """What the replay cache says of an id."""

    NEW = auto()
    """Never seen, and remembered from now on."""
    REPLAYED = auto()
    """Seen less than `REPLAY_S` ago."""
    FULL = auto()
    """Never seen, but there is no room to remember it: it must not be acted on."""


class ReplayCache:
    """The ids that were acted on, oldest first, bounded in number and in time."""

    __slots__ = ("_capacity", "_ids")

    def __init__(self, capacity: int = MAX_REPLAY_IDS) -> None:
        """`capacity` is the greatest number of ids remembered at once."""
        if capacity < 1:
            raise LocalError("a replay cache holds at least one id")
        self._capacity = capacity
        self._ids: dict[bytes, float] = {}  # id -> forget at; in order of arrival, hence of expiry

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, invite_id: bytes) -> bool:
        return invite_id in self._ids

    def add(self, invite_id: bytes, now: float) -> Seen:
        """Remember `invite_id` for `REPLAY_S` and say whether it was known."""
        self._forget(now)
        if invite_id in self._ids:
            return Seen.REPLAYED
        if len(self._ids) >= self._capacity:
            return Seen.FULL
        self._ids[invite_id] = now + REPLAY_S
        return Seen.NEW

    def _forget(self, now: float) -> None:
        while self._ids:
            oldest = next(iter(self._ids))
            if self._ids[oldest] > now:
                return
            del self._ids[oldest]
