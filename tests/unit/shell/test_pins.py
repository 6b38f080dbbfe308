"""Pinned contacts: what changes a pin, what does not, and that the file holds them whole."""

import re
import stat

import pytest

from adapter.contact_book import change_contacts
from adapter.pin_file import CONTACTS_FILE, load_pins, save_pins
from adapter.pins import MAX_CONTACTS, Pin, Pins, digits
from adapter.problems import DamagedFile, Problem
from overlay.errors import LocalError
from tests.support.people import BOB, EVE

NOW = 1_750_000_000.0


def pin(aor="bob", keys=BOB, **changes):
    return Pin(aor=aor, bundle=keys.public.encode(), generation=1, first_seen=NOW, **changes)


def test_the_first_proof_pins_and_a_later_key_follows_with_its_mark():
    saved = []
    pins = Pins(save=saved.append)
    assert pins.note("bob", BOB.public, 1, NOW)
    assert not pins.note("bob", BOB.public, 1, NOW + 9)
    pins.verify("bob")
    assert pins.note("bob", EVE.public, 2, NOW + 20)
    assert pins.get("bob").bundle == EVE.public.encode()
    assert (pins.get("bob").verified, pins.get("bob").first_seen) == (True, NOW)
    assert len(saved) == 3


def test_the_key_of_an_older_or_the_same_generation_changes_no_pin():
    pins = Pins([pin()])
    assert not pins.note("bob", EVE.public, 1, NOW)
    assert pins.get("bob") == pin()


def test_many_names_wash_no_pin_away():
    pins = Pins([pin()])
    for number in range(MAX_CONTACTS + 5):
        pins.note(f"n{number}", EVE.public, 1, NOW)
    assert len(pins.all()) == MAX_CONTACTS
    assert pins.get("bob") == pin()


def test_the_file_is_private_and_gives_back_what_was_kept(tmp_path):
    kept = (pin(verified=True), pin("carol", EVE))
    save_pins(tmp_path, kept)
    assert load_pins(tmp_path) == kept
    assert stat.S_IMODE((tmp_path / CONTACTS_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"v":1}', '{"v":9,"contacts":[]}', '{"v":1,"contacts":[{"name":"bob"}]}'])
def test_a_damaged_file_is_no_empty_book(tmp_path, text):
    (tmp_path / CONTACTS_FILE).write_text(text)
    with pytest.raises(DamagedFile):
        load_pins(tmp_path)


def test_the_full_book_fits_the_file(tmp_path):
    save_pins(tmp_path, tuple(pin(f"{number:032d}") for number in range(MAX_CONTACTS)))
    assert len(load_pins(tmp_path)) == MAX_CONTACTS


@pytest.mark.parametrize(
    ("accept", "bob", "eve"), [("everyone", True, True), ("contacts", True, False), ("nobody", False, False)]
)
def test_whose_calls_are_taken(accept, bob, eve):
    pins = Pins([pin()])
    assert (pins.admits("bob", accept), pins.admits("eve", accept)) == (bob, eve)


def test_list_verify_forget():
    pins = Pins([pin()])
    assert [row["name"] for row in change_contacts(pins, "list", "")["contacts"]] == ["bob"]
    assert change_contacts(pins, "verify", "Bob")["contacts"][0]["verified"] is True
    assert change_contacts(pins, "forget", "bob")["contacts"][0]["name"] == "bob"
    assert pins.all() == ()
    with pytest.raises(Problem):
        change_contacts(pins, "forget", "bob")
    with pytest.raises(LocalError):
        pins.verify("bob")


def test_the_digits_to_compare_are_six_groups_of_five_and_differ_between_keys():
    texts = {digits(keys.public.thumbprint()) for keys in (BOB, EVE)}
    assert len(texts) == 2
    assert all(re.fullmatch(r"\d{5}( \d{5}){5}", text) for text in texts)
