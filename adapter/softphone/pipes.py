"""Microphone and speaker as two processes with short pipes.  I/O: processes, pipes.  Run by the child process alone.

How much sound waits between them and the call is decided in valves.py. An end whose program goes away falls silent and
says so once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import termios
import threading
from array import array
from typing import TYPE_CHECKING, Final

from adapter.softphone.valves import Inlet, Outlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.softphone.devices import SoundEnd

PAGE_BYTES: Final = 4096
"""The shortest pipe there is: 128 ms of sound, if ever it fills. Enough for a reader that takes all there is."""
SPEAKER_PAGES: Final = 4
"""A page takes nothing more once it was filled, until all of it was read: what may wait has to fit beside it."""


class Microphone:
    """Frames of sound from a program that records; one thread waits for them."""

    def __init__(self, end: SoundEnd, *, on_lost: Callable[[], None]) -> None:
        """Start the program; OSError where it is not there. `on_lost` is called from another thread."""
        self._inlet = Inlet()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603  programs of devices.py, no shell
            end.recording(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        _size(self._pipe, PAGE_BYTES)
        self._on_lost = on_lost
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="microphone", daemon=True)
        self._thread.start()

    @property
    def holes(self) -> int:
        """Frames that came too late, or too many at once."""
        return self._inlet.holes

    def take(self) -> bytes:
        """Return the next frame, silence where none has come."""
        with self._lock:
            return self._inlet.take()

    def close(self) -> None:
        """End the program."""
        self._closing = True
        _end(self._process)
        self._thread.join()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._pipe, PAGE_BYTES):
                with self._lock:
                    self._inlet.put(data)
        if not self._closing:
            self._on_lost()


class Speaker:
    """A program that plays frames of sound."""

    def __init__(self, end: SoundEnd, *, on_lost: Callable[[], None]) -> None:
        """Start the program; OSError where it is not there. `on_lost` is called from the thread that gives frames."""
        self._outlet = Outlet()
        self._process = subprocess.Popen(  # noqa: S603  programs of devices.py, no shell
            end.playing(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        _size(self._pipe, SPEAKER_PAGES * PAGE_BYTES)
        os.set_blocking(self._pipe, False)
        self._on_lost = on_lost
        self._is_lost = False

    @property
    def holes(self) -> int:
        """Frames for which there was no room."""
        return self._outlet.holes

    def give(self, frame: bytes) -> None:
        """Have a frame played after those that wait; never waits itself."""
        if self._is_lost:
            return
        data = self._outlet.offer(frame, _unread(self._pipe))
        try:
            if data:
                os.write(self._pipe, data)  # under a page: all of it, or nothing
            elif self._process.poll() is not None:  # it took nothing, and will take nothing any more
                raise BrokenPipeError
        except BlockingIOError:
            self._outlet.refused()
        except OSError:
            self._is_lost = True
            self._on_lost()

    def close(self) -> None:
        """End the program."""
        self._is_lost = True
        _end(self._process)


def _size(pipe: int, size_bytes: int) -> None:
    with contextlib.suppress(OSError):  # longer is slower, not wrong
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size_bytes)


def _unread(pipe: int) -> int:
    """Return how many bytes lie in a pipe, asked at the end that writes [pipe(7)]."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # it holds nothing that would have to be saved
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
