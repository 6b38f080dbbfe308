from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from overlay.errors import LocalError, RemoteError
from overlay.trust.records import LookupRecord
from overlay.trust.succession import (
    LINK_BYTES,
    MAX_LINKS,
    Succession,
    decode_chain,
    encode_chain,
    leads_from,
)
from tests.support.people import EVE, NOW, lookup_record, private_bundle

if TYPE_CHECKING:
    from overlay.trust.identity import PrivateBundle

KEYS = [private_bundle(0x80 + 2 * number) for number in range(6)]


def step(generation: int, old: PrivateBundle | None = None, *, aor: str = "alice") -> Succession:
    """Return the word with which generation g-1 hands over to generation g."""
    new = KEYS[generation - 1]
    return Succession.issue(old or KEYS[generation - 2], aor=aor, generation=generation, new=new.public)


def chain(*generations: int) -> bytes:
    return encode_chain([step(generation) for generation in generations])


def record(generation: int, succession: bytes) -> LookupRecord:
    return lookup_record(KEYS[generation - 1], generation=generation, succession=succession)


def test_a_succession_signed_by_the_old_key_verifies():
    link = step(2)
    link.verify()
    assert (link.old_thumbprint, link.new_thumbprint) == (KEYS[0].public.thumbprint(), KEYS[1].public.thumbprint())


@pytest.mark.parametrize(
    "change",
    [{"aor": "bob"}, {"generation": 3}, {"new_bundle": EVE.public.encode()}, {"old_bundle": EVE.public.encode()}],
    ids=lambda change: next(iter(change)),
)
def test_a_succession_of_anything_else_does_not_verify(change):
    with pytest.raises(RemoteError):
        replace(step(2), **change).verify()


def test_the_new_key_cannot_appoint_itself():
    forged = replace(step(2), signature=KEYS[1].sign(Succession.domain(), step(2).signed_bytes()))
    with pytest.raises(RemoteError):
        forged.verify()


def test_a_record_carries_the_chain_that_leads_to_its_key():
    carried = record(4, chain(2, 3, 4))
    carried.verify(now=NOW)
    assert LookupRecord.decode(carried.encode()) == carried
    assert carried.successions() == (step(2), step(3), step(4))


def test_a_record_with_a_forged_link_does_not_verify():
    forged = encode_chain([step(2), replace(step(3), signature=bytes(64))])
    with pytest.raises(RemoteError):
        record(3, forged).verify(now=NOW)


def test_a_chain_made_for_another_generation_does_not_verify():
    with pytest.raises(RemoteError):
        record(3, chain(2)).verify(now=NOW)


def test_a_chain_that_reaches_back_before_the_first_generation_is_refused():
    with pytest.raises(RemoteError):
        decode_chain(chain(2, 3), aor="alice", generation=2, bundle=KEYS[1].public.encode())


def test_only_the_newest_links_are_carried():
    assert chain(2, 3, 4, 5) == chain(3, 4, 5)
    assert len(chain(2, 3, 4, 5)) == MAX_LINKS * LINK_BYTES


def test_links_that_do_not_follow_each_other_make_no_chain():
    with pytest.raises(LocalError):
        encode_chain([step(2), step(4)])


@pytest.mark.parametrize("data", [b"x", bytes(LINK_BYTES - 1), bytes((MAX_LINKS + 1) * LINK_BYTES)])
def test_bytes_of_no_chain_are_refused(data):
    with pytest.raises(RemoteError):
        decode_chain(data, aor="alice", generation=9, bundle=KEYS[0].public.encode())


def test_a_pin_follows_from_wherever_it_stands_in_the_chain():
    links = record(4, chain(2, 3, 4)).successions()
    for held in range(3):
        part = leads_from(links, KEYS[held].public.thumbprint())
        assert [link.generation for link in part] == list(range(held + 2, 5))
        assert part[-1].new_bundle == KEYS[3].public.encode()


def test_a_pin_of_a_key_that_is_not_in_the_chain_follows_nothing():
    assert leads_from(record(4, chain(3, 4)).successions(), KEYS[0].public.thumbprint()) == ()


def test_a_pin_does_not_follow_a_link_that_its_key_did_not_sign():
    forged = replace(step(2, EVE), old_bundle=KEYS[0].public.encode())
    with pytest.raises(RemoteError):
        leads_from((forged,), KEYS[0].public.thumbprint())
