"""A holder answers with a record whose key is none: it is nothing to whoever reads it, and stops nobody."""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgpack
import pytest

from overlay.errors import RemoteError
from overlay.ring.holding import Holding
from overlay.trust.records import LookupRecord
from overlay.trust.tombstone import Tombstone
from tests.integration.directory_ring import town
from tests.support.people import lookup_record

SMALL_ORDER = bytes(64)
"""Two points under which anybody can sign, or everybody agrees on the same secret."""


@dataclass(frozen=True)
class Raw:
    """Bytes in a record's place."""

    data: bytes

    def encode(self) -> bytes:
        return self.data


def unsound_record(generation: int) -> bytes:
    now = int(time.time())
    record = lookup_record(aor="bob", generation=generation, issued_at=now, expires_at=now + 600)
    values = msgpack.unpackb(record.encode())
    at = values.index(generation, 3) + 1
    return msgpack.packb([*values[:at], SMALL_ORDER, *values[at + 1 :]])


def unsound_tombstone() -> bytes:
    return msgpack.packb([Tombstone.KIND, 1, "test-overlay", "bob", 1, SMALL_ORDER, 1, bytes(64)])


@pytest.mark.parametrize("shown", [unsound_record(1), unsound_record(2), unsound_tombstone()])
async def test_a_record_without_a_key_stops_no_look_up(shown):
    async with town(8) as place:
        reader = place.rings[4]
        for store in place.stores[:2]:
            store.lie = lambda _aor, truth: Holding(pieces=truth.pieces, record=Raw(shown))
        found = await place.directory(reader).find("bob", full=True)
        assert (found.bundle, found.record) == (place.bob.public, place.upkeep.record)


@pytest.mark.parametrize("generation", [1, 2])
def test_it_does_not_even_read(generation):
    with pytest.raises(RemoteError, match="small order"):
        LookupRecord.decode(unsound_record(generation))
