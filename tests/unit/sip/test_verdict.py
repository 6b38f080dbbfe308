"""Verdicts of the service: checked when they are made, spelt for a phone's display."""

from __future__ import annotations

import pytest

from adapter.sip.refusal import explain
from adapter.sip.verdict import InviteVerdict, RegisterVerdict, headers_of, phrase_of
from overlay.errors import LocalError


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 200},
        {"status": 302},
        {"status": 183},
        {"status": 700},
        {"status": 404, "contacts": ("sip:a@h",)},
        {"contacts": ("sip:a@h",) * 3},
        {"contacts": ("tel:+1",)},
        {"contacts": ("sip:a@h>\r\nX: y",)},
        {"contacts": ("sip:a@h\r\nX: y",)},
        {"status": 404, "retry_after": -1},
    ],
)
def test_an_invite_verdict_that_cannot_be_sent_is_our_own_mistake(fields):
    with pytest.raises(LocalError):
        InviteVerdict(**fields)


@pytest.mark.parametrize("status", [100, 202, 302, 700])
def test_a_register_verdict_is_200_or_a_refusal(status):
    with pytest.raises(LocalError):
        RegisterVerdict(status=status)


def test_a_phrase_is_the_services_own_or_the_usual_one():
    assert phrase_of(InviteVerdict(status=404, reason="Nobody is called bob")) == "Nobody is called bob"
    assert phrase_of(InviteVerdict(status=404)) == "Not Found"
    assert phrase_of(InviteVerdict(status=499)) == "Refused"


def test_a_token_in_a_contact_reaches_the_phone_as_it_is():
    contact = "sip:bob@192.0.2.7:5062;x=00ff"
    assert headers_of(InviteVerdict(contacts=(contact,))) == (("Contact", f"<{contact}>"),)


def test_a_warning_is_quoted_and_cannot_break_its_line():
    headers = explain(warning='say "hi" \\ \r\nX: y', retry_after=None)
    assert headers == (("Warning", '399 secp2psip "say \\"hi\\" \\\\   X: y"'),)
