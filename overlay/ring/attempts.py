"""Hellos that wait for their answer, and the payloads that wait behind them.  I/O: none.

ACTIVE     the hello is sent HELLO_TRIES times, each time waiting HELLO_BACKOFF times longer: 5.8 first waits in all
LINGERING  given up, payloads dropped; for LINGER_S a late answer still counts, and a new payload sends the same hello
           again, which costs neither side a new signature
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from overlay.ring.frames import Address
    from overlay.ring.handshake import Greeting
    from overlay.ring.ids import RingId

HELLO_TRIES: Final = 4
"""With 5 % loss each way one handshake in ten thousand fails."""
HELLO_BACKOFF: Final = 1.25
HELLO_TIMEOUT_S: Final = 0.1
"""First wait where nothing is known of the round trip: a dead address is given up after 0.58 s ..."""
MIN_HELLO_TIMEOUT_S: Final = 0.06
MAX_HELLO_TIMEOUT_S: Final = 0.11
"""... and after 0.35 to 0.63 s where something is."""
LINGER_S: Final = 4.0
MAX_ATTEMPTS: Final = 512
MAX_QUEUED: Final = 16
MAX_QUEUED_BYTES: Final = 32 * 1024
"""Payloads and bytes that wait behind one hello; the oldest goes first, its sender repeats it anyway."""


class Attempt:
    """One hello of ours to one address."""

    __slots__ = (
        "_queued_bytes",
        "_repeated",
        "_sent_at",
        "_timeout_s",
        "due",
        "greeting",
        "lingers_until",
        "queue",
        "tries",
    )

    def __init__(self, greeting: Greeting, *, timeout_s: float | None) -> None:
        self.greeting = greeting
        self.queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._timeout_s = HELLO_TIMEOUT_S
        if timeout_s is not None:
            self._timeout_s = min(max(timeout_s, MIN_HELLO_TIMEOUT_S), MAX_HELLO_TIMEOUT_S)
        self.tries = 0
        """How often the hello went out since it began."""
        self._sent_at = 0.0
        self._repeated = False
        self.due: float | None = None
        """When to send again or give up; None while lingering."""
        self.lingers_until = 0.0

    def enqueue(self, payload: bytes) -> int:
        """Put a payload behind the hello; return how many older ones had to go."""
        self.queue.append(payload)
        self._queued_bytes += len(payload)
        dropped = 0
        while len(self.queue) > MAX_QUEUED or self._queued_bytes > MAX_QUEUED_BYTES:
            self._queued_bytes -= len(self.queue.popleft())
            dropped += 1
        return dropped

    def take_queue(self) -> list[bytes]:
        """Hand out what waits, oldest first."""
        waiting = list(self.queue)
        self.queue.clear()
        self._queued_bytes = 0
        return waiting

    def sent(self, now: float) -> None:
        """Note that the hello goes out now."""
        self.due = now + self._timeout_s * HELLO_BACKOFF**self.tries
        self.tries += 1
        self._sent_at = now

    def give_up(self, now: float) -> None:
        """Stop sending; a late answer is still understood for a while."""
        self.due = None
        self.lingers_until = now + LINGER_S

    def begin(self, now: float) -> None:
        """Begin to send: for the first time, or anew while lingering."""
        self._repeated = self._repeated or self.tries > 0
        self.tries = 0
        self.sent(now)

    def rtt_s(self, now: float) -> float | None:
        """Return the age of the hello that is answered now; None when it was sent more than once [Karn 1987]."""
        return None if self._repeated or self.tries != 1 else now - self._sent_at

    def rebase(self, now: float) -> None:
        """Follow a clock that was put back: wait no longer than the longest wait from now."""
        if self.due is not None:
            self.due = min(self.due, now + self._timeout_s * HELLO_BACKOFF ** (HELLO_TRIES - 1))
        self.lingers_until = min(self.lingers_until, now + LINGER_S)
        self._repeated = True


class Attempts:
    """All hellos of ours, by whom they are for and by their index."""

    __slots__ = ("_by_goal", "_by_index")

    def __init__(self) -> None:
        self._by_goal: dict[tuple[Address, RingId | None], Attempt] = {}
        self._by_index: dict[int, Attempt] = {}

    def __len__(self) -> int:
        return len(self._by_goal)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._by_goal.values()))

    def get(self, address: Address, expected: RingId | None) -> Attempt | None:
        """Return the attempt to reach an id at an address, active or lingering."""
        return self._by_goal.get((address, expected))

    def by_index(self, index: int) -> Attempt | None:
        """Return the attempt whose hello bears a session index."""
        return self._by_index.get(index)

    def add(self, attempt: Attempt) -> bool:
        """Keep a new attempt; False when MAX_ATTEMPTS are active. The oldest lingering one makes room."""
        if len(self._by_goal) >= MAX_ATTEMPTS:
            lingering = next((other for other in self._by_goal.values() if other.due is None), None)
            if lingering is None:
                return False
            self.remove(lingering)
        greeting = attempt.greeting
        self._by_goal[greeting.target, greeting.expected] = attempt
        self._by_index[greeting.index] = attempt
        return True

    def remove(self, attempt: Attempt) -> None:
        """Forget an attempt."""
        greeting = attempt.greeting
        self._by_goal.pop((greeting.target, greeting.expected), None)
        self._by_index.pop(greeting.index, None)

    def next_deadline(self) -> float | None:
        """Return when the next hello is due again."""
        if not self._by_goal:
            return None
        return min((attempt.due for attempt in self._by_goal.values() if attempt.due is not None), default=None)

    def rebase(self, now: float) -> None:
        """Follow a clock that was put back."""
        for attempt in self:
            attempt.rebase(now)

    def sweep(self, now: float) -> None:
        """Forget what lingered long enough."""
        for attempt in self:
            if attempt.due is None and attempt.lingers_until <= now:
                self.remove(attempt)
