"""What becomes of a node that a look-up hears of.  I/O: none.

Named, it is NEW; asked, it is ASKED, and after one timeout LATE; either way it has ANSWERED or FAILED in the end.
"""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """Where a candidate stands."""

    NEW = "new"
    """Named, by us or by somebody else, and not asked."""
    ASKED = "asked"
    """Asked, and its answer not overdue."""
    LATE = "late"
    """Overdue: others are asked meanwhile, and it still counts if it answers."""
    ANSWERED = "answered"
    """It proved its id and said whom it knows."""
    FAILED = "failed"
    """It let the last retransmission go by, spoke nonsense, or another address proved to be that id's."""
