"""Which user of this adapter a request is about.  I/O: none.

An AOR is the user part of a SIP URI in its one spelling; the host part says only whether this adapter is meant, and an
AOR's port means nothing [RFC 3261 §10.3 step 5, §19.1.1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from adapter.sip.refusal import Refusal, explain
from overlay.errors import RemoteError
from overlay.trust.identity import parse_aor

if TYPE_CHECKING:
    from adapter.sip.uri import SipUri
    from adapter.sip.validate import ValidRequest

OwnHost = Callable[[str, int | None], bool]
"""Tells whether a URI's host and port, None when it has none, are this adapter."""


def user_of(uri: SipUri | None) -> str | None:
    """Return the name in the user part of a URI, whatever its host, None when it holds none."""
    try:
        return None if uri is None else parse_aor(uri.user)
    except RemoteError:
        return None


def called_user(uri: SipUri, is_own_host: OwnHost) -> str:
    """Return the user that a Request-URI names; Refusal 404 for another host or what is no user name."""
    if not is_own_host(uri.host, uri.port):
        raise Refusal(404, "No such address here")
    user = user_of(uri)
    if user is None:
        raise Refusal(404, "No such user name")
    return user


def calling_user(request: ValidRequest, callers: frozenset[str]) -> str:
    """Return the user that an INVITE comes from, one of those registered from its source.

    Refusal 403 when there is none or From names another.
    """
    if not callers:
        warning = "register this phone with the adapter before calling"
        raise Refusal(403, "This phone is not registered here", headers=explain(warning=warning, retry_after=None))
    user = user_of(request.caller.uri)
    if user is None or user not in callers:
        warning = "From must name the user that this phone is registered for"
        raise Refusal(403, "From names another user", headers=explain(warning=warning, retry_after=None))
    return user


def registering_user(request: ValidRequest, *, serves: Callable[[str], bool], is_own_host: OwnHost) -> str:
    """Return the user that a REGISTER is for.

    Refusal 404 for another host or a user that this adapter does not serve, 403 when another user sent it.
    """
    if request.callee.uri is None:
        raise RemoteError("To is not a SIP URI")
    if not is_own_host(request.uri.host, request.uri.port) or not is_own_host(request.callee.uri.host, None):
        raise Refusal(404, "This adapter serves another address")
    user = user_of(request.callee.uri)
    if user is None or not serves(user):
        raise Refusal(404, "No such user on this adapter")
    if user_of(request.caller.uri) != user:
        raise Refusal(403, "From names another user")
    return user
