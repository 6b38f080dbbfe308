"""make bench-ring: measures the ring and writes build/bench/ring.json; exit code 1 where a promise did not hold.

exact       by condition and N: the fraction of exact successors
look_ups    by N: requests, sequential depth, full look-ups, of a healthy ring and after deaths
loopback    put and get: ours, the stock library, OpenDHT, by turns in one run
cpu, memory one find_node served, one node
churn       where tests/benchmarks/churn.py is there: see OTHERS
parts_s     seconds that each part took; churn goes on beside the rings of all sizes
held        what was promised of these, and whether it held
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import cost, latency, look_ups

if TYPE_CHECKING:
    from collections.abc import Sequence

OUT = Path("build/bench/ring.json")
SIZES = (1, 2, 3, 8, 20, 21, 32, 64, 128, 256, 1000, 2000)
QUICK_SIZES = (1, 3, 21, 256, 1000)
LARGEST_QUICK_DEATHS = 32
CHORD = 0.5
LOOPBACK, QUICK_LOOPBACK = (128, 100, 2, 2), (32, 20, 1, 0)
"""Nodes, operations of each kind in a block, blocks, and further ones in which nobody dies.

How long a healthy get takes at worst hangs on the ring, which is another one in each block."""
OTHERS = ("tests.benchmarks.churn",)
"""Modules that add a field of their name where they exist: measure(*, quick) -> figures, and held(figures) -> promises
with whether they held."""
MARKS = {True: "held", False: "DID NOT HOLD", None: "NOT MEASURED"}


def main() -> int:
    """Measure, print, write; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes and operations")
    parser.add_argument("--only", choices=("simulated", "cost", "loopback"), help="one part, and nothing written")
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only
    begun = time.monotonic()
    result: dict[str, Any] = {"v": 1, "quick": quick, "cpus": os.cpu_count(), "load": os.getloadavg()}
    # real time first, while nothing of ours is running beside it
    parts = result["parts_s"] = {}
    if only in {None, "cost"}:
        # many short turns: on a busy machine each side needs one that nothing disturbs
        result["cpu_find_node"] = cost.find_node_us(1000, repeats=5 if quick else 20)
        _say("cpu", result["cpu_find_node"])
        result["memory_node"] = cost.memory_kib()
        _say("memory", result["memory_node"])
        parts["cost"] = round(time.monotonic() - begun, 1)
    if only in {None, "loopback"}:
        result["loopback"] = _loopback(*(QUICK_LOOPBACK if quick else LOOPBACK))
        parts["loopback"] = round(time.monotonic() - begun - sum(parts.values()), 1)
    if only in {None, "simulated"}:
        result.update(_simulated(quick=quick, others=_others() if only is None else ()))
        parts["simulated"] = round(time.monotonic() - begun - sum(parts.values()), 1)
    if only is not None:
        _say("seconds", parts)
        return 0
    result["held"] = _held(result)
    for name in _others():
        result["held"].update(importlib.import_module(name).held(result[_field(name)]))
    result["took_s"] = round(time.monotonic() - begun, 1)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    for promise, held in result["held"].items():
        print(f"{MARKS[held]:12} {promise}")  # noqa: T201
    _say(f"written to {OUT} after", result["took_s"])
    return 0 if all(result["held"].values()) else 1


def _others() -> tuple[str, ...]:
    return tuple(name for name in OTHERS if importlib.util.find_spec(name) is not None)


def _field(name: str) -> str:
    return name.rpartition(".")[2]


def _measure_other(name: str, *, quick: bool) -> Any:
    """Let another module measure, in a process of its own."""
    begun = time.monotonic()
    measured = importlib.import_module(name).measure(quick=quick)
    return {**measured, "took_s": round(time.monotonic() - begun, 1)}


