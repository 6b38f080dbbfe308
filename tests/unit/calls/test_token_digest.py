"""The digest of a call's token: it knows the call again and does not give the token away."""

from __future__ import annotations

import pytest

from adapter.calls.contacts import digest_in, token_digest, uri_of
from overlay.wire.messages import Contact

TOKEN = bytes(range(16))


@pytest.mark.parametrize("text", ["192.0.2.7:5062;udp", "192.0.2.7:5062;tcp"])
def test_uri_of_a_302_bears_the_token_of_that_digest(text: str):
    uri = uri_of(Contact.parse(text), "bob", TOKEN)
    assert digest_in(uri) == digest_in(f"<{uri}>") == digest_in(f"{uri};transport=udp") == token_digest(TOKEN)


@pytest.mark.parametrize(
    "uri", ["sip:bob@192.0.2.7:5062", "sip:bob@192.0.2.7;p2p=", "sip:bob@192.0.2.7;p2p=short", "sip:b;xp2p=" + "A" * 22]
)
def test_uri_without_a_token_has_no_digest(uri: str):
    assert digest_in(uri) == ""


def test_digest_does_not_give_the_token_away():
    assert TOKEN.hex() not in token_digest(TOKEN)
    assert token_digest(TOKEN) != token_digest(bytes(16))
