"""The sound card of one phone between its calls: tones while somebody rings, levels while somebody talks.

I/O: through card.py. Run by the child process alone.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from adapter.softphone import events
from adapter.softphone.card import RING, RINGBACK, WAITING, SoundCard

LEVELS_EVERY_S: Final = 0.2


class Tones:
    """Whose tone is heard, and what the card has to tell."""

    def __init__(self, microphone: str, speaker: str, *, tells_levels: bool) -> None:
        """Take both ends as devices.SoundEnd writes them, empty for none; RemoteError on a backend that is none."""
        self._lost: deque[str] = deque(maxlen=2)
        self.card = SoundCard(microphone, speaker, on_lost=self._lost.append)
        self._tells_levels = tells_levels
        self._levels_at = 0.0
        self._call = 0

    def ring(self, number: int, *, is_talking: bool) -> None:
        """Ring for a call that comes in: loud, or as a tone into the call that is up."""
        self.card.sound(WAITING if is_talking else RING)
        self._call = number

    def follow(self, number: int, event: events.Event) -> None:
        """Make the tone that goes with what a call tells, or end it."""
        match event:
            case events.Ringing():
                self.card.sound(RINGBACK)
                self._call = number
            case events.Established() | events.Ended() if self._call in {0, number}:
                self.card.hush()

    def news(self, now: float, *, is_talking: bool) -> Iterator[events.Event]:
        """Tell of what went away, and of levels where they are due."""
        while self._lost:
            yield events.SoundLost(at=now, what=self._lost.popleft())
        if self._tells_levels and is_talking and now - self._levels_at >= LEVELS_EVERY_S:
            self._levels_at = now
            microphone, speaker = self.card.levels()
            yield events.Levels(at=now, microphone=round(microphone, 3), speaker=round(speaker, 3))
