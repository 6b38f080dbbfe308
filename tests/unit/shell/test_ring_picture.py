"""The picture of the ring: whole, well-formed, true to what was told, and legible however crowded."""

import itertools
import math
import random
from xml.etree import ElementTree as ET

import pytest

from adapter.reports import ring_with_user
from adapter.ring_geometry import TURN, fingers, lanes, spread
from adapter.ring_picture import MAX_LABELS, draw
from overlay.ring.ids import RING_SIZE, RingId, piece_position, shift

SVG = "{http://www.w3.org/2000/svg}"


def ring(count, *, seed=1):
    dice = random.Random(seed)
    ids = sorted(dice.getrandbits(160) for _ in range(count))
    me = dice.choice(ids)
    rows = [
        {"node": f"{one:040x}", "address": f"10.0.0.{i % 250}:4000", "self": one == me, "since": 1_800_000_000.0}
        | {"rtt_ms": None if one == me else 1.5, "pieces": 3 if one == me else None, "holds": {}}
        for i, one in enumerate(ids)
    ]
    return {"event": "ring", "overlay": "home", "nodes": rows}


def lookup(rows, *, bad=()):
    pieces = [
        {"index": i, "node": row["node"], "address": row["address"], "ok": i not in bad, "why": ""}
        for i, row in zip(range(1, 8), itertools.cycle(rows), strict=False)
    ]
    return {"aor": "bob", "n": 7, "k": 3, "pieces": pieces, "attackers_needed": 3, "nodes": len(rows)}


def classes(root, name):
    return [one for one in root.iter() if name in (one.get("class") or "").split()]


def words(one):
    return "".join(one.itertext())


@pytest.mark.parametrize("count", [1, 2, 3, 8, 64, MAX_LABELS + 80])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_node_is_on_the_circle_and_no_label_covers_another(count, seed):
    root = ET.fromstring(draw(ring(count, seed=seed)))
    assert len(classes(root, "node")) == count - 1 + 1  # and the legend's
    assert len(classes(root, "self")) == 1 + 1
    labels = [one for one in root.iter(f"{SVG}text") if one.get("text-anchor") in {"start", "end"}]
    width, height = float(root.get("width")), float(root.get("height"))
    for anchor in ("start", "end"):
        heights = sorted(float(one.get("y")) for one in labels if one.get("text-anchor") == anchor)
        assert all(below - above > 15 for above, below in itertools.pairwise(heights))
        assert all(0 < y < height for y in heights)
    for one in labels:
        reach = 7.25 * len(words(one))
        x = float(one.get("x"))
        assert (x + reach < width) if one.get("text-anchor") == "start" else (x - reach > 0)
    assert len(labels) == count if count <= MAX_LABELS else len(labels) < count


def test_each_contact_has_a_bow_and_the_fingers_a_strong_one():
    event = ring(64)
    root = ET.fromstring(draw(event))
    [me] = [RingId(int(row["node"], 16)) for row in event["nodes"] if row["self"]]
    strong = len(fingers(me, [RingId(int(row["node"], 16)) for row in event["nodes"]]))
    bows = [one for one in classes(root, "finger") if "Q" in one.get("d")]
    assert len(bows) == strong
    assert len([one for one in classes(root, "known") if "Q" in one.get("d")]) == 63 - strong


def test_pieces_are_drawn_from_their_places_and_bad_ones_apart():
    event = ring(8)
    root = ET.fromstring(draw(ring_with_user(event, lookup(event["nodes"], bad={4}))))
    assert sorted(words(one) for one in classes(root, "number")) == list("1234567")
    assert len([one for one in classes(root, "arc") if "bad" in one.get("class")]) == 1
    assert "bad piece 4" in words(root)
    assert "bob: 6 pieces on 6 nodes; an attacker needs 3 of 8 nodes" in words(root)


def test_a_hostile_name_stays_text():
    event = ring(3)
    event["overlay"] = '</text><script>alert("x")</script>\x00\x1b[2J&'
    event["nodes"][0]["address"] = '"><g onload="x">'
    root = ET.fromstring(draw(event))
    assert not list(root.iter(f"{SVG}script"))
    assert not [one for one in root.iter() if one.get("onload")]


@pytest.mark.parametrize("rows", [None, [], [{}], [{"node": "xy"}], [{"node": 7, "self": True}], ["x"]])
def test_an_answer_that_lacks_everything_is_still_drawn(rows):
    assert ET.fromstring(draw({"event": "ring", "nodes": rows, "lookup": {"pieces": rows}})).tag == f"{SVG}svg"


def test_a_user_comes_into_the_ring_with_places_and_holders_that_are_not_known():
    event = ring(8)
    known, stranger = event["nodes"][:7], event["nodes"][7]
    seen = ring_with_user(event | {"nodes": known}, lookup([stranger, *known], bad={2}))
    rows = {row["node"]: row for row in seen["nodes"]}
    assert rows[stranger["node"]]["holds"] == {"bob": [1]}
    assert rows[stranger["node"]]["known"] is False
    assert rows[known[0]["node"]]["holds"] == {}  # a bad piece is not held
    assert rows[known[1]["node"]] == known[1] | {"known": True, "holds": {"bob": [3]}}
    assert [piece["place"] for piece in seen["lookup"]["pieces"]] == [
        f"{piece_position('bob', i, 7):040x}" for i in range(1, 8)
    ]
    assert list(rows) == sorted(rows)


def test_a_piece_with_an_impossible_index_has_no_place():
    event = ring(3)
    found = lookup(event["nodes"])
    found["pieces"][0]["index"] = 9
    assert ring_with_user(event, found)["lookup"]["pieces"][0]["place"] == ""


def test_fingers_are_the_first_nodes_after_the_powers_of_two():
    dice = random.Random(4)
    me = RingId(dice.getrandbits(160))
    others = [RingId(dice.getrandbits(160)) for _ in range(40)]
    expected = {}
    for i in range(160):
        start = shift(me, 1 << i)
        first = min(others, key=lambda one: (one - start) % RING_SIZE)
        if (first - start) % RING_SIZE < (me - start) % RING_SIZE:
            expected[first] = i
    assert fingers(me, others) == expected


def test_arcs_of_one_lane_stay_apart():
    dice = random.Random(5)
    arcs = [(dice.uniform(0, TURN), dice.uniform(0, 2)) for _ in range(12)]
    chosen = lanes(arcs, apart=0.1)
    for (one, lane), (other, its) in itertools.combinations(zip(arcs, chosen, strict=True), 2):
        if lane == its:
            assert (other[0] - one[0]) % TURN >= one[1] + 0.1
            assert (one[0] - other[0]) % TURN >= other[1] + 0.1


def test_labels_move_no_more_than_they_must():
    assert spread([0, 100, 200], 20) == [0, 100, 200]
    assert spread([10, 10], 20) == [0, 20]
    assert spread([], 20) == []
    moved = spread([0, 1, 2, 90], 20)
    assert all(math.isclose(*pair) for pair in zip(moved, [-19, 1, 21, 90], strict=True))
