"""The adapter's side of a registration: one TCP dialog with the bootstrap server.  I/O: tcp.

    connect -> CHALLENGE -> check the server's key, sign -> SECP2PSIP REGISTER -> SECP2PSIP REGISTERED -> check it all

Where the overlay key is known already (`overlay_pin`) another key is refused before a byte is sent. Otherwise it is
taken at first sight, and the caller pins it from then on: `Enrolment.overlay_bundle.thumbprint()`. A server that is
busy is asked again until the time is up. [paper §II.B]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from adapter.enrolled import Enrolment, check_registered
from overlay.errors import RemoteError
from overlay.ring.ids import spelt
from overlay.trust.identity import KeyBundle
from overlay.trust.records import DealingCertificate
from overlay.wire.codec import MAX_LINE_BYTES, decode_line, line_digest
from overlay.wire.envelope import open_challenge, open_error, open_registered, seal_register, verify_error
from overlay.wire.messages import Register

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from overlay.trust.identity import PrivateBundle, SigningKey
    from overlay.trust.records import LookupRecord
    from overlay.wire.messages import Challenge

    Trace = Callable[[str, dict[str, object]], None]

__all__ = ["Enrolment", "EnrolmentFailed", "EnrolmentRefused", "ServerBusy", "enrol"]

_T = TypeVar("_T")
ENROLMENT_TIMEOUT_S: Final = 20.0
"""For the whole of it: the server stores n pieces on the ring before it answers."""
CHALLENGE_TIMEOUT_S: Final = 10.0
"""For the connection and the CHALLENGE, which a server says at once: what else listens at a wrong port says nothing."""
BUSY_RETRY_S: Final = (0.2, 1.0)
"""Between these two bounds lies the random pause after a busy server's answer."""
CLOCK_SKEW_S: Final = 300
"""Two clocks further apart than this are named in an error that they may have caused."""

_HINTS: Final = {
    "taken": "choose another name, or start with the state directory that registered it (--state DIR)",
    "policy": "ask whoever runs the bootstrap server; an invite is given with --invite CODE",
    "revoked": "the operator can release the name to new keys: secp2psip-bootstrap names release NAME",
    "busy": "try again in a minute",
    "unverified": "is that the bootstrap server that was meant?",
    "internal": "see what the bootstrap server says with --trace",
}


class EnrolmentRefused(RemoteError):
    """The bootstrap server said no, and why: under its own key, about this very REGISTER."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"the bootstrap server refused: {reason}")
        self.code = code
        """One of the wire's error codes, "taken" among them."""
        self.reason = reason
        self.hint = _HINTS.get(code, "")


class EnrolmentFailed(RemoteError):
    """There was no answer that could be believed."""

    code = "enrolment_failed"

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


class ServerBusy(EnrolmentFailed):
    """The server has no time now, or somebody in its place says so: it proves no more than silence does."""

    code = "busy"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the bootstrap server is busy: {reason}", _HINTS["busy"])


class OtherServer(EnrolmentFailed):
    """The server does not have the key that was expected: nothing was sent to it."""

    code = "unverified"


