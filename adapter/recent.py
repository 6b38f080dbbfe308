"""One proof for calls of the same moment: equal lookups share the one under way, and what it proved for PROOF_S.

I/O: through the directory alone.  [docs/adr/0015]

A flood of calls between the same two names would otherwise fetch the same pieces again and again. What is shared rests
on the acceptance rule and on nothing less: no liar, no conflict, no silent node in sight, a record that lives. Anything
else is looked up anew each time, as is everything that asks for more: a newer record, the whole ring.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import Final

from adapter.directory import Directory
from adapter.findings import Found
from adapter.search import Trace
from adapter.two_directories import TwoDirectories

PROOF_S: Final = 2.0
"""How long a proof is shared, in seconds since its lookup began: by so much later a revoked key is refused at most."""
MAX_PROOFS: Final = 256
"""Names whose proofs are kept, each some 10 KB; who was proved longest ago goes first."""


@dataclass(frozen=True, slots=True)
class _Proof:
    begun_at: float
    found: Found


_Question = tuple[str, bool]
"""The name, and whether a record is needed."""


class RecentProofs:
    """Stands in front of one directory."""

    def __init__(
        self,
        directory: Directory | TwoDirectories,
        *,
        clock: Callable[[], float] = time,
        since: Callable[[], float] = monotonic,
    ) -> None:
        """`clock` is wall time, by which a shared record must live; `since` never steps, and tells a proof's age."""
        self._directory, self._clock, self._since = directory, clock, since
        self._proofs: OrderedDict[_Question, _Proof] = OrderedDict()
        self._under_way: dict[_Question, asyncio.Task[Found]] = {}
        self.counters: Counter[str] = Counter()
        """How often the ring was asked, and how often that was spared."""

    async def find(self, aor: str, *, trace: Trace, record_needed: bool) -> Found:
        """Return what `Directory.find` does for a call; raises what it raises."""
        question = (aor, record_needed)
        proof = self._proofs.get(question)
        if proof is not None and self._holds(proof):
            return self._share(proof.found, "proof shared", trace)
        task = self._under_way.get(question)
        if task is not None:
            # whoever gives up must not take the answer from the others
            return self._share(await asyncio.shield(task), "lookup joined", trace)
        task = asyncio.ensure_future(self._look_up(question, trace))
        self._under_way[question] = task
        task.add_done_callback(lambda done: self._settle(question, done))
        return await asyncio.shield(task)

    def forget(self, aor: str) -> None:
        """Share nothing that was proved of a name: it led nowhere."""
        for record_needed in (True, False):
            self._proofs.pop((aor, record_needed), None)

    async def close(self) -> None:
        """End what is under way."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_up(self, question: _Question, trace: Trace) -> Found:
        self.counters["looked up"] += 1
        begun_at = self._since()
        found = await self._directory.find(question[0], trace=trace, record_needed=question[1])
        proof = _Proof(begun_at, found)
        if is_sharable(found):
            self._proofs[question] = proof
            self._proofs.move_to_end(question)
            if len(self._proofs) > MAX_PROOFS:
                self._proofs.popitem(last=False)
        return found

    def _settle(self, question: _Question, task: asyncio.Task[Found]) -> None:
        del self._under_way[question]
        if not task.cancelled():
            task.exception()  # whoever asked may be gone: nothing is to be told to nobody

    def _holds(self, proof: _Proof) -> bool:
        record = proof.found.record
        is_young = self._since() - proof.begun_at < PROOF_S
        return is_young and (record is None or record.counts_until > self._clock())

    def _share(self, found: Found, why: str, trace: Trace) -> Found:
        self.counters[why] += 1
        trace("key", {"basis": found.basis, "support": found.support, "took_ms": 0.0, "shared": True})
        return found


def is_sharable(found: Found) -> bool:
    """Whether nothing at all was doubtful about a proof."""
    doubts = found.liars or found.conflicts or found.silent or found.waves != 1
    return found.basis == "polynomial" and not doubts
