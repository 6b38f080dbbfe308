"""What a command imports before it does anything: a question to a running adapter does not load a whole one."""

from __future__ import annotations

import subprocess
import sys

import pytest

WHOLE_ADAPTER = {"adapter.service", "adapter.discovery", "kademlia", "sqlite3", "zeroconf", "aiosipua"}


@pytest.mark.parametrize("command", ["status", "lookup", "contacts", "calls", "config", "call", "listen"])
def test_a_command_begins_without_what_only_an_adapter_needs(command):
    code = f"import sys, adapter.cli, adapter.commands.{command}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"adapter.commands.{command}" in loaded
    assert not WHOLE_ADAPTER & set(loaded)
