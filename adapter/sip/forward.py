"""The safety net for phones that mis-follow a 302: a stateless forward, as narrow as it can be.  I/O: none.

Some phones (linphone with a stock account) send the redirected INVITE to their registrar again and not to the Contact
that they were given. Such a request is passed on, and nothing else is. The rules first.

1.  Only INVITE outside a dialog, and CANCEL and the ACK of a refusal for an INVITE that was passed on.
2.  Only from the very flow that got a 302 here, only in the name of the caller that the 302 was for, only to exactly a
    Contact of that 302, and an INVITE only within 60 s of it. The address comes from the 302, never from the request.
3.  Only to another host's or phone's UDP port, or TCP port where the Contact says so: never to the adapter itself,
    never to loopback from a network address, never to a group, never where a Route header points.
4.  The branch is HMAC(process key, top Via as received, CSeq number): a retransmission, the CANCEL and the ACK get the
    INVITE's own without anything being kept, and nobody else can make one [RFC 3261 §16.11].
5.  A response is passed back only if it comes from the host that was called, names this adapter in its top Via, its
    branch verifies over the Via below, and the INVITE is one of the last five minutes. It goes to the flow that the
    INVITE came by, whatever else it says.
6.  No Record-Route: the ACK of a 2xx, BYE and all that follows go from phone to phone.
7.  Messages of one call are counted, grants are few, the oldest goes first.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from adapter.sip.grammar import address_of, parse_number
from adapter.sip.matching import Flow
from adapter.sip.message import MAX_MESSAGE_BYTES, Response, parse_response, without_lines
from adapter.sip.naming import OwnHost, user_of
from adapter.sip.refusal import Refusal
from adapter.sip.uri import SipUri, parse_name_addr, parse_uri
from adapter.sip.validate import MAX_CSEQ
from adapter.sip.via import MAGIC_COOKIE, Via, parse_via, stamp_via
from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from adapter.sip.validate import ValidRequest

FORWARD_KEY_BYTES: Final = 32
GRANT_S: Final = 60.0
"""How long after its 302 an INVITE may follow."""
CALL_S: Final = 300.0
"""How long a phone may ring: its answer, a CANCEL and an ACK pass until then, counted from the last request."""
MAX_GRANTS: Final = 256
MAX_REQUESTS: Final = 64
"""Requests of one grant: an INVITE, its CANCEL and ACKs with every retransmission of RFC 3261 are 33."""
MAX_RESPONSES: Final = 96
"""Responses to one INVITE and its CANCEL, retransmissions included."""
MAX_INVITES: Final = 3
"""INVITEs of one grant: a phone may repeat one that was refused for a Require or a lack of credentials."""
FORWARDED: Final = frozenset({"INVITE", "ACK", "CANCEL"})
_ANSWERED: Final = frozenset({"INVITE", "CANCEL"})
_BRANCH_BYTES: Final = 20
_TRANSPORTS: Final[Mapping[str, Literal["UDP", "TCP"]]] = {"udp": "UDP", "tcp": "TCP"}
"""What a call is passed on by, by the transport parameter of the Contact. TLS would need a name to check."""

Datagram = tuple[bytes, Flow]


@dataclass(slots=True, kw_only=True)
class Grant:
    """One Contact of one 302: who may be forwarded where."""

    flow: Flow
    """Where the 302 went."""
    caller: str
    contact: str
    """The URI as the 302 spelt it."""
    uri: SipUri
    target: Flow
    until: float
    requests_left: int = MAX_REQUESTS
    calls: dict[str, Call] = field(default_factory=dict)
    """By the branch that we gave them."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One INVITE that was passed on."""

    until: float
    back: Flow
    """Where its responses go."""
    responses_left: int = MAX_RESPONSES


