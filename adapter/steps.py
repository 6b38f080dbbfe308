"""The protocol steps that people can watch: which flow, which step, when.  I/O: none but the clock."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, Final, Literal

Flow = Literal["register", "call", "answer", "rotate", "revoke"]
"""A registration, a call of one of our users, or the answer to somebody else's."""
Step = Callable[[str, dict[str, Any]], None]
"""Reports one step: its name, and details fit for JSON."""
_NUMBERS: Final = itertools.count(1)


class Steps:
    """Emits each step with its time since its flow began."""

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._emit = emit

    def begin(self, flow: Flow) -> Step:
        """Begin a flow and return the function that reports its steps."""
        number, began = f"{flow}-{next(_NUMBERS)}", time.monotonic()

        def step(name: str, detail: dict[str, Any]) -> None:
            at_ms = round((time.monotonic() - began) * 1000, 1)
            self._emit({"event": "step", "flow": flow, "id": number, "step": name, "at_ms": at_ms, "detail": detail})

        return step

    def receipt(self, receipt: dict[str, Any]) -> None:
        """Emit what a call attempt rested on and how it ended."""
        self._emit({"event": "receipt"} | receipt)
