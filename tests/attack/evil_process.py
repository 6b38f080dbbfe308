"""A device whose node lies when it is told to: the real program, with an evil node in the place of the real one.

    python -m tests.attack.evil_process ORDERS adapter --user mallory ...

ORDERS is a file that whoever plays writes anew for each attack; it is read when somebody asks this node for pieces or
for the way. Everything else is the program of every user: its enrolment, sessions, upkeep, phone and calls.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adapter.device_node
from adapter.cli import main
from adapter.state import StateDir
from bootstrap.keys import load
from overlay.ring.ids import Peer, id_to_bytes
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import LookupRecord
from overlay.trust.signed import MAX_SEQUENCE
from tests.attack.lies import ATTACKS, Gang, Victim
from tests.attack.process_orders import WRONG_SUCCESSOR, read_orders
from tests.support.evil import LyingStore
from tests.support.evil_ring import Cabal, EvilProtocol, EvilRing
from tests.support.members import TestOverlay

if TYPE_CHECKING:
    from collections.abc import Callable

    from overlay.ring.holding import Holding


class Tongue:
    """What one node says, by the orders of the moment."""

    def __init__(self, file: Path) -> None:
        self.me: Peer | None = None
        self._file, self._read_at, self._orders = file, 0, dict[str, Any]()
        self._gangs: dict[str, Gang] = {}

    def lie(self, aor: str, truth: Holding) -> Holding:
        """Answer somebody who asks for a name."""
        orders = self._mine()
        if orders.get("attack") not in ATTACKS or aor not in orders["victims"]:
            return truth
        if aor not in self._gangs:
            self._gangs[aor] = self._gang(aor)
        return self._gangs[aor].lie(orders["attack"])(aor, truth)

    def manner(self) -> Callable[..., list[Peer]] | None:
        """Return in which manner to answer somebody who asks for the way; None is the truth."""
        orders = self._mine()
        if orders.get("attack") != WRONG_SUCCESSOR:
            return None
        return Cabal([Peer.decode([bytes.fromhex(node), host, port]) for node, host, port in orders["members"]]).reroute

    def _mine(self) -> dict[str, Any]:
        """Return the orders, empty where this node has none."""
        changed_at = self._file.stat().st_mtime_ns
        if changed_at != self._read_at:
            self._read_at, self._orders, self._gangs = changed_at, read_orders(self._file), {}
        is_meant = self.me is not None and id_to_bytes(self.me.id).hex() in self._orders["liars"]
        return self._orders if is_meant else {}

    def _gang(self, aor: str) -> Gang:
        """Know what all liars know of a name: they draw the same dice."""
        orders, dice = self._orders, random.Random(f"{self._orders['seed']}/{aor}")
        enrolment = StateDir(Path(orders["victims"][aor])).load_enrolment(aor)
        assert enrolment is not None
        assert self.me is not None
        impostor, now = PrivateBundle.from_bytes(dice.randbytes(64)), int(time.time())
        record = LookupRecord.issue(
            impostor,
            aor=aor,
            generation=1,
            node_id=id_to_bytes(self.me.id),
            host=self.me.host,
            port=self.me.port,
            sequence=MAX_SEQUENCE,
            issued_at=now - 10,
            expires_at=now + 600,
        )
        victim = Victim(
            keys=impostor, pieces=enrolment.pieces, old_record=record, impostor=impostor, false_record=record
        )
        overlay = TestOverlay(dealing=load(Path(orders["stolen"])).dealing)
        return Gang(
            overlay=overlay, victims={aor: victim}, rng=dice, theirs={aor: frozenset(orders["theirs"].get(aor, ()))}
        )


def obeying(tongue: Tongue) -> type[EvilRing]:
    """Return a ring node that says what the tongue does."""

    class Protocol(EvilProtocol):
        @property
        def manner(self) -> Any:
            return tongue.manner()

    class Node(EvilRing):
        def __init__(self, identity: Any, store: LyingStore, **options: Any) -> None:
            super().__init__(identity, store, **options)
            self._server.protocol_class = Protocol
            store.lie_to_readers = tongue.lie

        async def open(self, host: str, port: int = 0) -> None:
            await super().open(host, port)
            tongue.me = self.me

    return Node


if __name__ == "__main__":
    tongue = Tongue(Path(sys.argv[1]))
    adapter.device_node.KademliaRing = obeying(tongue)  # type: ignore[misc]
    adapter.device_node.RecordStore = LyingStore  # type: ignore[misc]
    sys.exit(main(sys.argv[2:]))
