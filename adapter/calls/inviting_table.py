"""How a call goes on the caller's side: its rules, its states, its table.

[paper §II.C] Pure; `adapter.calls.inviting` does what the table says.

Two rules come before everything else.

1. *Only what the callee signed ends a call well, or ends it early with a "no".*  A REDIRECT counts if it is signed by
   the key that was rebuilt from the ring, addressed to this caller's key, and bound to an INVITE of this very call by
   the hash of its inner signature.  An ERROR counts if it is signed by that key and about an INVITE of this call.
2. *Everything unsigned is worth as much as silence.*  An unsigned ERROR, or a node that does not acknowledge, makes us
   look elsewhere at once instead of in a second.  Only when the holders were asked and no node is left that could
   answer is the call over early, with the outcome it would have had.  It counts at all only from a node that we asked,
   and the ring proves which node speaks.

The way of a call:

    LOOKING --found--> INVITED --REDIRECT--> DONE 302
       |                  |  nothing for a second, or word that the node is gone
       |                  v
       |              SEARCHING: every holder is asked for a newer lookup record
       |                  |  newer: INVITE again, there      none: keep listening
       |                  v
       |               WAITING --REDIRECT--> DONE 302
       |                  |  late, or nobody left who could answer
       v                  v
     DONE 404 438 480 503      DONE 480

An answer to an earlier INVITE counts as long as the call lasts: a new record says where else to ask, not that the old
place lies.  A call is given up `GIVE_UP_S` after it began; where a node acknowledged the INVITE the callee's adapter is
there and has a key to look up itself, so then we wait up to `ANSWER_S` longer, but no more than `LAST_S` in all.

The callee may ask for the INVITE once more with a cookie (ERROR `again`): our clock may be off, or its process young.
That is done once per node; its signed time then serves to judge the expiry of its REDIRECT.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

SEARCH_AFTER_S = 1.0
"""When holders are asked for a newer record, in seconds after the INVITE was sent."""
GIVE_UP_S = 2.8
"""When a call that nobody acknowledged is given up, in seconds after it began; the phone hears of it within 3."""
ANSWER_S = 3.0
"""How long an adapter may take to answer an INVITE that its node acknowledged, in seconds."""
LAST_S = 6.0
"""When any call is given up, in seconds after it began."""


class State(Enum):
    """Where a call stands."""

    LOOKING = auto()
    """The callee is being looked up."""
    INVITED = auto()
    """An INVITE is out, less than a second old."""
    SEARCHING = auto()
    """No answer so far; the holders are being asked for a newer record."""
    WAITING = auto()
    """Nothing is left to try but listening."""
    DONE = auto()
    """The outcome has been told."""


class Input(Enum):
    """What can happen to a call."""

    LOOKED_UP = auto()
    LOOKUP_FAILED = auto()
    DELIVERED = auto()
    UNDELIVERED = auto()
    SEARCHED = auto()
    LINE = auto()
    TIMER = auto()
    CANCEL = auto()


class Move(NamedTuple):
    """What is done on an input, and where that may lead."""

    action: str
    """The method that does it."""
    to: tuple[State, ...]
    """The states that it may end in."""


TABLE: Mapping[State, Mapping[Input, Move]] = {
    State.LOOKING: {
        Input.LOOKED_UP: Move("_begin", (State.INVITED, State.SEARCHING)),
        Input.LOOKUP_FAILED: Move("_fail", (State.DONE,)),
        Input.TIMER: Move("_give_up", (State.DONE,)),
        Input.CANCEL: Move("_cancel", (State.DONE,)),
    },
    State.INVITED: {
        Input.DELIVERED: Move("_be_patient", (State.INVITED,)),
        Input.UNDELIVERED: Move("_strike", (State.INVITED, State.SEARCHING)),
        Input.LINE: Move("_read", (State.INVITED, State.SEARCHING, State.DONE)),
        Input.TIMER: Move("_search", (State.SEARCHING,)),
        Input.CANCEL: Move("_cancel", (State.DONE,)),
    },
    State.SEARCHING: {
        Input.DELIVERED: Move("_be_patient", (State.SEARCHING,)),
        Input.UNDELIVERED: Move("_strike", (State.SEARCHING,)),
        Input.SEARCHED: Move("_go_on", (State.WAITING, State.DONE)),
        Input.LINE: Move("_read", (State.SEARCHING, State.DONE)),
        Input.TIMER: Move("_give_up", (State.DONE,)),
        Input.CANCEL: Move("_cancel", (State.DONE,)),
    },
    State.WAITING: {
        Input.DELIVERED: Move("_be_patient", (State.WAITING,)),
        Input.UNDELIVERED: Move("_strike", (State.WAITING, State.DONE)),
        Input.LINE: Move("_read", (State.WAITING, State.DONE)),
        Input.TIMER: Move("_give_up", (State.DONE,)),
        Input.CANCEL: Move("_cancel", (State.DONE,)),
    },
    State.DONE: {},
}
"""An input that stands not in a state's row came too late or too early there: it is counted and changes nothing."""