async def enrol(
    address: tuple[str, int],
    *,
    aor: str,
    user: PrivateBundle,
    node_key: SigningKey,
    record: Callable[[], LookupRecord],
    overlay_pin: bytes | None = None,
    code: str = "",
    word: bytes = b"",
    trace: Trace = lambda _step, _detail: None,
    clock: Callable[[], float] = time.time,
    timeout_s: float = ENROLMENT_TIMEOUT_S,
    challenge_s: float = CHALLENGE_TIMEOUT_S,
) -> Enrolment:
    """Register `aor` with the bootstrap server at `address` and return what it gave, checked.

    `record` makes the lookup record to go with it; `overlay_pin` is the thumbprint (16 bytes) of the only overlay key
    to talk to; `code` an enrolment code or invite; `word` the old key's Succession, or a Tombstone; `trace` hears of
    CHALLENGE, SECP2PSIP REGISTER and SECP2PSIP REGISTERED, in that order; `timeout_s` is for all of it, `challenge_s`
    for each connection up to its CHALLENGE.
    Raises EnrolmentRefused when the server says no and proves it, EnrolmentFailed for everything else that the other
    side does wrong: what it says before its CHALLENGE bears no key that could be checked.
    """
    where = spelt(address)
    dialog = _Dialog(
        aor=aor,
        user=user,
        node_key=node_key,
        record=record,
        pin=overlay_pin,
        code=code,
        word=word,
        trace=trace,
        clock=clock,
        challenge_s=challenge_s,
    )
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    return await dialog.run(address)
                except ServerBusy as busy:
                    dialog.busy = busy
                await asyncio.sleep(random.uniform(*BUSY_RETRY_S))  # noqa: S311 - spreads retries, hides nothing
    except TimeoutError:
        if dialog.busy is not None:
            raise dialog.busy from None
        raise _silent(where, timeout_s) from None
    except OSError as error:
        raise _nobody(where, error) from None


