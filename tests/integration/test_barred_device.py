"""A device that the operator bars: it gets no credential for any name, and its owner keeps his on another one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapter.enrolment import EnrolmentRefused
from bootstrap.cli import main
from bootstrap.keys import load
from tests.integration.bootstrap_support import Registrant, serving


def office(data, capsys, *words) -> list[dict]:
    """Run an operator's command beside the server; return what it says."""
    assert main([*words, "--data", str(data), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def refused(registrant, server) -> EnrolmentRefused:
    with pytest.raises(EnrolmentRefused) as caught:
        await registrant.enrol(server.address)
    return caught.value


@pytest.mark.parametrize("by", ["name", "id"])
async def test_a_barred_device_gets_no_credential_for_any_name(tmp_path, capsys, by):
    alice = Registrant(aor="alice")
    async with serving(tmp_path) as watched:
        await alice.enrol(watched.server.address)
        ident = load(tmp_path).node_id(alice.node_key.public).hex()
        (said,) = office(tmp_path, capsys, "nodes", "bar", "alice" if by == "name" else ident[:8])
        assert (said["barred"], said["names"]) == (ident, ["alice"])
        thief = Registrant(aor="mallory", node_key=alice.node_key)
        for registrant in (alice, thief):
            error = await refused(registrant, watched.server)
            assert (error.code, "barred" in str(error)) == ("policy", True)
        # the name is no device: its owner goes on with another one
        await replace(alice, node_key=Registrant(aor="x").node_key).enrol(watched.server.address)
        listed = {row["node"]: row for row in office(tmp_path, capsys, "nodes", "list")}
        assert len(listed) == 2
        assert listed[ident]["barred_at"] is not None


async def test_it_stays_barred_over_a_restart_until_the_operator_takes_it_back(tmp_path, capsys):
    alice = Registrant(aor="alice")
    async with serving(tmp_path) as watched:
        await alice.enrol(watched.server.address)
        office(tmp_path, capsys, "nodes", "bar", "alice")
    async with serving(tmp_path) as watched:
        assert (await refused(alice, watched.server)).code == "policy"
        office(tmp_path, capsys, "nodes", "unbar", "alice")
        await alice.enrol(watched.server.address)


async def test_what_names_no_device_or_several_bars_none(tmp_path, capsys):
    async with serving(tmp_path) as watched:
        await Registrant(aor="alice").enrol(watched.server.address)
        for text in ("bob", "ff", "f" * 40):
            assert main(["nodes", "bar", text, "--data", str(tmp_path)]) != 0
        assert "no device is known as" in capsys.readouterr().err
        assert [row["barred_at"] for row in office(tmp_path, capsys, "nodes", "list")] == [None]
