"""Digest authentication for phones on other hosts: who of those named in the configuration sends this?  I/O: none.

A phone on this host is known by its address, which the kernel vouches for. One on another host proves that it knows its
user's password, for every REGISTER and INVITE. SHA-256 is offered first, MD5 for phones that know nothing else; qop is
always auth, so that every request is counted and none can be played again [RFC 7616] [RFC 8760] [RFC 3261 §22]. Some
old phones give up where SHA-256 is so much as offered: a user with one hash alone is offered that algorithm alone, and
nothing but it is taken from him.

A nonce is its own proof: milliseconds, a running number and an HMAC over them and the host it was given to. What is
kept is the highest count of each nonce that was used; a nonce that had to be forgotten takes with it every older one,
so that forgetting never lets a request come twice.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapter.calls.rates import RateLimiter
from adapter.sip.grammar import TOKEN
from adapter.sip.message import unfolded
from adapter.sip.naming import user_of
from adapter.sip.phone_secret import ALGORITHMS, REALM, PhoneSecret, hash_text
from adapter.sip.refusal import Headers, Refusal, explain
from adapter.sip.uri import parse_uri
from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.sip.phone_secret import Algorithm
    from adapter.sip.validate import ValidRequest

NONCE_S: Final = 300.0
"""After this long a nonce is stale, and the phone answers a new one without asking anybody."""
MAX_NONCES: Final = 1024
MAX_FAILURES: Final = 16
"""Wrong answers of one host a minute; then the right one is not looked at any more either."""
FAILURE_S: Final = 60.0
MAX_FAILING_HOSTS: Final = 256
CHALLENGE_BURST: Final = 32
CHALLENGES_PER_S: Final = 8.0
"""To one host; four times as many to all."""
MAX_CREDENTIALS_CHARS: Final = 2048
DIGEST_KEY_BYTES: Final = 32

_SIGNATURE_DIGITS: Final = 32
_NONCE: Final = re.compile(rf"([0-9a-f]{{12}})([0-9a-f]{{8}})([0-9a-f]{{{_SIGNATURE_DIGITS}}})")
_COUNT: Final = re.compile(r"[0-9a-fA-F]{8}")
_PARAMETER: Final = re.compile(rf'\s*({TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({TOKEN}))\s*(?:,|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credentials:
    user: str
    algorithm: Algorithm
    nonce: str
    issued_ms: int
    uri: str
    cnonce: str
    count: str
    response: str


class Digest:
    """The door for phones of other hosts."""

    def __init__(self, *, phones: Mapping[str, PhoneSecret], key: bytes) -> None:
        """Let in who answers for a user of `phones`; `key` is 32 random bytes of this process."""
        if len(key) != DIGEST_KEY_BYTES:
            raise LocalError(f"the key of the nonces has {DIGEST_KEY_BYTES} bytes")
        self._phones, self._key = dict(phones), key
        self._given = 0
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._forgotten_ms = -1
        # one for all names that are not there: who asks learns nothing from the answer
        self._nobody = PhoneSecret.from_password("nobody", key.hex())
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._challenges: RateLimiter | None = None

    def authenticate(self, request: ValidRequest, host: str, now: float) -> str:
        """Return the user whose password the sender knows.

        Refusal 401 with the challenges where credentials are missing, wrong or stale, 403 for a host that guesses,
        any other RemoteError where they are malformed.
        """
        credentials = self._read(request)
        user = user_of(request.caller.uri)
        if credentials is None:
            raise self._challenge(host, user, now)
        since, failures = self._failures.get(host, (now, 0))
        if failures >= MAX_FAILURES and now < since + FAILURE_S:
            raise Refusal(403, "Too many wrong passwords", headers=explain(warning=None, retry_after=int(FAILURE_S)))
        if not self._is_ours(credentials, host):
            raise self._challenge(host, user, now, stale=True)
        if not self._is_right(credentials, request.method):
            self._count_failure(host, now)
            raise self._challenge(host, user, now)
        # only who knows the password may use up a nonce, or learn that it is stale
        if not self._takes(credentials, now):
            raise self._challenge(host, user, now, stale=True)
        self._failures.pop(host, None)
        return credentials.user

    def _challenge(self, host: str, user: str | None, now: float, *, stale: bool = False) -> Refusal:
        """Ask the phone that speaks for `user`, which is not proved yet: the name only chooses the algorithms."""
        if self._challenges is None:
            self._challenges = RateLimiter(
                burst=CHALLENGE_BURST,
                per_s=CHALLENGES_PER_S,
                total_burst=4 * CHALLENGE_BURST,
                total_per_s=4 * CHALLENGES_PER_S,
                now=now,
            )
        if not self._challenges.allows(host, now):
            # a challenge is larger than what asks for it, and the asker's address may be forged
            return Refusal(403, "Too many tries")
        nonce = self._nonce(host, now)
        tail = ", stale=true" if stale else ""
        headers: Headers = tuple(
            (
                "WWW-Authenticate",
                f'Digest realm="{REALM}", nonce="{nonce}", algorithm={name}, qop="auth"{tail}',
            )
            for name in self._phones.get(user or "", self._nobody).algorithms
        )
        return Refusal(401, "Password needed", headers=headers)

    def _nonce(self, host: str, now: float) -> str:
        self._given = (self._given + 1) & 0xFFFFFFFF
        head = f"{int(now * 1000) & 0xFFFFFFFFFFFF:012x}{self._given:08x}"
        return head + self._sign(head, host)

    def _sign(self, head: str, host: str) -> str:
        return hmac.new(self._key, f"{head}{host}".encode(), hashlib.sha256).hexdigest()[:_SIGNATURE_DIGITS]

    def _read(self, request: ValidRequest) -> _Credentials | None:
        """Return the first credentials for this realm in an algorithm we know, None when there are none."""
        # the library cuts at commas: the header lines themselves are read
        for value in unfolded(request.raw.lines, "authorization"):
            parameters = _parse(value)
            algorithm = _algorithm(parameters.get("algorithm", "MD5"))
            if parameters.get("realm") != REALM or algorithm is None:
                continue
            return self._checked(parameters, algorithm, request)
        return None

    def _checked(
        self, parameters: Mapping[str, str], algorithm: Algorithm, request: ValidRequest
    ) -> _Credentials | None:
        found = _NONCE.fullmatch(parameters.get("nonce", ""))
        if found is None or parameters.get("qop") != "auth" or not parameters.get("cnonce"):
            return None
        count = parameters.get("nc", "")
        if not _COUNT.fullmatch(count):
            raise RemoteError("the count of the credentials is malformed")
        uri = parameters.get("uri", "")
        if uri != request.raw.uri and not parse_uri(uri).is_same(request.uri):
            raise RemoteError("the credentials are for another address")
        return _Credentials(
            user=parameters.get("username", ""),
            algorithm=algorithm,
            nonce=parameters["nonce"],
            issued_ms=int(found.group(1), 16),
            uri=uri,
            cnonce=parameters["cnonce"],
            count=count,
            response=parameters.get("response", ""),
        )

    def _is_ours(self, credentials: _Credentials, host: str) -> bool:
        head, signature = credentials.nonce[:-_SIGNATURE_DIGITS], credentials.nonce[-_SIGNATURE_DIGITS:]
        return hmac.compare_digest(signature, self._sign(head, host))

    def _is_right(self, credentials: _Credentials, method: str) -> bool:
        known = self._phones.get(credentials.user)
        ha1 = (known or self._nobody).ha1.get(credentials.algorithm, "")
        c = credentials
        ha2 = hash_text(c.algorithm, f"{method}:{c.uri}")
        right = hash_text(c.algorithm, f"{ha1}:{c.nonce}:{c.count}:{c.cnonce}:auth:{ha2}")
        same = hmac.compare_digest(right.encode(), c.response.lower().encode())
        return same and known is not None and bool(ha1)

    def _takes(self, credentials: _Credentials, now: float) -> bool:
        """Count one use of a nonce; False when it is stale or this use is not a new one."""
        count = int(credentials.count, 16)
        age_s = now - credentials.issued_ms / 1000
        if not -1.0 <= age_s < NONCE_S or credentials.issued_ms <= self._forgotten_ms:
            return False
        if count <= self._counts.get(credentials.nonce, 0):
            return False
        self._counts[credentials.nonce] = count
        while len(self._counts) > MAX_NONCES:
            oldest, _ = self._counts.popitem(last=False)
            self._forgotten_ms = max(self._forgotten_ms, int(oldest[:12], 16))
        return True

    def _count_failure(self, host: str, now: float) -> None:
        since, failures = self._failures.pop(host, (now, 0))
        if now >= since + FAILURE_S:
            since, failures = now, 0
        self._failures[host] = since, failures + 1
        if len(self._failures) > MAX_FAILING_HOSTS:
            self._failures.popitem(last=False)


def _algorithm(text: str) -> Algorithm | None:
    return next((name for name in ALGORITHMS if name.lower() == text.lower()), None)


def _parse(value: str) -> dict[str, str]:
    """Read `Digest name=value, name="value"`; empty for another scheme, RemoteError when malformed."""
    if len(value) > MAX_CREDENTIALS_CHARS:
        raise RemoteError("the credentials are too long")
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    parameters: dict[str, str] = {}
    rest = rest.strip()
    position = 0
    while position < len(rest):
        found = _PARAMETER.match(rest, position)
        if found is None:
            raise RemoteError("the credentials are malformed")
        name, quoted, token = found.groups()
        if name.lower() in parameters:
            raise RemoteError("a parameter of the credentials stands twice")
        # what is hashed is the text between the quotes as it stands [RFC 7616 §3.4]
        parameters[name.lower()] = token if quoted is None else quoted
        position = found.end()
    return parameters
