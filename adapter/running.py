"""Run one command's coroutine: signals, the last error, the exit code.  I/O: signals, the event loop.

The first Ctrl-C (or SIGTERM) cancels the command, which then ends its call and leaves the ring; a second one ends the
process at once. A child process notices by the end of its socketpair, the ring by silence.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from adapter.logged import logged
from adapter.problems import ExitCode
from adapter.screen import Screen

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(command: Coroutine[Any, Any, ExitCode], screen: Screen) -> ExitCode:
    """Run `command` to its end and return the process's exit code; every error is told on the screen, none escapes."""
    try:
        with logged(screen):
            return asyncio.run(_main(command, screen))
    except asyncio.CancelledError:
        screen.rest()
        screen.show({"event": "interrupted"})
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return nobody_reads()
    except Exception as error:  # noqa: BLE001 -- the one door through which every error of a command leaves
        return screen.show_error(error)


def nobody_reads() -> ExitCode:
    """Put up with a reader of our output who went away (`| head`): nobody is left to tell, now and at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.FAILED


async def _main(command: Coroutine[Any, Any, ExitCode], screen: Screen) -> ExitCode:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            screen.rest()
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(ExitCode.INTERRUPTED)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        return await task
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