class Forward:
    """Passes on what a phone sends to the wrong place after a 302, and what is answered to it."""

    def __init__(self, *, key: bytes, address: Callable[[], tuple[str, int]], is_own_host: OwnHost) -> None:
        """Forward from `address()`, the adapter's over UDP and TCP; `key` is 32 random bytes of this process."""
        if len(key) != FORWARD_KEY_BYTES:
            raise LocalError(f"the key of the branches has {FORWARD_KEY_BYTES} bytes")
        self._key, self._address, self._is_own_host = key, address, is_own_host
        self._grants: OrderedDict[tuple[Flow, str], Grant] = OrderedDict()

    def __len__(self) -> int:
        return len(self._grants)

    def grant(self, flow: Flow, *, caller: str, contacts: Iterable[str], now: float) -> None:
        """Note that a 302 with these Contacts goes to a phone of `caller`."""
        for contact in contacts:
            uri = parse_uri(contact)
            target = self._target(uri)
            if target is None:
                continue
            self._grants.pop((flow, contact), None)
            self._grants[flow, contact] = Grant(
                flow=flow, caller=caller, contact=contact, uri=uri, target=target, until=now + GRANT_S
            )
            if len(self._grants) > MAX_GRANTS:
                self._grants.popitem(last=False)

    def request(
        self, request: ValidRequest, flow: Flow, now: float, *, admit: Callable[[], None] | None = None
    ) -> Datagram | None:
        """Return what to send on and where; None when this request is not to be forwarded.

        `admit` is called before a call begins and may refuse its sender. Refusal when it cannot go any further.
        """
        if request.method not in FORWARDED or not self._grants:
            return None
        if self._is_own_host(request.uri.host, request.uri.port):  # what phones do all day is not searched for
            return None
        grant = self._find(request.uri, flow)
        if grant is None:
            return None
        via = stamp_via(request.raw.value("via"), host=flow.host, port=flow.port)
        branch = self._branch(parse_via(via), request.cseq)
        call = grant.calls.get(branch)
        if call is not None and call.until <= now:
            del grant.calls[branch]
            call = None
        if call is None and (request.method != "INVITE" or request.callee.tag or grant.until <= now):
            return None
        self._check(request, grant)
        if call is None:
            if admit is not None:
                admit()
            if len(grant.calls) >= MAX_INVITES:
                raise Refusal(503, "Too many tries at one redirect")
            port = flow.port if flow.is_reliable or "rport" in request.via.parameters else request.via.port
            back = Flow(transport=flow.transport, host=flow.host, port=port, connection=flow.connection)
            call = grant.calls[branch] = Call(until=now, back=back)
        call.until = now + CALL_S
        grant.requests_left -= 1
        return self._spell(request, grant, via, branch), grant.target

    def response(self, data: bytes, flow: Flow, now: float) -> Datagram | None:
        """Return what to send back and where; None for a response to nothing of ours. RemoteError when malformed."""
        if flow.transport not in _TRANSPORTS.values() or not self._grants:
            return None
        response = parse_response(data)
        vias = response.values("via")
        number, _, method = response.value("cseq").partition(" ")
        if len(vias) < 2 or method.strip() not in _ANSWERED:  # noqa: PLR2004 - ours and the phone's
            return None
        cseq = parse_number(number, "the CSeq number", most=MAX_CSEQ)
        top, below = parse_via(vias[0]), parse_via(vias[1])
        host, port = self._address()
        if (top.transport, top.host.strip("[]"), top.port) != (flow.transport, host, port):
            return None
        branch = self._branch(below, cseq)
        if not hmac.compare_digest(top.branch.encode(), branch.encode()):
            return None
        call = self._call_of(branch, flow, now)
        if call is None or not call.responses_left:
            return None
        call.responses_left -= 1
        return _spell_response(response, vias[1:]), call.back

    def _target(self, uri: SipUri) -> Flow | None:
        own_host, own_port = self._address()
        own, target = address_of(own_host), address_of(uri.host)
        port = uri.port or 5060
        if own is None or target is None or own.version != target.version or own.is_unspecified:
            return None
        transport = _TRANSPORTS.get(uri.transport)
        if uri.scheme != "sip" or transport is None or (own, own_port) == (target, port):
            return None
        if target.is_multicast or target.is_unspecified or str(target) == "255.255.255.255":
            return None
        if target.is_loopback and not own.is_loopback:
            return None
        return Flow(transport=transport, host=str(target), port=port)

    def _find(self, uri: SipUri, flow: Flow) -> Grant | None:
        for (granted, _), grant in reversed(self._grants.items()):
            if granted == flow and _is_exactly(uri, grant.uri):
                return grant
        return None

    def _call_of(self, branch: str, flow: Flow, now: float) -> Call | None:
        for grant in self._grants.values():
            call = grant.calls.get(branch)
            if call is None or call.until <= now:
                continue
            if (grant.target.transport, grant.target.host) == (flow.transport, flow.host):
                return call
        return None

    def _check(self, request: ValidRequest, grant: Grant) -> None:
        if user_of(request.caller.uri) != grant.caller:
            raise Refusal(403, "From names another user")
        if request.hops_left == 0:
            raise Refusal(483)
        if required := request.raw.values("proxy-require"):
            raise Refusal(420, headers=(("Unsupported", ", ".join(required)),))
        routes = [parse_name_addr(value).uri for value in request.raw.values("route")]
        if any(route is None or not self._is_own_host(route.host, route.port) for route in routes):
            raise Refusal(403, "No route leads through here")
        if not grant.requests_left:
            raise Refusal(503, "Too many tries at one redirect")

    def _branch(self, via: Via, cseq: int) -> str:
        """Authenticate what a Via means and not how it is spelt: phones answer with parameters in another order."""
        parts = (via.transport, via.host, via.port, via.branch, *(via.parameters.get(n) for n in ("received", "rport")))
        text = "\n".join(str(part) for part in (*parts, cseq))
        return MAGIC_COOKIE + hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[: 2 * _BRANCH_BYTES]

    def _spell(self, request: ValidRequest, grant: Grant, via: str, branch: str) -> bytes:
        host, port = self._address()
        shown = f"[{host}]" if ":" in host else host
        raw = request.raw
        lines = (
            f"{request.method} {grant.contact} SIP/2.0",
            f"Via: SIP/2.0/{grant.target.transport} {shown}:{port};branch={branch}",
            *(f"Via: {value}" for value in (via, *raw.values("via")[1:])),
            f"Max-Forwards: {request.hops_left - 1}",
            *without_lines(raw.lines, frozenset({"via", "v", "max-forwards", "route"})),
        )
        return "\r\n".join((*lines, "", "")).encode(raw.charset) + _body(raw.body, raw.value("content-length"))


