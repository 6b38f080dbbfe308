"""The memory of nodes that lied: what it keeps, how much, for how long, and over a restart."""

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.liar_file import LIARS_FILE, MAX_FILE_BYTES, load_liars, save_liars
from adapter.liars import FORGET_AFTER_S, MAX_LIARS, MAX_WHY_CHARS, SAVE_EVERY_S, Liars, Lied
from adapter.problems import DamagedFile

NOW = 1_750_000_000.0
WHY = "piece not signed by the dealing key"


def node(number):
    return number.to_bytes(20, "big")


def noted(*numbers, **options):
    liars = Liars(**options)
    for second, number in enumerate(numbers):
        liars.note(node(number), WHY, NOW + second)
    return liars


def test_a_lie_is_remembered_with_its_node_its_kind_and_its_times():
    liars = noted(1, 2, 1)
    first, second = liars.all(NOW + 9)
    assert first == Lied(node=node(1), why=WHY, times=2, first_at=NOW, last_at=NOW + 2)
    assert (second.node, second.times) == (node(2), 1)
    assert liars.remembers(node(1), NOW + 9)
    assert not liars.remembers(node(3), NOW + 9)


def test_a_week_after_its_last_lie_a_node_is_as_good_as_any():
    liars = noted(1)
    assert liars.remembers(node(1), NOW + FORGET_AFTER_S)
    assert not liars.remembers(node(1), NOW + FORGET_AFTER_S + 1)
    liars.note(node(2), WHY, NOW + FORGET_AFTER_S + 1)
    assert [one.node for one in liars.all(NOW + FORGET_AFTER_S + 1)] == [node(2)]


def test_so_many_are_remembered_and_the_longest_quiet_goes_first():
    liars = noted(*range(MAX_LIARS), 0, MAX_LIARS)
    kept = {one.node for one in liars.all(NOW + MAX_LIARS)}
    assert len(kept) == MAX_LIARS
    assert node(1) not in kept
    assert node(0) in kept


def test_what_was_noted_while_the_clock_ran_ahead_does_not_stay_for_ever():
    liars = Liars([Lied(node=node(1), why=WHY, times=1, first_at=NOW, last_at=NOW + 400 * 86_400)])
    assert not liars.remembers(node(1), NOW)


def test_a_flood_of_lies_is_not_a_flood_of_writes():
    saved = []
    liars = Liars(save=saved.append)
    for tenth in range(100):
        liars.note(node(1), WHY, NOW + tenth / 10)
    assert len(saved) == 1
    liars.flush(NOW + 10)
    liars.flush(NOW + 11)
    assert [all_of_them[0].times for all_of_them in saved] == [1, 100]
    liars.note(node(2), WHY, NOW + 12)
    assert len(saved) == 3
    liars.note(node(2), WHY, NOW + 12 + SAVE_EVERY_S)
    assert len(saved) == 4


def test_a_restart_changes_nothing(tmp_path):
    liars = noted(1, 2, 1, save=lambda lied: save_liars(tmp_path, lied))
    liars.flush(NOW + 3)
    assert Liars(load_liars(tmp_path)).all(NOW + 3) == liars.all(NOW + 3)
    assert stat.S_IMODE((tmp_path / LIARS_FILE).stat().st_mode) == 0o600


def test_the_largest_memory_fits_its_file(tmp_path):
    save_liars(
        tmp_path,
        tuple(
            Lied(node=node(2**159 + n), why="w" * MAX_WHY_CHARS, times=2**31, first_at=NOW, last_at=NOW)
            for n in range(MAX_LIARS)
        ),
    )
    assert len(load_liars(tmp_path)) == MAX_LIARS
    assert (tmp_path / LIARS_FILE).stat().st_size <= MAX_FILE_BYTES


@pytest.mark.parametrize(
    "text", ["", "[]", '{"v":1}', '{"v":9,"liars":[]}', '{"v":1,"liars":[{}]}', '{"v":1,"liars":[{"node":7}]}']
)
def test_a_damaged_file_is_said_to_be_one(tmp_path, text):
    (tmp_path / LIARS_FILE).write_text(text)
    with pytest.raises(DamagedFile):
        load_liars(tmp_path)


@settings(deadline=None)  # it writes a file
@given(st.lists(st.tuples(st.integers(0, 400), st.text(max_size=200), st.floats(0, 2e9)), min_size=1, max_size=40))
def test_whatever_is_noted_can_be_kept_and_read_back(tmp_path_factory, notes):
    liars, folder = Liars(), tmp_path_factory.getbasetemp()
    for number, why, at in notes:
        liars.note(node(number), why, at)
    left = liars.all(notes[-1][2])
    save_liars(folder, left)
    assert {one.node for one in load_liars(folder)} == {one.node for one in left}
