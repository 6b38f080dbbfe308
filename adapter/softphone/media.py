"""What one call plays and records.  I/O: WAV files, by PJSIP.  Run by the child process alone.

A file player at its end, or no player at all, makes PJSIP send no RTP, and the other side would take our silence for a
dead phone; so the null sound device, which is silence, is always mixed in.
"""

import pjsua2 as pj


class CallAudio:
    """Player, recorder and silence of one call; its PJSIP ports die with `close`, in the loop, never in a callback."""

    def __init__(self, *, silence: pj.AudioMedia, play: str, loop: bool, record: str) -> None:
        """Hold the plan; the files are opened by the first `attach`, when sound begins."""
        self._silence: pj.AudioMedia | None = silence
        self._play = play
        self._loop = loop
        self._record = record
        self._player: pj.AudioMediaPlayer | None = None
        self._recorder: pj.AudioMediaRecorder | None = None
        self._remote: pj.AudioMedia | None = None

    def attach(self, remote: pj.AudioMedia) -> None:
        """Join the call's stream to the files; may come again after early media or a hold. Raises pj.Error."""
        if self._silence is None:
            return
        if self._play and self._player is None:
            player = pj.AudioMediaPlayer()
            player.createPlayer(self._play, 0 if self._loop else pj.PJMEDIA_FILE_NO_LOOP)
            self._player = player
        if self._record and self._recorder is None:
            recorder = pj.AudioMediaRecorder()
            recorder.createRecorder(self._record)
            self._recorder = recorder
        self._remote = remote
        self._silence.startTransmit(remote)
        if self._player is not None:
            self._player.startTransmit(remote)
        if self._recorder is not None:
            remote.startTransmit(self._recorder)

    def close(self) -> None:
        """Destroy the ports now, not when the collector comes by: the recording is complete after this."""
        self._remote = self._silence = None
        for port in (self._player, self._recorder):
            if port is not None:
                port.__swig_destroy__(port)
        self._player = self._recorder = None
