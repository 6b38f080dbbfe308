"""make bench-ring: measures the ring and writes build/bench/ring.json.

exact       by condition and N: the fraction of exact successors
look_ups    by N: requests, sequential depth, full look-ups, of a healthy ring
loopback    put and get: ours, the stock library, OpenDHT, in one run
cpu, memory one find_node served, one node
held        what was promised of these, and whether it held
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import cost, latency, look_ups

OUT = Path("build/bench/ring.json")
SIZES = (1, 2, 3, 8, 20, 21, 32, 64, 128, 256, 1000, 2000)
QUICK_SIZES = (1, 3, 21, 256, 1000)
LARGEST_QUICK_DEATHS = 32
CHORD = 0.5


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and operations: about two minutes")
    quick = parser.parse_args().quick
    begun = time.monotonic()
    result: dict[str, Any] = {"quick": quick, "exact": {}, "look_ups": {}}
    for count in QUICK_SIZES if quick else SIZES:
        with_deaths = not quick or count <= LARGEST_QUICK_DEATHS
        measured = look_ups.measure(count, queries=200, with_deaths=with_deaths)
        for condition, figures in measured.items():
            result["exact"].setdefault(condition, {})[str(count)] = figures["exact"]
            result["look_ups"].setdefault(condition, {})[str(count)] = figures
        _say(f"N={count}", measured)
    result["cpu_find_node"] = cost.find_node_us(1000 if quick else 5000)
    _say("cpu", result["cpu_find_node"])
    result["memory_node"] = cost.memory_kib()
    _say("memory", result["memory_node"])
    nodes, operations = (32, 20) if quick else (128, 100)
    result["loopback"] = {"nodes": nodes}
    peers = {"ours": latency.ours, "opendht": latency.opendht, "stock": latency.stock}
    for name, measure in peers.items():
        result["loopback"][name] = measure(nodes, operations)
        _say(name, result["loopback"][name])
    result["held"] = _held(result)
    result["took_s"] = round(time.monotonic() - begun, 1)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    _say("held", result["held"])
    _say(f"written to {OUT} after", result["took_s"])


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
        "put p99 with deaths below 0.9 s": ours["killed put"]["p99_ms"] < 900,
        "get p99 with deaths below 0.3 s": ours["killed get"]["p99_ms"] < 300,
        "put p99 with deaths below OpenDHT's": other and ours["killed put"]["p99_ms"] < other["killed put"]["p99_ms"],
        "CPU per find_node at most a third of stock's": result["cpu_find_node"]["ratio"] <= 1 / 3,
        "memory per node at most stock's": result["memory_node"]["ratio"] <= 1,
    }


def _say(what: str, value: Any) -> None:
    print(what, json.dumps(value), flush=True)  # noqa: T201 -- a benchmark reports as it goes


if __name__ == "__main__":
    main()
