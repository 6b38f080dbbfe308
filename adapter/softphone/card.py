"""Microphone and speaker joined to PJSIP, and the tones a phone makes by itself.

I/O: through pipes.py. Run by the child process alone. The microphone is open during a call alone, the speaker while
there is something to hear: a call, a ring, a ringback tone. PJSIP asks for a frame and gives one every 20 ms from its
media clock's thread; no call of PJSIP is made there.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import pjsua2 as pj

from adapter.softphone.devices import FRAME_BYTES, FRAME_MS, RATE_HZ, SoundEnd
from adapter.softphone.pipes import Microphone, Speaker
from adapter.softphone.valves import SILENCE

if TYPE_CHECKING:
    from collections.abc import Callable

RINGBACK: Final = ((425, 0, 1000, 4000),)
"""Two frequencies in Hz, milliseconds on and off: what a caller hears while it rings there [ITU-T E.180]."""
RING: Final = ((660, 880, 400, 200), (660, 880, 400, 3000))
"""What the called person hears."""
WAITING: Final = ((425, 0, 200, 200), (425, 0, 200, 4400))
"""What somebody hears who is called while he talks [ITU-T E.180]."""
LOUDEST: Final = 255
"""PJSIP's levels go from 0 to this."""


class SoundCard:
    """The sound of one phone; every method is harmless where there is neither microphone nor speaker."""

    def __init__(self, microphone: str, speaker: str, *, on_lost: Callable[[str], None]) -> None:
        """Take both ends as devices.SoundEnd writes them, empty for none.

        `on_lost` is told `microphone` or `speaker` when its program went away, from another thread. RemoteError on a
        backend that is none.
        """
        self._microphone = SoundEnd.parse(microphone) if microphone else None
        self._speaker = SoundEnd.parse(speaker) if speaker else None
        self._on_lost = on_lost
        self._port = _Port()
        self._tone: pj.ToneGenerator | None = None
        self._remote: pj.AudioMedia | None = None
        if self._microphone or self._speaker:
            form = pj.MediaFormatAudio()
            form.init(pj.PJMEDIA_FORMAT_PCM, RATE_HZ, 1, FRAME_MS * 1000, 16)
            self._port.createPort("sound card", form)
            self._has_port = True
        else:
            self._has_port = False

    def attach(self, remote: pj.AudioMedia) -> None:
        """Join a call's stream; may come again after a hold. OSError where a program is not there."""
        self._remote = remote
        self.hush()
        if self._microphone is not None:
            if self._port.microphone is None:
                self._port.microphone = Microphone(self._microphone, on_lost=lambda: self._on_lost("microphone"))
            self._port.startTransmit(remote)
        if self._speaker is not None:
            self._open_speaker(self._speaker)
            remote.startTransmit(self._port)

    def detach(self, remote: pj.AudioMedia, *, is_live: bool) -> tuple[int, int]:
        """Let go of a call's stream, of the microphone and of the speaker; nothing where another call has them.

        `is_live`: the stream runs on, as before a hold; the place of one that ended may be another's already. Returns
        how many frames of 20 ms microphone and speaker missed in it.
        """
        if remote is not self._remote:
            return 0, 0
        self.hush()
        self._remote = None
        if is_live and self._has_port:
            with contextlib.suppress(pj.Error):  # they were never joined
                self._port.stopTransmit(remote)
                remote.stopTransmit(self._port)
        return self._close()

    def sound(self, tones: tuple[tuple[int, int, int, int], ...]) -> None:
        """Play tones on the speaker, into a call that is heard there too, again and again, until `hush` or `attach`."""
        if self._speaker is None or self._tone is not None:
            return
        self._open_speaker(self._speaker)
        tone = self._tone = pj.ToneGenerator()
        tone.createToneGenerator(RATE_HZ, 1)
        wanted = pj.ToneDescVector()
        for low, high, on_ms, off_ms in tones:
            one = pj.ToneDesc()
            one.freq1, one.freq2, one.on_msec, one.off_msec = low, high, on_ms, off_ms
            wanted.append(one)
        tone.play(wanted, True)  # noqa: FBT003  SWIG takes no keyword: loop
        tone.startTransmit(self._port)

    def hush(self) -> None:
        """End the tones."""
        if self._tone is not None:
            self._tone.__swig_destroy__(self._tone)
            self._tone = None
            if self._remote is None:
                self._close()

    def levels(self) -> tuple[float, float]:
        """Return how loud the microphone and the other side are just now, 0.0 to 1.0."""
        if not self._has_port or self._remote is None:
            return 0.0, 0.0
        return self._port.getTxLevel() / LOUDEST, self._port.getRxLevel() / LOUDEST

    def close(self) -> None:
        """End everything; PJSIP is destroyed after this, and no call is left."""
        self.hush()
        self._remote = None
        self._close()
        if self._has_port:
            self._has_port = False
            self._port.__swig_destroy__(self._port)

    def _open_speaker(self, end: SoundEnd) -> None:
        if self._port.speaker is None:
            self._port.speaker = Speaker(end, on_lost=lambda: self._on_lost("speaker"))

    def _close(self) -> tuple[int, int]:
        microphone, self._port.microphone = self._port.microphone, None
        speaker, self._port.speaker = self._port.speaker, None
        holes = (0 if microphone is None else microphone.holes, 0 if speaker is None else speaker.holes)
        if microphone is not None:
            microphone.close()
        if speaker is not None:
            speaker.close()
        return holes


class _Port(pj.AudioMediaPort):
    """Where PJSIP's conference bridge meets the pipes."""

    def __init__(self) -> None:
        super().__init__()
        self.microphone: Microphone | None = None
        self.speaker: Speaker | None = None

    def onFrameRequested(self, frame: Any) -> None:  # noqa: N802  PJSIP's name
        """Give a frame of the microphone's sound."""
        microphone = self.microphone
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.buf = pj.ByteVector(list(SILENCE if microphone is None else microphone.take()))

    def onFrameReceived(self, frame: Any) -> None:  # noqa: N802  PJSIP's name
        """Take a frame for the speaker; one of PJSIP's own kinds of nothing is silence."""
        speaker = self.speaker
        if speaker is not None:
            data = bytes(frame.buf) if frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO else SILENCE
            speaker.give(data if len(data) == FRAME_BYTES else SILENCE)
