"""What is measured without believing the programs: who owns a port, what a recording holds.  I/O: /proc, files."""

from __future__ import annotations

import os
import wave
from pathlib import Path


def family_of(pid: int) -> set[int]:
    """Return `pid` and all its living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def owns_udp_port(pids: set[int], port: int) -> bool:
    """Tell whether one of the processes has a UDP socket bound to `port` (IPv4), by the kernel's own table."""
    inodes = set()
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            inodes.add(f"socket:[{fields[9]}]")
    for pid in pids:
        folder = Path(f"/proc/{pid}/fd")
        try:
            descriptors = list(folder.iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if str(descriptor.readlink()) in inodes:
                    return True
            except OSError:
                continue
    return False


def alive(pid: int) -> bool:
    """Tell whether a process of this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def cut(source: Path, *, from_s: float, to: Path) -> float:
    """Write what a WAV file holds from `from_s` on to another one; return how many seconds that are."""
    with wave.open(str(source), "rb") as whole:
        rate, frames = whole.getframerate(), whole.getnframes()
        start = min(frames, max(0, int(from_s * rate)))
        whole.setpos(start)
        data = whole.readframes(frames - start)
        with wave.open(str(to), "wb") as part:
            part.setnchannels(whole.getnchannels())
            part.setsampwidth(whole.getsampwidth())
            part.setframerate(rate)
            part.writeframes(data)
    return (frames - start) / rate
