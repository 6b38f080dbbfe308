"""Which certificate has to stand at the other end of a TLS connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from adapter.sip.certificate import make_certificate
from adapter.softphone.certificates import MAX_CONNECTIONS, Certificates, fingerprint_of

THERE, ELSEWHERE = "192.0.2.7:5061", "192.0.2.8:40000"
GOOD, BAD = "0a" * 32, "0b" * 32


def test_the_certificate_that_is_demanded_may_stand_there():
    certificates = Certificates()
    assert certificates.expect(THERE, GOOD)
    assert certificates.connected(THERE, GOOD)
    assert certificates.of(THERE) == GOOD


@pytest.mark.parametrize("shown", [BAD, ""])
def test_another_one_or_none_may_not(shown):
    certificates = Certificates()
    certificates.expect(THERE, GOOD)
    assert not certificates.connected(THERE, shown)


def test_a_connection_that_stands_already_is_held_to_the_next_demand():
    certificates = Certificates()
    assert certificates.connected(THERE, GOOD)
    assert not certificates.expect(THERE, BAD)
    assert certificates.expect(THERE, GOOD)


def test_those_who_call_us_show_what_they_like_and_it_is_remembered():
    certificates = Certificates()
    certificates.expect(THERE, GOOD)
    assert certificates.connected(ELSEWHERE, BAD)
    assert certificates.of(ELSEWHERE) == BAD
    assert certificates.of("192.0.2.9:1") == ""


def test_a_phone_that_comes_back_where_another_was_is_held_to_the_new_demand_alone():
    ends = Certificates()
    assert ends.connected("192.0.2.7:5061", "aa" * 32, 1)
    assert ends.connected("192.0.2.8:5061", "cc" * 32, 2)
    ends.ended(1)
    assert ends.of("192.0.2.7:5061") == ""
    assert ends.of("192.0.2.8:5061") == "cc" * 32
    assert ends.expect("192.0.2.7:5061", "bb" * 32)
    assert ends.connected("192.0.2.7:5061", "bb" * 32, 3)
    ends.ended(1)
    assert ends.of("192.0.2.7:5061") == "bb" * 32


def test_only_so_many_ends_are_remembered():
    certificates = Certificates()
    for port in range(MAX_CONNECTIONS + 1):
        certificates.connected(f"192.0.2.8:{port}", GOOD)
    assert certificates.of("192.0.2.8:0") == ""
    assert certificates.of(f"192.0.2.8:{MAX_CONNECTIONS}") == GOOD


def test_a_fingerprint_is_that_of_the_certificate_whatever_stands_around_it():
    pem = make_certificate("192.0.2.7", now=datetime.now(tz=UTC))
    expected = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    assert fingerprint_of(pem.decode()) == expected  # the private key stands before it


@pytest.mark.parametrize(
    "pem", ["", "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAA="]
)
def test_what_is_no_certificate_has_no_fingerprint(pem):
    assert fingerprint_of(pem) == ""
