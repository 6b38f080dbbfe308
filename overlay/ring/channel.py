"""One session between two nodes: seals and opens DATA frames, refuses replays.  I/O: none.

Each direction has its own key, so a frame thrown back at its sender never opens. The nonce is the frame's 64-bit
number, which is never used twice under one key; the header and both node ids are authenticated with the payload
[RFC 8439 §2.8].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from overlay.errors import LocalError, RemoteError
from overlay.ring.frames import DATA_HEADER_BYTES, MAX_COUNTER, MAX_PAYLOAD_BYTES, data_header
from overlay.ring.ids import id_to_bytes

if TYPE_CHECKING:
    from overlay.ring.ids import Peer, RingId

NONCE_BYTES: Final = 12
"""The frame's number behind four zero bytes."""
REPLAY_WINDOW: Final = 1024
"""How far behind the newest number a frame may come in: reordering on a LAN stays far below."""
REKEY_AFTER_FRAMES: Final = 1 << 24
REKEY_AFTER_S: Final = 3600.0
"""A session asks for a new one after so many frames or seconds ..."""
RESPONDER_PATIENCE: Final = 1.1
"""... whoever answered the handshake waits this much longer, so that the two do not ask at the same moment ..."""
MAX_SESSION_S: Final = 2 * REKEY_AFTER_S
"""... and is of no use any more at this age."""


class ReplayWindow:
    """Remembers which of the last REPLAY_WINDOW numbers were seen [RFC 6479]."""

    __slots__ = ("_bits", "_highest")

    def __init__(self) -> None:
        self._highest = -1
        self._bits = 0

    def is_fresh(self, counter: int) -> bool:
        """Tell whether a number is neither seen nor too old. Marks nothing: the frame is not authentic yet."""
        age = self._highest - counter
        return age < 0 or (age < REPLAY_WINDOW and not self._bits >> age & 1)

    def mark(self, counter: int) -> None:
        """Remember a number whose frame has proved authentic."""
        ahead = counter - self._highest
        if ahead <= 0:
            self._bits |= 1 << -ahead
        elif ahead >= REPLAY_WINDOW:
            self._bits, self._highest = 1, counter
        else:
            self._bits = (self._bits << ahead | 1) & ((1 << REPLAY_WINDOW) - 1)
            self._highest = counter


class Session:
    """The two keys that one handshake agreed on, and what is known of the peer that holds them too."""

    __slots__ = (
        "_aad_in",
        "_aad_out",
        "_in",
        "_out",
        "_sent",
        "_window",
        "created_at",
        "heard_at",
        "hello_time_ms",
        "index",
        "initiator",
        "peer",
        "peer_index",
        "superseded_at",
        "valid_until",
    )

    def __init__(
        self,
        *,
        me: RingId,
        peer: Peer,
        index: int,
        peer_index: int,
        keys: tuple[bytes, bytes],
        initiator: bool,
        hello_time_ms: int,
        created_at: float,
        valid_until: float,
    ) -> None:
        """Take the keys (ours to send with, theirs to receive with), the indices and the credential's end."""
        self.peer = peer
        self.index = index
        """The index in frames that come to us."""
        self.peer_index = peer_index
        """The index in frames that we send."""
        self.initiator = initiator
        """Whether our HELLO began it."""
        self.hello_time_ms = hello_time_ms
        """The peer's clock in its HELLO, or 0 where the HELLO was ours."""
        self.created_at = created_at
        self.heard_at = created_at
        """When the last authentic frame came in."""
        self.superseded_at: float | None = None
        """When a newer session took its place for sending."""
        self.valid_until = valid_until
        """Wall-clock end of the peer's node credential."""
        self._out = ChaCha20Poly1305(keys[0])
        self._in = ChaCha20Poly1305(keys[1])
        mine, theirs = id_to_bytes(me), id_to_bytes(peer.id)
        self._aad_out = mine + theirs
        self._aad_in = theirs + mine
        self._sent = 0
        self._window = ReplayWindow()

    def __repr__(self) -> str:
        return f"Session({self.peer}, index={self.index:016x}, initiator={self.initiator})"

    def seal(self, payload: bytes) -> bytes:
        """Return the DATA frame of a payload; LocalError when it is too long or the session is used up."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise LocalError(f"a payload of {len(payload)} bytes is over {MAX_PAYLOAD_BYTES}")
        if self._sent > MAX_COUNTER:
            raise LocalError("session used up")
        header = data_header(self.peer_index, self._sent)
        nonce = self._sent.to_bytes(NONCE_BYTES, "big")
        self._sent += 1
        return header + self._out.encrypt(nonce, payload, header + self._aad_out)

    def open(self, frame: bytes, counter: int, now: float) -> bytes:
        """Return the payload of a DATA frame that bears our index; RemoteError when replayed or not authentic."""
        if not self._window.is_fresh(counter):
            raise RemoteError("data replayed")
        nonce = counter.to_bytes(NONCE_BYTES, "big")
        try:
            payload = self._in.decrypt(nonce, frame[DATA_HEADER_BYTES:], frame[:DATA_HEADER_BYTES] + self._aad_in)
        except InvalidTag:
            raise RemoteError("data not authentic") from None
        self._window.mark(counter)
        self.heard_at = now
        return payload

    def is_usable(self, now: float) -> bool:
        """Tell whether frames may still be sent and taken: age, count and the peer's credential allow it."""
        return now - self.created_at < MAX_SESSION_S and now < self.valid_until and self._sent <= MAX_COUNTER

    def wants_rekey(self, now: float) -> bool:
        """Tell whether it is time to agree on new keys."""
        patience = 1.0 if self.initiator else RESPONDER_PATIENCE
        return now - self.created_at >= REKEY_AFTER_S * patience or self._sent >= REKEY_AFTER_FRAMES * patience
