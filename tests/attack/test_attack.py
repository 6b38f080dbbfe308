"""A few cells of `make attack` in each test run, and what is made of the rows."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.attack import message_level, plan, plot, promises, ring_level
from tests.attack.__main__ import main
from tests.attack.lies import ATTACKS, LEAKED
from tests.attack.rows import Cell, Tally, Verdict, wilson

FEW = 12


def cell(variant: str, attack: str, liars: int, *, k: int = 3, n: int = 7, calls: int = FEW) -> Cell:
    return Cell(variant=variant, attack=attack, level="holder", liars=liars, of=n, k=k, n=n, calls=calls, seed=1)


def row(**changes):
    tally = Tally()
    for _ in range(10):
        tally.add(Verdict.OK, 100.0)
    return tally.row(cell("secp2psip", "drop", 2)) | changes


@pytest.mark.parametrize("attack", ATTACKS)
def test_fewer_than_k_liars_forge_nothing_and_stop_no_call(attack):
    played = plan.play(cell("secp2psip", attack, 2))
    assert (played["ok"], played["forged"]) == (FEW, 0), played


@pytest.mark.parametrize("attack", sorted(set(ATTACKS) - LEAKED))
def test_holders_without_a_key_of_the_server_forge_nothing_even_if_all_of_them_lie(attack):
    assert plan.play(cell("secp2psip", attack, 7))["forged"] == 0


@pytest.mark.parametrize("attack", message_level.ATTACKS)
def test_no_message_attack_forges_or_stops_a_call(attack):
    one = Cell(variant="secp2psip", attack=attack, level="message", liars=1, of=9, k=3, n=7, calls=4, seed=2)
    played = plan.play(one)
    assert (played["ok"], played["forged"]) == (4, 0), played


def test_an_outsider_overwrites_nothing_here_and_everything_in_a_stock_dht():
    cells = [
        Cell(variant=v, attack=ring_level.OVERWRITE, level="ring", liars=1, of=60, k=3, n=7, calls=6, seed=1)
        for v in ("secp2psip", "stock")
    ]
    ours, stock = map(plan.play, cells)
    assert (ours["ok"], ours["forged"]) == (6, 0)
    assert stock["forged"] > 0


@pytest.mark.parametrize("attack", ring_level.ATTACKS)
def test_evil_nodes_of_a_ring_forge_nothing_and_stop_few_calls(attack):
    one = Cell(variant="secp2psip", attack=attack, level="ring", liars=18, of=60, k=3, n=7, calls=5, seed=1)
    played = plan.play(one)
    assert played["forged"] == 0
    assert played["ok"] >= 4, played


def test_a_fifth_of_the_ring_dead_costs_less_than_half_a_second():
    one = Cell(variant="secp2psip", attack=ring_level.DEAD, level="ring", liars=12, of=60, k=3, n=7, calls=20, seed=1)
    played = plan.play(one)
    assert played["ok"] == 20
    assert played["p95_ms"] < 500


def test_n_minus_k_droppers_stop_no_call():
    assert plan.play(cell("secp2psip", "drop", 4))["ok"] == FEW


def test_where_the_claim_ends_liars_with_the_leaked_key_do_harm():
    assert plan.play(cell("secp2psip", "leaked, own dealing", 3))["ok"] == 0
    assert plan.play(cell("secp2psip", "leaked, own dealing", 5))["forged"] == FEW


def test_the_scheme_as_printed_takes_a_key_from_one_liar_and_works_without_liars():
    assert plan.play(cell("paper", plan.NOBODY, 0))["ok"] == FEW
    assert plan.play(cell("paper", "chosen key, colluding", 1, calls=100))["forged"] > 0


def test_a_cell_plays_the_same_again():
    one = cell("paper", "chosen key, colluding", 2, calls=40)
    assert plan.play(one) == plan.play(one)


def test_a_broken_promise_is_told_with_its_row():
    good, bad = row(), row(forged=1, ok=9)
    told = {judged.sentence: judged.broken for judged in promises.judge([good, bad])}
    assert bad in told["secp2psip: fewer than k liars forge nothing, the dealing key leaked or not"]
    assert bad in told["secp2psip: fewer than k liars stop no call"]
    assert not any(promise.broken for promise in promises.judge([good]))


def test_every_promise_is_tried_in_a_whole_run():
    cells = plan.processes(1) + plan.whole(1)
    rows = [Tally().row(one) for one in cells]
    assert [judged.sentence for judged in promises.judge(rows) if not judged.rows] == []
    names = {(one.level, one.variant, one.attack, one.liars, one.k) for one in cells}
    assert len(names) == len(cells)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"attack": "leaked, solving", "liars": 2, "forged": 1}, "fewer than k liars forge nothing"),
        ({"attack": "leaked, solving", "liars": 2, "ok": 9}, "fewer than k liars stop no call"),
        ({"attack": "garbage", "liars": 7, "forged": 1, "ok": 0}, "evil nodes alone, however many, forge nothing"),
        ({"attack": "drop", "liars": 4, "ok": 9}, "up to n-k droppers stop no call"),
        ({"attack": "mix", "liars": 60, "level": "ring", "ok": 9}, "99% of calls succeed with up to 30 %"),
        ({"attack": ring_level.DEAD, "liars": 40, "level": "ring", "p95_ms": 500.0}, "95 of 100 calls are set up"),
        ({"attack": "flood", "liars": 1, "level": "message", "ok": 9}, "no message attack keeps"),
        ({"attack": "flood", "liars": 1, "level": "message", "forged": 1}, "evil nodes alone"),
        ({"attack": "drop", "liars": 2, "level": "process", "ok": 9}, "real processes: fewer than k liars"),
        ({"attack": "leaked, solving", "liars": 2, "level": "process", "forged": 1}, "real processes: fewer than k"),
        ({"attack": "silent nodes", "liars": 2, "level": "process", "p95_ms": 1000.0}, "real processes: 95 of 100"),
        ({"variant": "paper", "liars": 1}, "paper: one liar gets a key"),
        ({"variant": "stock", "attack": ring_level.OVERWRITE, "level": "ring"}, "stock: one outsider"),
    ],
)
def test_each_promise_breaks_by_the_row_that_it_is_about(bad, sentence):
    told = [judged.sentence for judged in promises.judge([row(**bad)]) if judged.broken]
    assert any(sentence in one for one in told), told


@pytest.mark.parametrize("breaks", [False, True])
def test_a_broken_promise_is_exit_code_1(monkeypatch, tmp_path, breaks):
    only = "holder secp2psip drop"
    monkeypatch.setattr(
        "sys.argv", ["attack", "--quick", "--jobs", "1", "--calls", "1", "--only", only, "--out", str(tmp_path)]
    )
    if breaks:
        never = promises.Promise("nothing goes wrong, ever", lambda _row: True, lambda row: row["refused"] == 0)
        monkeypatch.setattr(promises, "PROMISES", (never,))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == int(breaks)
    rows = json.loads((tmp_path / "attack.json").read_text())
    wanted = [
        "variant",
        "attack",
        "level",
        "liars",
        "of",
        "k",
        "n",
        "calls",
        "ok",
        "refused",
        "stale",
        "forged",
        "p50_ms",
        "p99_ms",
        "ci95",
    ]
    assert rows
    assert all(set(wanted) <= set(one) for one in rows)


def test_a_baseline_that_does_not_fail_is_told():
    broken = [judged for judged in promises.judge([row(variant="paper", liars=1)]) if judged.broken]
    assert [judged.sentence for judged in broken] == ["paper: one liar gets a key of its choice accepted"]


def test_intervals_are_wilsons():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(500, 500) == pytest.approx((0.99238, 1.0), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_the_picture_is_sound_and_has_a_panel_for_each_attack():
    rows = [row(attack=attack, liars=liars) for attack in ("drop", "garbage") for liars in (1, 2)]
    svg = ET.fromstring(plot.draw(rows))
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("drop") == texts.count("garbage") == 1
