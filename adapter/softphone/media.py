"""What one call plays and records.  I/O: WAV files, by PJSIP.  Run by the child process alone.

A file player at its end, or no player at all, makes PJSIP send no RTP, and the other side would take our silence for a
dead phone; so the null sound device, which is silence, is always mixed in.
"""

import contextlib
import time
from pathlib import Path
from typing import Final

import pjsua2 as pj

from adapter.softphone.card import SoundCard

COMPLETE_WITHIN_S: Final = 0.5
"""How long a recording may take to be closed, in seconds; the bridge's clock ticks every 20 ms."""
LOOK_EVERY_S: Final = 0.005
RIFF_HEADER_BYTES: Final = 8
"""`RIFF` and the size, which is 0 until the file is closed."""


class CallAudio:
    """Player, recorder and silence of one call; its PJSIP ports die with `close`, in the loop, never in a callback."""

    def __init__(self, *, silence: pj.AudioMedia, card: SoundCard, play: str, loop: bool, record: str) -> None:
        """Hold the plan; files and microphone are opened by the first `attach`, when sound begins."""
        self._card = card
        self._heard = 1.0
        self._sent = 1.0
        self._silence: pj.AudioMedia | None = silence
        self._play = play
        self._loop = loop
        self.record = record
        self._player: pj.AudioMediaPlayer | None = None
        self._recorder: pj.AudioMediaRecorder | None = None
        self._remote: pj.AudioMedia | None = None
        self.holes = (0, 0)
        """Frames that microphone and speaker missed; known after `close`."""

    def attach(self, remote: pj.AudioMedia) -> None:
        """Join the call's stream to the files; may come again after early media or a hold. Raises pj.Error."""
        if self._silence is None:
            return
        if self._play and self._player is None:
            player = pj.AudioMediaPlayer()
            player.createPlayer(self._play, 0 if self._loop else pj.PJMEDIA_FILE_NO_LOOP)
            self._player = player
        if self.record and self._recorder is None:
            recorder = pj.AudioMediaRecorder()
            recorder.createRecorder(self.record)
            self._recorder = recorder
        self._remote = remote
        self._silence.startTransmit(remote)
        if self._player is not None:
            self._player.startTransmit(remote)
        if self._recorder is not None:
            remote.startTransmit(self._recorder)
        self._card.attach(remote)
        self._adjust()

    def leave_card(self) -> None:
        """Let go of microphone and speaker, as for a hold; the next `attach` takes them again."""
        self._let_go(is_live=True)

    def mute(self, *, on: bool) -> None:
        """Send silence, or sound again."""
        self._sent = 0.0 if on else 1.0
        self._adjust()

    def volume(self, percent: int) -> None:
        """Hear the other side that loud."""
        self._heard = percent / 100
        self._adjust()

    def _adjust(self) -> None:
        if self._remote is None:
            return
        with contextlib.suppress(pj.Error):  # between two offers there is no stream; `attach` comes again after them
            self._remote.adjustRxLevel(self._sent)  # PJSIP's receiving is the bridge's sending
            self._remote.adjustTxLevel(self._heard)

    def _let_go(self, *, is_live: bool) -> None:
        remote, self._remote = self._remote, None
        if remote is not None:
            microphone, speaker = self._card.detach(remote, is_live=is_live)
            self.holes = (self.holes[0] + microphone, self.holes[1] + speaker)

    def close(self) -> None:
        """Destroy the ports now, not when the collector comes by: the recording is complete after this."""
        self._let_go(is_live=False)
        self._silence = None
        for port in (self._player, self._recorder):
            if port is not None:
                port.__swig_destroy__(port)
        if self._recorder is not None:
            _wait_until_complete(Path(self.record))
        self._player = self._recorder = None


def _wait_until_complete(recording: Path) -> None:
    """Wait until PJSIP has closed a WAV file: the conference bridge lets go of a port at its own clock's next tick.

    Until then the RIFF header says that the file is empty. The clock is a thread of its own, so this thread may wait.
    """
    deadline = time.monotonic() + COMPLETE_WITHIN_S
    while not _is_complete(recording) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


def _is_complete(recording: Path) -> bool:
    try:
        with recording.open("rb") as file:
            return any(file.read(RIFF_HEADER_BYTES)[4:])
    except OSError:
        return False
