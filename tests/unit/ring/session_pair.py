"""Nodes with real keys and credentials, joined by an in-memory network that can lose, delay and copy datagrams."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from overlay.ring.frames import Address
from overlay.ring.ids import Peer
from overlay.ring.sessions import Event, Received, RingIdentity, Sessions
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import NodeCredential

NOW = 1_800_000_000.0
OVERLAY = "home"
DAY = 86_400

_overlay_key = PrivateBundle.from_bytes(bytes(range(64)))
_node_keys = [SigningKey.from_bytes(bytes([number + 1]) * 32) for number in range(6)]


def identity(
    number: int = 0,
    *,
    overlay: str = OVERLAY,
    expires_at: float = NOW + 30 * DAY,
    signer: PrivateBundle | None = None,
    salt: bytes | None = None,
) -> RingIdentity:
    """Make the identity of node `number`: the same number is the same node."""
    node_key = _node_keys[number]
    credential = NodeCredential.issue(
        signer or _overlay_key,
        overlay=overlay,
        node_public=node_key.public,
        salt=salt or bytes([number]) * 32,
        expires_at=int(expires_at),
    )
    return RingIdentity(
        node_key=node_key,
        credential=credential,
        overlay=overlay,
        overlay_public=(signer or _overlay_key).public.ed25519,
    )


def address(number: int) -> Address:
    return f"10.0.0.{number + 1}", 7000 + number


def node(number: int, *, seed: int = 0, own_address: bool = True, **changes: object) -> Sessions:
    rng = random.Random(1000 * number + seed)
    return Sessions(
        identity(number, **changes), random_bytes=rng.randbytes, own_address=address(number) if own_address else None
    )


def peer(number: int) -> Peer:
    host, port = address(number)
    return Peer(id=identity(number).id, host=host, port=port)


@dataclass
class Net:
    """Carries datagrams between nodes by address; time moves only when told."""

    nodes: dict[Address, Sessions]
    now: float = NOW
    delay_s: float = 0.001
    drop: Callable[[bytes, Address, Address], bool] = lambda _data, _source, _target: False
    log: list[tuple[bytes, Address, Address]] = field(default_factory=list)
    events: dict[Address, list[Event]] = field(default_factory=dict)
    flying: list[tuple[float, int, bytes, Address, Address]] = field(default_factory=list)

    @classmethod
    def of(cls, *numbers: int, **changes: object) -> "Net":
        return cls(nodes={address(number): node(number) for number in numbers}, **changes)

    def __getitem__(self, number: int) -> Sessions:
        return self.nodes[address(number)]

    def collect(self) -> None:
        for source, sessions in self.nodes.items():
            for data, target in sessions.datagrams_to_send():
                self.log.append((data, source, target))
                if not self.drop(data, source, target):
                    self.flying.append((self.now + self.delay_s, len(self.log), data, source, target))
            while (event := sessions.next_event()) is not None:
                self.events.setdefault(source, []).append(event)

    def step(self, limit: float) -> bool:
        """Move to the next thing that happens before `limit`; False when there is none."""
        self.collect()
        self.flying.sort()
        due = [self.flying[0][0]] if self.flying else []
        due += [deadline for node in self.nodes.values() if (deadline := node.next_deadline()) is not None]
        if not due or min(due) > limit:
            return False
        self.now = max(self.now, min(due))
        if self.flying and self.flying[0][0] <= self.now:
            _, _, data, source, target = self.flying.pop(0)
            if target in self.nodes:
                self.nodes[target].receive(data, source, self.now)
        for sessions in self.nodes.values():
            deadline = sessions.next_deadline()
            if deadline is not None and deadline <= self.now:
                sessions.handle_timer(self.now)
        return True

    def run(self, seconds: float = 3.0) -> None:
        limit = self.now + seconds
        while self.step(limit):
            pass
        self.now = limit

    def settle(self) -> None:
        """Deliver what flies, without letting timers come due."""
        self.run(0.02)

    def heard(self, number: int) -> list[bytes]:
        return [event.payload for event in self.seen(number) if isinstance(event, Received)]

    def seen(self, number: int) -> list[Event]:
        self.collect()
        return self.events.get(address(number), [])

    def say(self, source: int, target: int, payload: bytes, *, blind: bool = False) -> None:
        self[source].send(address(target), None if blind else peer(target).id, payload, self.now)
