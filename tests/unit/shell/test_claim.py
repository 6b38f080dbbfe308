"""Whether a call that comes in is the one that the caller's adapter announced."""

from __future__ import annotations

import pytest

from adapter.calls.contacts import digest_in
from adapter.commands.conversation import flaw_in_call
from adapter.softphone.events import Incoming

PRINT = "0a" * 32
URI = "sip:bob@192.0.2.7:5062;p2p=Zm9vYmFyYmF6cXV1eHF1dQ"
ANSWER = {"caller": "alice", "expires_at": 160.0, "fingerprint": ""}


def incoming(*, fingerprint: str = "") -> Incoming:
    return Incoming(at=1.0, remote_uri="sip:alice@h", request_uri=URI, source="h:1", fingerprint=fingerprint)


def flaw(*, caller: str = "alice", fingerprint: str = "", now: float = 100.0) -> str:
    return flaw_in_call(incoming(fingerprint=fingerprint), caller, ANSWER, now=now)


def test_the_announced_caller_in_the_announced_way_is_taken():
    assert flaw() == ""
    assert flaw(fingerprint=PRINT) == ""  # better than announced


def test_the_announced_certificate_is_taken():
    assert flaw_in_call(incoming(fingerprint=PRINT), "alice", ANSWER | {"fingerprint": PRINT}, now=100.0) == ""


@pytest.mark.parametrize(
    ("shown", "why"), [("", "comes in the clear"), ("0b" * 32, "shows another certificate than alice's adapter named")]
)
def test_no_other_certificate_is(shown, why):
    answer = ANSWER | {"fingerprint": PRINT}
    assert why in flaw_in_call(incoming(fingerprint=shown), "alice", answer, now=100.0)


def test_nobody_else_no_later_and_nothing_unannounced_is():
    assert flaw(caller="eve") == "the call was announced for alice"
    assert flaw(now=160.0) == "the call was announced too long ago"
    assert flaw_in_call(incoming(), "alice", None, now=100.0) == "no adapter announced this call"


def test_a_request_uri_without_a_token_bears_no_digest():
    assert digest_in("sip:bob@192.0.2.7:5062") == ""
    assert len(digest_in(URI)) == 16
