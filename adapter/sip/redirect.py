"""What becomes of an INVITE before any lookup: who calls, and who is called.  I/O: none.

The caller is the user whose registered phone sent the INVITE, by its address and port; what From says is only checked
against that, never believed [paper §II.C]. A redirect server has no dialogs and reads no body, so a session
description it does not understand is the callee's affair [RFC 3261 §8.3].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.sip.naming import OwnHost, called_user, calling_user
from adapter.sip.refusal import Refusal
from adapter.sip.verdict import IncomingInvite

if TYPE_CHECKING:
    from adapter.sip.validate import ValidRequest


def decide(
    request: ValidRequest,
    *,
    source: tuple[str, int],
    callers: frozenset[str],
    is_own_host: OwnHost,
) -> IncomingInvite:
    """Judge an INVITE; `callers` are the users registered from its `source`.

    Refusal 403 when the phone is unknown or From names another user than its own, 481 inside a dialog (there is none
    here), 404 for a foreign host or what is no user name.
    """
    caller = calling_user(request, callers)
    if request.callee.tag:
        raise Refusal(481)
    return IncomingInvite(
        caller=caller,
        callee=called_user(request.uri, is_own_host),
        call_id=request.call_id,
        from_tag=request.caller.tag,
        source=source,
    )
