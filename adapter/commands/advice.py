"""What a caller can do about a call that came to nothing, by the status and sentence that his phone got.  I/O: none.

One status has several causes. The adapter's sentences tell them apart; the sentence of an adapter of another version is
not known here, and the status alone decides then.
"""

from __future__ import annotations

from typing import Final

from adapter.calls.events import Failure
from adapter.calls.outcomes import FAILURES, REFUSALS

_BY_SENTENCE: Final = {
    FAILURES[Failure.REVOKED][1]: "who runs the bootstrap server can release the name to a new key:"
    " secp2psip-bootstrap names release {callee}",
    FAILURES[Failure.CHANGED][1]: "ask {callee} by another way; if the new key is right:"
    " secp2psip contacts forget {callee}",
    REFUSALS["unverified"][1]: "if your key is new, {callee} may hold to the one before: there it helps to say"
    " secp2psip contacts forget {caller}",
}
_BY_STATUS: Final = {
    403: "secp2psip status shows how your name and your phones stand here",
    404: "check the spelling; a name is known once its user has registered",
    408: "{callee}'s phone did not answer the network: is it still switched on?",
    438: "secp2psip lookup {callee} shows which nodes disagree",
    480: "{callee}'s adapter is away, or no phone is registered with it: try again later",
    486: "try again later",
    503: "is the ring reachable? secp2psip ring",
    603: "{callee} declined, or takes calls from contacts alone (--accept there)",
}


def advice(status: int, sentence: str, *, caller: str, callee: str) -> str:
    """Return the hint for a call that ended with `status` and its reason phrase `sentence`, empty where none helps."""
    names = {"caller": caller, "callee": callee}
    known = (hint for text, hint in _BY_SENTENCE.items() if text.format(**names).lower() == sentence.lower())
    return next(known, _BY_STATUS.get(status, "")).format(**names)
