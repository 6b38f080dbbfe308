"""An internet in memory: datagrams with delay and loss, hosts that die, links that are cut, and a clock that jumps.

Programs that use asyncio's datagram endpoints run in it unchanged:

    network = Network(seed=1, loss=0.05)
    network.run(main())          # virtual seconds cost nothing

The same seed gives the same run as long as the program draws its own dice from a seed too. Nothing here knows what the
datagrams mean. A send to something that is no address raises, loudly, where a real socket would be closed for good.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Address = tuple[str, int]

EPOCH = 1_800_000_000.0
"""Wall-clock time at which every run begins."""
FIRST_FREE_PORT = 20_000
MAX_VIRTUAL_S = 86_400.0
LOOK_OUTSIDE_EVERY = 256
"""Turns of the loop between two looks at what only threads and signals can bring; it also looks when nothing is due."""


class Network:
    """Hosts and the datagrams between them."""

    def __init__(self, *, seed: int = 0, loss: float = 0.0, delay_s: tuple[float, float] = (0.001, 0.005)) -> None:
        self.rng = random.Random(seed)
        self.loss = loss
        self.delay_s = delay_s
        self.sent = Counter()
        """Datagrams sent, by destination."""
        self.bytes_sent = 0
        self.cut: Callable[[Address, Address], bool] = lambda source, target: False
        """Tells which datagrams are lost for certain, by source and target."""
        self._ends: dict[Address, MemoryTransport] = {}
        self._next_port = FIRST_FREE_PORT
        self._under_way: list[tuple[float, int, bytes, Address, Address]] = []
        """Datagrams by the time of their arrival; of two at one time the one sent first comes first."""
        self._carried = 0
        self._loop: VirtualLoop

    def run(self, program: Coroutine[Any, Any, Any]) -> Any:
        """Run a program to its end in virtual time, and return its result."""
        self._loop = VirtualLoop(self)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            return runner.run(program)

    def clock(self) -> float:
        """Wall-clock time for the programs."""
        return EPOCH + self._loop.time()

    def bind(self, address: Address, protocol: asyncio.DatagramProtocol, loop: VirtualLoop) -> MemoryTransport:
        host, port = address
        if port == 0:
            self._next_port += 1
            port = self._next_port
        if (host, port) in self._ends:
            raise OSError(98, "address already in use")
        transport = self._ends[host, port] = MemoryTransport(self, (host, port), protocol, loop)
        return transport

    def unbind(self, address: Address) -> None:
        self._ends.pop(address, None)

    def carry(self, data: bytes, source: Address, target: Address, loop: VirtualLoop) -> None:
        """Deliver a datagram after a while, or lose it."""
        host, port = target
        assert isinstance(host, str), f"a real socket would be closed by the host {host!r}"
        assert isinstance(port, int), f"a real socket would be closed by the port {port!r}"
        assert 0 < port < 65536, f"a real socket would be closed by the port {port!r}"
        assert len(data) <= 65_507
        self.sent[target] += 1
        self.bytes_sent += len(data)
        if self.rng.random() < self.loss or self.cut(source, target):
            return
        self._carried += 1
        arrival = loop.time() + self.rng.uniform(*self.delay_s)
        heappush(self._under_way, (arrival, self._carried, bytes(data), source, target))

    def next_arrival(self) -> float | None:
        """Return when the next datagram arrives, None where none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def deliver(self, now: float) -> None:
        """Hand over what has arrived."""
        while self._under_way and self._under_way[0][0] <= now:
            _, _, data, source, target = heappop(self._under_way)
            end = self._ends.get(target)
            if end is not None:
                end.protocol.datagram_received(data, source)


class MemoryTransport(asyncio.DatagramTransport):
    """One bound socket."""

    def __init__(
        self, network: Network, address: Address, protocol: asyncio.DatagramProtocol, loop: VirtualLoop
    ) -> None:
        super().__init__({"sockname": address})
        self.protocol = protocol
        self._network = network
        self._address = address
        self._loop = loop
        self._is_closing = False

    def sendto(self, data: bytes, addr: Any = None) -> None:
        if not self._is_closing:
            self._network.carry(data, self._address, tuple(addr), self._loop)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._network.unbind(self._address)
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer, and whose datagram endpoints are in the network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._now = 0.0
        super().__init__(_JumpingSelector(network, self))
        handle = asyncio.Handle(self._deliver, (), self)
        # what a selector returns of a readable socket: asyncio puts its reader on the list of what is ready
        key = selectors.SelectorKey(self._csock, self._csock.fileno(), selectors.EVENT_READ, (handle, None))
        self.arrivals = (key, selectors.EVENT_READ)

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds
        assert self._now < MAX_VIRTUAL_S, "this program does not end"

    def _deliver(self) -> None:
        self._network.deliver(self._now)

    async def create_datagram_endpoint(self, protocol_factory: Any, local_addr: Any = None, **_: Any) -> Any:
        protocol = protocol_factory()
        transport = self._network.bind(tuple(local_addr), protocol, self)
        protocol.connection_made(transport)
        return transport, protocol


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: the clock jumps to the next timer or datagram, which makes a socket readable that the loop reads."""

    def __init__(self, network: Network, loop: VirtualLoop) -> None:
        super().__init__()
        self._network = network
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> Any:
        loop, arrival = self._loop, self._network.next_arrival()
        if arrival is not None and (timeout is None or arrival <= loop.time() + timeout):
            if arrival > loop.time():
                loop.jump(arrival - loop.time())
            return [loop.arrivals]
        self._turns += 1
        if timeout is None or self._turns % LOOK_OUTSIDE_EVERY == 0:
            ready = super().select(0)
            if ready:
                return ready
            assert timeout is not None, "everything waits and no timer is set"
        if timeout:
            # a float's rounding must not leave the clock just short of the timer, for ever
            loop.jump(timeout + 1e-9)
        return []
