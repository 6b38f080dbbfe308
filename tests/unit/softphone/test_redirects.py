"""Which 302 a call follows, and that it is one."""

import pytest

from adapter.softphone.redirects import NotFollowed, Redirects

PRINT = "ab" * 32
PLAIN = "SIP/2.0 302 Moved Temporarily\r\nContact: <sip:bob@192.0.2.7:5062>\r\n\r\n"
SECURE = f"SIP/2.0 302 Moved\r\nContact: <sip:bob@192.0.2.7:5063;transport=tls>;secp2psip-fp={PRINT}\r\n\r\n"
SELECTED = "<sip:bob@192.0.2.7>"


def rules(**more):
    return Redirects(own_host="192.0.2.1", **more)


def test_a_contact_is_followed_once():
    redirects = rules()
    assert redirects.judge(PLAIN, selected=SELECTED).address == "192.0.2.7:5062"
    with pytest.raises(NotFollowed, match="a second redirect") as refused:
        redirects.judge(PLAIN, selected=SELECTED)
    assert refused.value.cause == "redirect refused"


def test_a_call_that_goes_on_in_anothers_place_has_used_up_its_redirect():
    redirects = rules(seen=1)
    with pytest.raises(NotFollowed):
        redirects.judge(PLAIN, selected=SELECTED)


@pytest.mark.parametrize(
    ("more", "response", "cause"),
    [
        ({}, SECURE, "redirect refused"),
        ({"can_encrypt": True, "must_encrypt": True}, PLAIN, "not encrypted"),
        ({"forbidden": frozenset({"192.0.2.7:5062"})}, PLAIN, "redirect refused"),
        ({}, "SIP/2.0 302 Moved\r\n\r\n", "redirect refused"),
    ],
)
def test_what_is_not_followed_says_why(more, response, cause):
    with pytest.raises(NotFollowed) as refused:
        rules(**more).judge(response, selected=SELECTED)
    assert refused.value.cause == cause


def test_a_certificate_is_named_where_both_can_encrypt():
    assert rules(can_encrypt=True, must_encrypt=True).judge(SECURE, selected=SELECTED).fingerprint == PRINT