def _simulated(*, quick: bool, others: Sequence[str]) -> dict[str, Any]:
    """Ask rings of all sizes in virtual time, and let other modules simulate: one process a core, the longest first."""
    sizes = QUICK_SIZES if quick else SIZES
    result: dict[str, Any] = {"exact": {}, "look_ups": {}}
    # new processes: a copy of this one would drag along what the loopback part has left
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        beside = {name: pool.submit(_measure_other, name, quick=quick) for name in others}
        under_way = {
            pool.submit(
                look_ups.measure, count, queries=200, with_deaths=not quick or count <= LARGEST_QUICK_DEATHS
            ): count
            for count in sorted(sizes, reverse=True)
        }
        for future in as_completed(under_way):
            count, measured = under_way[future], future.result()
            for condition, figures in measured.items():
                result["exact"].setdefault(condition, {})[str(count)] = figures["exact"]
                result["look_ups"].setdefault(condition, {})[str(count)] = figures
            _say(f"N={count}", measured)
        for name, future in beside.items():
            result[_field(name)] = future.result()
            _say(_field(name), result[_field(name)])
    return result


def _loopback(nodes: int, operations: int, blocks: int, healthy: int) -> dict[str, Any]:
    """Let the peers take turns, each time with a new ring, so that a noisy minute hits them all."""
    measured: dict[str, list[latency.Samples]] = {name: [] for name in ("ours", "opendht", "stock")}
    for block in range(blocks + healthy):
        # half a minute an operation: what the others do after deaths is measured in the first block alone
        turns = {
            "ours": partial(latency.ours, deaths=block < blocks),
            **({} if block else {"opendht": latency.opendht}),
            "stock": partial(latency.stock, deaths=not block),
        }
        for name, measure in turns.items():
            samples = measure(nodes, operations, block)
            if samples is None:
                print(f"{name} is not installed: pip install -e '.[bench]'", file=sys.stderr)  # noqa: T201
                continue
            measured[name].append(samples)
            _say(f"block {block + 1} of {blocks + healthy}: {name}", latency.summary([samples]))
    summaries = {name: latency.summary(of_peer) if of_peer else None for name, of_peer in measured.items()}
    return {"nodes": nodes, "value_bytes": latency.VALUE_BYTES, "blocks": [blocks, healthy], **summaries}


def _held(result: dict[str, Any]) -> dict[str, bool | None]:
    """Return each promise, and whether it held; None where it was not measured."""
    healthy = result["look_ups"]["healthy"]
    loopback = result["loopback"]
    ours, stock, other = loopback["ours"], loopback["stock"], loopback["opendht"]
    small, large = healthy["256"], healthy["1000"]
    return {
        "every successor exact": all(one == 1.0 for sizes in result["exact"].values() for one in sizes.values()),
        "at most 10 requests at N=256": small["requests"] <= 10,
        "depth at most half of log2(256)": small["depth"] <= CHORD * math.log2(256),
        "N=1000 at most 1.5 times N=256": large["requests"] <= 1.5 * small["requests"],
        "healthy get p99 at most stock's": ours["healthy get"]["p99_ms"] <= stock["healthy get"]["p99_ms"],
        "ours missed nothing that was healthy": not ours["healthy put"]["missed"] + ours["healthy get"]["missed"],
        "put p99 with deaths below 0.9 s": ours["killed put"]["p99_ms"] < 900,
        "get p99 with deaths below 0.3 s": ours["killed get"]["p99_ms"] < 300,
        "put p99 with deaths below OpenDHT's": (
            None if other is None else ours["killed put"]["p99_ms"] < other["killed put"]["p99_ms"]
        ),
        "CPU per find_node at most a third of stock's": result["cpu_find_node"]["ratio"] <= 1 / 3,
        "memory per node at most stock's": result["memory_node"]["ratio"] <= 1,
    }


def _say(what: str, value: Any) -> None:
    print(what, json.dumps(value), flush=True)  # noqa: T201 -- a benchmark reports as it goes


if __name__ == "__main__":
    sys.exit(main())
