"""make fuzz-wire: every decoder of overlay.trust and overlay.wire, guided by coverage; only RemoteError may come out.

Each decoder runs in a process of its own under atheris (libFuzzer), starting from true records and messages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

INPUTS = 1_000_000
MAX_INPUT_BYTES = 2_048
"""Longer than any record and any line of a datagram."""
SLOW_S = 10
"""An input that takes longer is a finding."""
EXAMPLES = """examples:
  make fuzz-wire                                      a million inputs each
  make fuzz-wire ARGS="--inputs 20000 --only Invite"  less
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.wire",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--inputs", type=int, default=INPUTS, help=f"for each decoder (default {INPUTS})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--only", default="", metavar="TEXT", help="decoders whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz-wire.json"))
    parser.add_argument("--decoder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        import atheris  # noqa: F401 - looked for here so that the hint comes once
    except ImportError:
        sys.exit("atheris is not installed: .venv/bin/pip install -e '.[fuzz]'")
    if arguments.decoder:
        attack(arguments.decoder, arguments.inputs, arguments.seed)
    try:
        found = run_all(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")
    console = Console(width=120)
    for row in found:
        verdict = "held" if row["held"] else "BROKEN"
        console.print(f"{verdict:7}{row['inputs']:>9} inputs {row['seconds']:>6.0f} s  {row['decoder']}")
        if not row["held"]:
            console.print(row["output"], markup=False)
    sys.exit(not all(row["held"] for row in found))


def attack(name: str, inputs: int, seed: int) -> None:
    """Feed one decoder until the inputs are spent; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["overlay"]):
        from tests.fuzz.decoders import every_decoder, feed
    decoder = every_decoder()[name]

    def one(data: bytes) -> None:
        feed(decoder, data)

    with tempfile.TemporaryDirectory() as folder:
        for number, example in enumerate(decoder.true):
            (Path(folder) / str(number)).write_bytes(example)
        flags = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={MAX_INPUT_BYTES}", f"-timeout={SLOW_S}"]
        artifacts = tempfile.mkdtemp(prefix="fuzz-wire-")
        atheris.Setup(
            [sys.argv[0], folder, *flags, f"-artifact_prefix={artifacts}/", "-rss_limit_mb=1024"],
            one,
        )
        atheris.Fuzz()


def run_all(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Attack every decoder, some at once, and return what became of each."""
    from tests.fuzz.decoders import every_decoder

    names = [name for name in every_decoder() if arguments.only in name]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("decoders"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("fuzzing", total=len(names))
        found = []
        with ThreadPoolExecutor(arguments.jobs) as pool:
            running = {pool.submit(run_one, name, arguments.inputs, arguments.seed): name for name in names}
            for done in as_completed(running):
                found.append(done.result())
                progress.update(task, advance=1, description=running[done])
    return sorted(found, key=lambda row: names.index(row["decoder"]))


def run_one(name: str, inputs: int, seed: int) -> dict[str, Any]:
    """Attack one decoder in a process of its own."""
    began = time.monotonic()
    words = [sys.executable, "-m", "tests.fuzz.wire", "--decoder", name, "--inputs", str(inputs), "--seed", str(seed)]
    child = subprocess.run(words, capture_output=True, text=True, check=False, errors="replace")
    output = child.stdout + child.stderr
    spent = re.search(r"Done (\d+) (?:runs )?in", output) or re.search(r"#(\d+)\s+DONE", output)
    return {
        "decoder": name,
        "inputs": int(spent[1]) if spent else 0,
        "seconds": round(time.monotonic() - began, 1),
        "held": child.returncode == 0 and spent is not None and int(spent[1]) >= inputs,
        "output": "" if child.returncode == 0 else output[-3000:],
    }


if __name__ == "__main__":
    main()
