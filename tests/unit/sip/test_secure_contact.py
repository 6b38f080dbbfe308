"""What a phone says of its TLS door in REGISTER, and what a caller's phone is told of it in a 302."""

from __future__ import annotations

import pytest

from adapter.sip.binding import read_contacts
from adapter.sip.verdict import InviteVerdict, headers_of
from overlay.errors import LocalError

PRINT = "0a" * 32
URI = "<sip:bob@192.0.2.7:5062>"


def test_a_phone_that_says_both_can_encrypt():
    (contact,) = read_contacts([f"{URI};secp2psip-tls=5061;secp2psip-fp={PRINT}"], default_s=300)
    assert (contact.tls_port, contact.fingerprint) == (5061, bytes.fromhex(PRINT))
    assert contact.echo == f"{URI};secp2psip-tls=5061;secp2psip-fp={PRINT}"


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        ";secp2psip-tls=5061",
        f";secp2psip-fp={PRINT}",
        f";secp2psip-tls=5061;secp2psip-fp={PRINT[:-2]}",
        f";secp2psip-tls=5061;secp2psip-fp={PRINT.upper()}",
        f";secp2psip-tls=0;secp2psip-fp={PRINT}",
        f";secp2psip-tls=22;secp2psip-fp={PRINT}",
        f";secp2psip-tls=65536;secp2psip-fp={PRINT}",
        f";secp2psip-tls;secp2psip-fp={PRINT}",
    ],
)
def test_half_of_it_or_nonsense_is_a_plain_phone(parameters):
    (contact,) = read_contacts([URI + parameters], default_s=300)
    assert (contact.tls_port, contact.fingerprint) == (0, b"")


def test_the_302_names_the_certificate_behind_its_contact():
    verdict = InviteVerdict(contacts=("sip:bob@192.0.2.7:5061;transport=tls",), fingerprint=bytes.fromhex(PRINT))
    expected = f"<sip:bob@192.0.2.7:5061;transport=tls>;secp2psip-fp={PRINT}"
    assert headers_of(verdict) == (("Contact", expected),)


@pytest.mark.parametrize(
    ("contacts", "fingerprint"),
    [(("sip:b@192.0.2.7", "sip:b@192.0.2.8"), b"\x0a" * 32), (("sip:b@192.0.2.7",), b"\x0a" * 31)],
)
def test_a_certificate_is_that_of_one_contact(contacts, fingerprint):
    with pytest.raises(LocalError):
        InviteVerdict(contacts=contacts, fingerprint=fingerprint)
