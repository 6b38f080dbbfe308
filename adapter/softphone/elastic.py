"""Sound between two clocks that never quite agree: how much of it waits, and how to have less or more of it unheard.

I/O: none. A sound card's crystal and PJSIP's clock differ by some ten millionths, and a busy machine stops one of the
two now and then. What waits between them is delay, and nothing waiting is a hole. So the least that waited in the last
seconds is held in a narrow band: too much or too little of it goes with the next pause of the speech, and where nobody
pauses by single samples, taken out or put in where it is noticed least and so seldom that the pitch stays. A hole
raises the band for a while: this machine is busier than thought.
"""

from __future__ import annotations

from array import array
from typing import Final

from adapter.softphone.devices import RATE_HZ

SAMPLE_BYTES: Final = 2
LOOK_BACK: Final = 200
"""Frames over which the least that waited is taken: 4 s, so that one late frame is no drift."""
MARGIN: Final = RATE_HZ // 100
"""Samples that are to wait at least: 10 ms."""
MOST_MARGIN: Final = 4 * MARGIN
"""What holes can raise it to."""
BAND: Final = RATE_HZ * 12 // 1000
"""Samples more than the margin that are still well: 12 ms, or a frame that is put in would be taken out again."""
CALM: Final = 500
"""Frames without a hole after which the margin falls back by CALMER: 10 s."""
CALMER: Final = MARGIN // 4
PATIENT: Final = 250
"""Frames in which a pause is waited for: 5 s."""
SELDOM: Final = 20
"""Frames for each sample that is taken out or put in after that: 150 millionths, what two bad crystals are apart."""
QUIET: Final = 100
"""A frame that never goes beyond it is a pause: 50 dB under the loudest there can be."""
QUIET_SPEECH: Final = 330
"""The same in the midst of loud speech."""
QUIET_SHARE: Final = 32
"""Between the two: a frame that is so many times softer than what was loudest lately."""
FADE: Final = 256
"""What was loudest counts for less by a part in so many with each frame: half of it in 4 s."""


class Pace:
    """Decides for each frame how many samples of what waits go with it."""

    def __init__(self) -> None:
        self.holes = 0
        """Frames that were not there when they were due, or came when there was no room."""
        self.margin = MARGIN
        """How many samples shall wait at least."""
        self._least: int | None = None
        self._least_before: int | None = None
        self._frames = 0
        self._calm = 0
        self._wait = PATIENT
        self._loudest = 0

    def step(self, waiting: int, frame: bytes) -> int:
        """Return by how many samples to shorten the frame, or, below zero, to lengthen it; mostly 0.

        `waiting` is how many samples wait behind it, taken at the same point for every frame. One sample it is in the
        midst of speech, in a pause up to the whole frame.
        """
        self._note(waiting)
        is_pause = self._is_pause(frame)
        surplus = self._surplus()
        if surplus == 0:
            self._wait = PATIENT
            return 0
        self._wait -= 1
        if is_pause:
            size = len(frame) // SAMPLE_BYTES
            change = max(-size, min(surplus, size))
        elif self._wait <= 0:
            self._wait = SELDOM
            change = 1 if surplus > 0 else -1
        else:
            return 0
        self._least = None if self._least is None else self._least - change
        self._least_before = None if self._least_before is None else self._least_before - change
        return change

    def hole(self) -> None:
        """Take down a frame that was missing: what was seen before it counts no more."""
        self.holes += 1
        self._calm = 0
        self.margin = min(MOST_MARGIN, self.margin + MARGIN)
        self._least = self._least_before = None
        self._frames = 0

    def _is_pause(self, frame: bytes) -> bool:
        samples = array("h", frame)
        peak = max(*samples, -min(samples))
        self._loudest = max(peak, self._loudest - self._loudest // FADE)
        return peak <= max(QUIET, min(QUIET_SPEECH, self._loudest // QUIET_SHARE))

    def _note(self, waiting: int) -> None:
        self._least = waiting if self._least is None else min(self._least, waiting)
        self._frames += 1
        if self._frames >= LOOK_BACK // 2:
            self._least_before, self._least, self._frames = self._least, None, 0
        self._calm += 1
        if self._calm >= CALM:
            self._calm = 0
            self.margin = max(MARGIN, self.margin - CALMER)

    def _surplus(self) -> int:
        """Return how many samples too many wait, or, below zero, too few; 0 until there was time to see."""
        if self._least_before is None:
            return 0
        least = self._least_before if self._least is None else min(self._least, self._least_before)
        if least < self.margin:
            return least - self.margin
        return max(0, least - self.margin - BAND)


def fitted(frame: bytes, change: int) -> bytes:
    """Return the frame shorter by `change` samples, or longer, as Pace.step said: quiet where it is more than one."""
    if change == 0:
        return frame
    if change == 1:
        return _shortened(frame)
    if change == -1:
        return _lengthened(frame)
    return frame[change * SAMPLE_BYTES :] if change > 0 else frame + frame[: -change * SAMPLE_BYTES]


def _shortened(sound: bytes) -> bytes:
    """Leave out the sample that is most like both its neighbours."""
    samples = array("h", sound)
    del samples[_smoothest(samples)]
    return samples.tobytes()


def _lengthened(sound: bytes) -> bytes:
    """Put a sample between two that are alike."""
    samples = array("h", sound)
    place = _smoothest(samples)
    samples.insert(place, (samples[place - 1] + samples[place]) // 2)
    return samples.tobytes()


def _smoothest(samples: array[int]) -> int:
    # a frame of 20 ms: some 40 us, and only when something is to be done
    bends = [abs(b - a) + abs(c - b) for a, b, c in zip(samples, samples[1:], samples[2:], strict=False)]
    return bends.index(min(bends)) + 1
