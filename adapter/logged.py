"""What the rooms log becomes a warning on the screen, in its form and above its moving line.  I/O: standard error.

Rooms that know no screen write to Python's log. Without a handler that is a bare line on standard error, which neither
a person nor a program can tell from anything else. A fault's traceback stays there: it is for who mends it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter.screen import Screen


@contextlib.contextmanager
def logged(screen: Screen) -> Iterator[None]:
    """Show what is logged as a warning or worse, as long as the block runs."""
    handler = _OnScreen(screen)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _OnScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        try:
            self._screen.show({"event": "warning", "text": record.getMessage(), "hint": ""})
            if record.exc_info:
                traceback.print_exception(record.exc_info[1], file=sys.stderr)
        except Exception:  # noqa: BLE001 -- as logging's own handlers: a line that cannot be shown stops nobody
            self.handleError(record)
