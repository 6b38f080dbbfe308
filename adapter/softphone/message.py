"""What every line between the softphone and its child has in common: bounded, printable text.

I/O: none.
"""

from dataclasses import dataclass, fields
from typing import Final

from overlay.errors import LocalError

MAX_LINE_BYTES: Final = 65_536
"""Cap on one line with its newline; eight texts of MAX_TEXT_CHARS, each character escaped, stay below it."""
MAX_TEXT_CHARS: Final = 1024
"""Cap on any text inside a message; what comes from a peer is cut by `clip` first."""
MAX_ITEMS: Final = 16
"""Cap on a tuple inside a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A line of either direction: every text bounded and free of control characters."""

    def __post_init__(self) -> None:
        """Hold every text to its cap; LocalError, since the sender's own code built it."""
        for part in fields(self):
            value = getattr(self, part.name)
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and (len(text) > MAX_TEXT_CHARS or not text.isprintable()):
                    raise LocalError(f"{type(self).__name__}.{part.name} is over-long or not printable")
            if isinstance(value, tuple) and len(value) > MAX_ITEMS:
                raise LocalError(f"{type(self).__name__}.{part.name} has more than {MAX_ITEMS} items")


def clip(text: str) -> str:
    """Make any text fit for a message: other characters than printable ones become `?`, and what is too long is cut."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MAX_TEXT_CHARS])
