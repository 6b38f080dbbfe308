"""How answers leave: spelt once, kept by their transaction, sent along their flow.  I/O: none.

To tags are a keyed hash of the request: one for all answers of a transaction, and the same again where nothing was
kept, so that a request refused twice is refused in the same words [RFC 3261 §8.2.6.2, §8.2.7].
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from adapter.sip.message import Request, build_response
from adapter.sip.transaction import Event
from adapter.sip.via import stamp_via
from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from adapter.sip.matching import Exchange, Exchanges, Flow
    from adapter.sip.refusal import Headers, Refusal

TRYING: Final = 100
SERVER: Final = ("Server", "secp2psip")
"""Tells a phone's log who has answered: without a version, and not to strangers [RFC 3261 §20.35]."""
TAG_BYTES: Final = 8
TAG_KEY_BYTES: Final = 32


class Outbox:
    """Everything that is to be sent, and what was counted on the way."""

    def __init__(self, exchanges: Exchanges, *, tag_key: bytes) -> None:
        """Answer the transactions in `exchanges`; `tag_key` is 32 random bytes."""
        if len(tag_key) != TAG_KEY_BYTES:
            raise LocalError(f"the key of the To tags has {TAG_KEY_BYTES} bytes")
        self._exchanges = exchanges
        self._tag_key = tag_key
        self._waiting: list[tuple[bytes, Flow]] = []
        self.counters: Counter[str] = Counter()

    def take(self) -> list[tuple[bytes, Flow]]:
        """Return what is to be sent now, and forget it."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def tag(self, raw: Request) -> str:
        """Return the To tag of every answer to this request, 16 hexadecimal digits."""
        text = "\n".join(raw.value(name) for name in ("via", "call-id", "from", "cseq"))
        return hashlib.blake2s(text.encode(), key=self._tag_key, digest_size=TAG_BYTES).hexdigest()

    def answer(self, exchange: Exchange, status: int, reason: str, now: float, headers: Headers = ()) -> None:
        """Answer a transaction; does nothing when it has its final answer already."""
        if exchange.request is None:
            return
        data = build_response(
            exchange.request.raw,
            status=status,
            reason=reason,
            top_via=_top_via(exchange.request.raw, exchange.flow),
            to_tag="" if status == TRYING else exchange.to_tag,
            headers=headers if status == TRYING else (*headers, SERVER),
        )
        self.counters[f"answered {status}"] += 1
        self._send(self._exchanges.answer(exchange, status, data, now), exchange.flow)

    def refuse(self, exchange: Exchange, refusal: Refusal, now: float) -> None:
        """Answer a transaction with a refusal."""
        self.answer(exchange, refusal.status, refusal.reason, now, refusal.headers)

    def refuse_stateless(self, raw: Request, flow: Flow, refusal: Refusal) -> None:
        """Refuse and keep nothing; an ACK and what has no Via are dropped [RFC 3261 §8.2.7]."""
        if raw.method == "ACK" or not raw.value("via"):
            self.counters[f"dropped: {refusal.reason}"] += 1
            return
        data = build_response(
            raw,
            status=refusal.status,
            reason=refusal.reason,
            top_via=_top_via(raw, flow),
            to_tag=self.tag(raw),
            headers=refusal.headers,
        )
        self.counters[f"refused {refusal.status}"] += 1
        self._send(data, flow)

    def relay(self, data: bytes, flow: Flow) -> None:
        """Pass a message on as it is."""
        self._send(data, flow)

    def repeat(self, exchange: Exchange, now: float) -> None:
        """Give a retransmitted request its last answer again, if it has one."""
        self.counters["retransmissions"] += 1
        self._send(self._exchanges.feed(exchange, Event.REQUEST, now), exchange.flow)

    def handle_timer(self, now: float) -> None:
        """Resend and end what is due."""
        resent = self._exchanges.handle_timer(now)
        self.counters["resent by timer"] += len(resent)
        self._waiting.extend(resent)

    def _send(self, data: bytes | None, flow: Flow) -> None:
        if data is not None:
            self._waiting.append((data, flow))


def _top_via(raw: Request, flow: Flow) -> str:
    try:
        return stamp_via(raw.value("via"), host=flow.host, port=flow.port)
    except RemoteError:
        # the request is refused for it: its sender may know its own Via again
        return raw.value("via")
