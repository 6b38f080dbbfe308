"""Microphone and speaker as two processes with short pipes.  I/O: processes, pipes.  Run by the child process alone.

Each end has one thread that does nothing but wait on its pipe, and a queue of at most MOST_FRAMES frames between it and
the call: a full queue loses its oldest frame, because sound that waits is delay that stays. The pipes are cut to one
page for the same reason. An end whose program goes away falls silent and says so once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from adapter.softphone.devices import FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.softphone.devices import SoundEnd

MOST_FRAMES: Final = 3
"""Frames of 20 ms that wait at either end; with two now and then one comes too late, measured."""
PIPE_BYTES: Final = 4096
"""The shortest pipe there is: 128 ms of sound, if ever it fills."""
SILENCE: Final = bytes(FRAME_BYTES)


class Microphone:
    """Frames of sound from a program that records."""

    def __init__(self, end: SoundEnd, *, on_lost: Callable[[], None]) -> None:
        """Start the program; OSError where it is not there. `on_lost` is called from another thread."""
        self._frames: deque[bytes] = deque(maxlen=MOST_FRAMES)
        self._process = subprocess.Popen(  # noqa: S603  programs of devices.py, no shell
            end.recording(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        _shorten(self._pipe)
        self._on_lost = on_lost
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="microphone", daemon=True)
        self._thread.start()

    def take(self) -> bytes:
        """Return the next frame, silence where none has come."""
        try:
            return self._frames.popleft()
        except IndexError:
            return SILENCE

    def close(self) -> None:
        """End the program."""
        self._closing = True
        _end(self._process)
        self._thread.join()

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := os.read(self._pipe, PIPE_BYTES):
                rest += data
                while len(rest) >= FRAME_BYTES:
                    self._frames.append(rest[:FRAME_BYTES])
                    rest = rest[FRAME_BYTES:]
        if not self._closing:
            self._on_lost()


class Speaker:
    """A program that plays frames of sound."""

    def __init__(self, end: SoundEnd, *, on_lost: Callable[[], None]) -> None:
        """Start the program; OSError where it is not there. `on_lost` is called from another thread."""
        self._frames: deque[bytes] = deque(maxlen=MOST_FRAMES)
        self._wake = threading.Condition()
        self._process = subprocess.Popen(  # noqa: S603  programs of devices.py, no shell
            end.playing(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        _shorten(self._pipe)
        self._on_lost = on_lost
        self._closing = False
        self._thread = threading.Thread(target=self._write, name="speaker", daemon=True)
        self._thread.start()

    def give(self, frame: bytes) -> None:
        """Have a frame played after those that wait."""
        with self._wake:
            self._frames.append(frame)
            self._wake.notify()

    def close(self) -> None:
        """End the program."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        _end(self._process)
        self._thread.join()

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while (frame := self._next()) is not None:
                os.write(self._pipe, frame)
        if not self._closing:
            self._on_lost()

    def _next(self) -> bytes | None:
        with self._wake:
            while not self._frames and not self._closing:
                self._wake.wait()
            return None if self._closing else self._frames.popleft()


def _shorten(pipe: int) -> None:
    with contextlib.suppress(OSError):  # longer is slower, not wrong
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # it holds nothing that would have to be saved
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
