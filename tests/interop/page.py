"""docs/interop.md out of build/interop.json and what is known of each phone.  I/O: these two files, version commands.

`python -m tests.interop.page` writes it again from the last results.
"""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.interop.phones import CALLEES, CALLERS, PACKAGES

RESULT = Path("build/interop.json")
PAGE = Path("docs/interop.md")
TEXT = Path(__file__).with_name("phones.md")
MARK = "<!-- results -->"


def write() -> None:
    """Write the page."""
    rows = json.loads(RESULT.read_text())
    PAGE.write_text(TEXT.read_text().replace(MARK, results(rows)))


def results(rows: list[dict[str, Any]]) -> str:
    """Return the tables of results."""
    good, skipped = sum(row["ok"] for row in rows), sum(row["skipped"] for row in rows)
    when = datetime.fromtimestamp(RESULT.stat().st_mtime, UTC).strftime("%Y-%m-%d")
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    failed = len(rows) - good - skipped
    lines = [
        f"Measured on {when}, {system}: {len(rows)} cases, {good} ok, {failed} failed, {skipped} skipped.",
        "",
        "| phone | Debian package | version |",
        "|---|---|---|",
        *(f"| {kind} | {package} | {_version(package)} |" for kind, package in PACKAGES.items()),
        "| own | - | `secp2psip call` and `secp2psip listen` |",
        "",
        "### Who calls whom over UDP",
        "",
        "A cell is ok when the caller was registered and called by name, its adapter answered 302, the next",
        "INVITE went to the callee's phone, the sound went straight between the two phones' ports, tone and",
        "speech were heard both ways, and the BYE was answered. The figure is the time from the first INVITE to",
        "the callee's 200, one call each.",
        "",
        f"| caller \\ callee | {' | '.join(CALLEES)} |",
        f"|---|{'---|' * len(CALLEES)}",
    ]
    plain = {(row["caller"], row["callee"]): row for row in rows if row["case"] == "call" and row["transport"] == "udp"}
    for caller in CALLERS:
        cells = [_cell(plain.get((caller, callee))) for callee in CALLEES]
        lines.append(f"| {caller} | {' | '.join(cells)} |")
    lines += [
        "",
        "linphone's redirected INVITE goes through the adapter's stateless forward (its stock account sends it back to",
        "the registrar); nothing after it does. sipp's own part is scripted, so a pass says what its peer did.",
        "",
        "### The other cases",
        "",
        "| case | caller | callee | over | | remark |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if (row["case"], row["transport"]) != ("call", "udp"):
            state = "skipped" if row["skipped"] else "ok" if row["ok"] else "**failed**"
            why = row["why"].replace("|", "\\|")
            if row["ok"] and row["setup_ms"]:
                why = f"up after {row['setup_ms']:.0f} ms"
            lines.append(
                f"| {row['case']} | {row['caller']} | {row['callee'] or '-'} | {row['transport']} | {state} | {why} |"
            )
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["skipped"]:
        return "skipped"
    return f"ok, {row['setup_ms']:.0f} ms" if row["ok"] else f"**failed**: {row['why']}"


def _version(package: str) -> str:
    query = ("dpkg-query", "-W", "-f", "${Version}", package)
    found = subprocess.run(query, check=False, capture_output=True, text=True)
    return found.stdout.strip() or "not installed"


if __name__ == "__main__":
    write()