async def ask_challenge(address: tuple[str, int], *, overlay_pin: bytes | None = None) -> tuple[Challenge, bytes]:
    """Return the CHALLENGE of the bootstrap server at `address` and the thumbprint of its key; nothing is sent to it.

    Raises EnrolmentFailed where there is none, RemoteError where it does not hold or shows another key than
    `overlay_pin`. The caller sets the time limit.
    """
    try:
        reader, writer = await asyncio.open_connection(*address, limit=MAX_LINE_BYTES)
    except OSError as error:
        raise _nobody(spelt(address), error) from None
    try:
        challenge = await _read_challenge(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    thumbprint = KeyBundle.decode(challenge.bundle).thumbprint()
    if overlay_pin is not None and thumbprint != overlay_pin:
        raise _other_key(thumbprint, overlay_pin)
    return challenge, thumbprint


def _nobody(where: str, error: OSError) -> EnrolmentFailed:
    # asyncio's own text repeats the address, and all of them where a name has several
    reason = error.strerror or "none of its addresses answers"
    if error.errno is not None and error.errno > 0:
        reason = os.strerror(error.errno)
    return EnrolmentFailed(
        f"no bootstrap server at {where}: {reason.lower()}", "start it with secp2psip-bootstrap, or check --bootstrap"
    )


def _silent(where: str, seconds: float) -> EnrolmentFailed:
    return EnrolmentFailed(
        f"the bootstrap server at {where} did not answer within {seconds:g} s",
        "is it running, at that port, and reachable? it shows its address when it starts",
    )


def _other_key(thumbprint: bytes, pin: bytes) -> EnrolmentFailed:
    return OtherServer(
        f"that bootstrap server has key {thumbprint.hex()}, not the known {pin.hex()}",
        "another server took its place, or --bootstrap names another overlay: nothing was sent to it",
    )


@dataclass(slots=True, kw_only=True)
class _Dialog:
    """What is said in one enrolment, on as many connections as a busy server makes necessary."""

    aor: str
    user: PrivateBundle
    node_key: SigningKey
    record: Callable[[], LookupRecord]
    pin: bytes | None
    code: str = field(repr=False)
    word: bytes
    trace: Trace
    clock: Callable[[], float]
    challenge_s: float
    busy: ServerBusy | None = None
    """What an earlier connection was told."""

    async def run(self, address: tuple[str, int]) -> Enrolment:
        until = asyncio.get_running_loop().time() + self.challenge_s
        reader, writer = await self._soon(asyncio.open_connection(*address, limit=MAX_LINE_BYTES), address, until)
        try:
            challenge = await self._soon(_read_challenge(reader), address, until)
            return await self._talk(challenge, reader, writer)
        except (EnrolmentRefused, EnrolmentFailed):
            raise
        except RemoteError as error:
            raise EnrolmentFailed(f"the bootstrap server's answer does not hold: {error}") from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _soon(self, what: Awaitable[_T], address: tuple[str, int], until: float) -> _T:
        try:
            async with asyncio.timeout_at(until):
                return await what
        except TimeoutError:
            raise _silent(spelt(address), self.challenge_s) from None

    async def _talk(
        self, challenge: Challenge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Enrolment:
        server = KeyBundle.decode(challenge.bundle)
        certificate = self._check_challenge(challenge, server)
        request = self._request(challenge, server)
        sealed = seal_register(request, self.user, server)
        self.trace("SECP2PSIP REGISTER", {"aor": self.aor, "thumbprint": self.user.public.thumbprint().hex()})
        writer.write(sealed)
        await writer.drain()
        line = await _read_line(reader)
        if decode_line(line).method == "ERROR":
            error = verify_error(line, server)
            if error.about != line_digest(sealed):
                raise RemoteError("a refusal of something else")
            if error.code == "busy":
                raise ServerBusy(error.reason)
            raise EnrolmentRefused(error.code, error.reason)
        registered = open_registered(line, self.user, server)
        enrolment = check_registered(
            registered,
            about=line_digest(sealed),
            challenge=challenge,
            request=request,
            certificate=certificate,
            now=self.clock(),
        )
        self.trace(
            "SECP2PSIP REGISTERED",
            {
                "generation": enrolment.generation,
                "pieces": len(enrolment.pieces),
                "k": certificate.k,
                "n": certificate.n,
                "node": enrolment.credential.node_id.hex(),
                "nodes": [spelt(node.address) for node in enrolment.nodes],
            },
        )
        return enrolment

    def _check_challenge(self, challenge: Challenge, server: KeyBundle) -> DealingCertificate:
        """Return the server's dealing certificate; its signature on the CHALLENGE itself is checked already."""
        thumbprint = server.thumbprint()
        skew_s = self.clock() - challenge.time
        self.trace(
            "CHALLENGE", {"overlay": challenge.overlay, "fingerprint": thumbprint.hex(), "skew_s": round(skew_s, 1)}
        )
        if self.pin is not None and thumbprint != self.pin:
            raise _other_key(thumbprint, self.pin)
        certificate = DealingCertificate.decode(challenge.dealing)
        try:
            certificate.verify(server.ed25519, overlay=challenge.overlay, now=self.clock())
        except RemoteError as error:
            hint = f"the clocks are {abs(skew_s):.0f} s apart: set them" if abs(skew_s) > CLOCK_SKEW_S else ""
            raise EnrolmentFailed(f"the bootstrap server's challenge does not hold: {error}", hint) from None
        return certificate

    def _request(self, challenge: Challenge, server: KeyBundle) -> Register:
        """Make the REGISTER for this very challenge, with the node's signature inside."""
        return Register.issue(
            self.node_key,
            aor=self.aor,
            bundle=self.user.public.encode(),
            record=self.record().encode(),
            nonce=challenge.nonce,
            bootstrap=server.thumbprint(),
            overlay=challenge.overlay,
            code=self.code,
            word=self.word,
        )


async def _read_challenge(reader: asyncio.StreamReader) -> Challenge:
    """Read the server's first line; EnrolmentFailed for an ERROR in its place, whatever its code.

    There is no challenge yet, so no key to check the ERROR with and no request that it could be about: who took the
    server's address could say it, or somebody on the way. Nobody may do more on it than on silence.
    """
    line = await _read_line(reader)
    if decode_line(line).method != "ERROR":
        return open_challenge(line)
    error = open_error(line)
    if error.code == "busy":
        raise ServerBusy(error.reason)
    raise EnrolmentFailed(
        f"the bootstrap server sent an error before its challenge, which proves nothing: {error.reason}",
        _HINTS["unverified"],
    )


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    """Read one line of the server; RemoteError when it closes without one or says more than a line may hold."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        raise EnrolmentFailed("the bootstrap server closed the connection", "see what it says with --trace") from None
    except asyncio.LimitOverrunError:
        raise RemoteError(f"a line of more than {MAX_LINE_BYTES} bytes") from None
