"""One host that would take every name, and every place on the ring: it has as many IPv6 addresses as it likes."""

from __future__ import annotations

import time

import pytest

from bootstrap.accounts import Accounts, OverlayFacts
from bootstrap.admission import DEFAULT_ENROLMENTS_PER_DAY, Policy
from bootstrap.desk import Desk, Grant
from bootstrap.keys import ServerKeys
from bootstrap.registration import NONCE_BYTES
from bootstrap.sources import source_of
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import PENDING_NODE_ID, LookupRecord
from overlay.wire.messages import Register

FACTS = OverlayFacts(name="lan", k=3, n=7)
NONCE = bytes(NONCE_BYTES)
NOW = time.time()


def registration(keys, aor):
    user = PrivateBundle.generate()
    record = LookupRecord.issue(
        user,
        aor=aor,
        generation=1,
        node_id=PENDING_NODE_ID,
        host="192.0.2.7",
        port=5000,
        sequence=1,
        issued_at=int(NOW),
        expires_at=int(NOW) + 600,
    )
    return Register.issue(
        SigningKey.generate(),
        aor=aor,
        bundle=user.public.encode(),
        record=record.encode(),
        nonce=NONCE,
        bootstrap=keys.overlay.public.thumbprint(),
        overlay=FACTS.name,
    )


async def test_a_new_ipv6_address_for_each_device_is_still_one_source():
    accounts = Accounts(":memory:")
    accounts.fix_overlay(FACTS)
    keys = ServerKeys.generate()
    desk = Desk(accounts, keys, FACTS, Policy())
    granted = 0
    for number in range(3 * DEFAULT_ENROLMENTS_PER_DAY):
        request = registration(keys, f"mallory{number}")
        settled = await desk.settle(request, nonce=NONCE, source=f"2001:db8::{number + 1:x}", now=NOW)
        granted += isinstance(settled, Grant)
    other = await desk.settle(registration(keys, "alice"), nonce=NONCE, source="2001:db8:0:1::1", now=NOW)
    await desk.close()
    assert granted == DEFAULT_ENROLMENTS_PER_DAY
    assert isinstance(other, Grant)


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1:2:3:4", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::1"),
    ],
)
def test_what_counts_as_one_source(host, source):
    assert source_of(host) == source
