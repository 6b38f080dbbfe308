"""What stands between a program's pipe and PJSIP's clock: sound that comes in when it likes, sound that goes out.

I/O: none. Frames are of devices.FRAME_SAMPLES, 16 bits, mono. What waits is held short by elastic.py, and to MOST_BYTES
by force, because sound that waits is delay that stays.
"""

from __future__ import annotations

from typing import Final

from adapter.softphone.devices import FRAME_BYTES, FRAME_SAMPLES
from adapter.softphone.elastic import SAMPLE_BYTES, Pace, fitted

MOST_BYTES: Final = 4 * FRAME_BYTES
"""What may wait at either end, whatever happens: 80 ms."""
PAUSE: Final = 25
"""Frames, half a second: who takes none for longer does not listen, as in a hold, and misses nothing."""
SILENCE: Final = bytes(FRAME_BYTES)
STARTING: Final = 50
"""Frames on end, a second, that a program which plays has to take before it counts as started."""
LONGEST_START: Final = 500
"""Frames, 10 s, after which it does in any case."""


class Inlet:
    """Sound of a microphone: put in as it comes, taken out a frame at a time."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._sound = bytearray()
        self._flows = False
        self._cut_off = 0

    @property
    def holes(self) -> int:
        """Frames that came too late, or too many at once."""
        return self._pace.holes

    @property
    def waiting(self) -> int:
        """Samples that wait."""
        return len(self._sound) // SAMPLE_BYTES

    def put(self, data: bytes) -> None:
        """Add sound; the oldest goes where it is too much."""
        self._sound += data
        while len(self._sound) > MOST_BYTES:
            del self._sound[:FRAME_BYTES]
            self._cut_off += self._flows

    def take(self) -> bytes:
        """Return the next frame, silence where it has not come."""
        left = self.waiting - FRAME_SAMPLES
        if 0 < self._cut_off <= PAUSE:
            self._pace.hole()
        self._flows = self._flows and not self._cut_off
        self._cut_off = 0
        if not self._flows:
            if left < self._pace.margin:
                return SILENCE
            self._flows = True
        if left < 1:  # it may have to give one more than a frame
            self._flows = False
            self._pace.hole()
            return SILENCE
        change = self._pace.step(left, self._peek(FRAME_SAMPLES))
        is_pause = change < -1  # its end is said again with the next frame
        frame = self._peek(FRAME_SAMPLES if is_pause else FRAME_SAMPLES + change)
        del self._sound[: (FRAME_SAMPLES + change) * SAMPLE_BYTES]
        return frame if is_pause else fitted(frame, change)

    def _peek(self, samples: int) -> bytes:
        return bytes(self._sound[: samples * SAMPLE_BYTES])


class Outlet:
    """Sound for a speaker: decides frame by frame what goes into the pipe."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._frames = 0
        self._starting = STARTING

    @property
    def holes(self) -> int:
        """Frames for which there was no room, since the program started to play."""
        return self._pace.holes

    def offer(self, frame: bytes, waiting: int) -> bytes:
        """Return what to write now, while `waiting` bytes were not yet read: the frame, more, less or nothing."""
        self._frames += 1
        starts = self._frames < min(self._starting, LONGEST_START)
        if waiting + FRAME_BYTES > MOST_BYTES:
            if starts:
                self._starting = self._frames + STARTING
            else:
                self._pace.hole()
            return b""
        return frame if starts else fitted(frame, self._pace.step(waiting // SAMPLE_BYTES, frame))

    def refused(self) -> None:
        """Take down that the pipe had no room."""
        self._pace.hole()
