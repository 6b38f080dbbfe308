"""`make fuzz-sip`: the whole run, with what it found, how fast, and how the memory went."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import sys
import time

from tests.fuzz.port import Port
from tests.fuzz.sip import Fuzzer

BATCH = 10_000
PORT_SHARE = 10
"""One in so many goes to a real port besides, whose system calls cost several times what the server does."""
MAX_GROWTH_KB = 8 * 1024
"""What a process may grow by from its first batch to its last, some 0.5 MB being usual: more than that is a leak."""


def _memory_kb() -> int:
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - a file of the kernel's
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--datagrams", type=int, default=500_000)
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    args = parser.parse_args()
    _say(f"seed {args.seed}")
    fuzzer, began, first_kb = Fuzzer(args.seed), time.monotonic(), 0
    for name, total in (("datagrams", args.datagrams), ("streams", args.streams)):
        done = 0
        while done < total:
            count = min(BATCH, total - done)
            getattr(fuzzer, name)(count)
            fuzzer.prove_served()
            done += count
            kept_kb = _memory_kb()
            first_kb = first_kb or kept_kb
            seconds = time.monotonic() - began
            _say(f"{name} {done} of {total}, {seconds:.0f} s, {kept_kb // 1024} MB")
    growth_kb = _memory_kb() - first_kb
    port = Port(args.seed)
    asyncio.run(port.run(datagrams=args.datagrams // PORT_SHARE, streams=args.streams // PORT_SHARE))
    _say(f"a real port took {port.sent} datagrams and {port.connections} connections, and serves over UDP and TCP")
    _say(
        f"no crash: {fuzzer.answered} answers, {fuzzer.redirected} redirects, {fuzzer.asked} questions,"
        f" {fuzzer.framed} messages from {fuzzer.connections} streams, {time.monotonic() - began:.0f} s;"
        f" memory grew by {growth_kb} KB; the server serves"
    )
    return growth_kb > MAX_GROWTH_KB


if __name__ == "__main__":
    sys.exit(main())