def _spell_response(response: Response, vias: list[str]) -> bytes:
    lines = (
        response.start,
        *(f"Via: {value}" for value in vias),
        *without_lines(response.lines, frozenset({"via", "v"})),
    )
    length = response.value("content-length")
    body = _body(response.body, length)
    if not length:  # a datagram can do without, a connection cannot [RFC 3261 §18.3]
        lines = (*lines, f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode(response.charset) + body


def _body(body: bytes, length: str) -> bytes:
    """Cut what lies behind the declared end, so that nothing rides along [RFC 3261 §18.3]."""
    if not length:
        return body
    declared = parse_number(length.strip(), "Content-Length", most=MAX_MESSAGE_BYTES)
    if declared > len(body):
        raise RemoteError("the body is shorter than Content-Length says")
    return body[:declared]


def _is_exactly(uri: SipUri, granted: SipUri) -> bool:
    """Tell whether a Request-URI is a Contact, every parameter included; `transport=udp` may be said or left out."""
    mine, theirs = ({k: v for k, v in one.parameters.items() if k != "transport"} for one in (uri, granted))
    return (
        (uri.scheme, uri.userinfo, uri.host, uri.port, uri.headers, uri.transport, mine)
        == (granted.scheme, granted.userinfo, granted.host, granted.port, granted.headers, granted.transport, theirs)
    )  # fmt: skip
