"""`--accept`: one policy for a device and others for some of its users, in flags, variables and the file."""

import pytest

from adapter.config import load_settings
from adapter.problems import UsageProblem
from adapter.whose_calls import WhoseCalls, read_whose_calls


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "secp2psip" / "config.toml"
    path.parent.mkdir()
    return path


def test_everyone_is_taken_where_nothing_is_said():
    assert load_settings({}).accept == WhoseCalls("everyone")
    assert WhoseCalls().taken_by("alice") == "everyone"


@pytest.mark.parametrize(
    "given", ["contacts,alice=nobody", ["contacts", "alice=nobody"], ["Alice=nobody", " contacts "]]
)
def test_what_one_user_says_beats_what_holds_for_all(given):
    whose = read_whose_calls(given)
    assert (whose.taken_by("alice"), whose.taken_by("bob")) == ("nobody", "contacts")
    assert read_whose_calls(str(whose)) == whose, "as secp2psip config shows it, it can be written"


def test_one_user_alone_may_be_careful():
    assert str(read_whose_calls("alice=contacts")) == "everyone,alice=contacts"


def test_flag_variable_and_file_say_it_alike(file, monkeypatch):
    file.write_text('accept = ["contacts", "alice=nobody"]\n')
    assert load_settings({}).accept.taken_by("alice") == "nobody"
    monkeypatch.setenv("SECP2PSIP_ACCEPT", "nobody,alice=contacts")
    assert load_settings({}).accept == WhoseCalls("nobody", {"alice": "contacts"})
    assert load_settings({"accept": ["bob=everyone"]}).accept == WhoseCalls("everyone", {"bob": "everyone"})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("friends", "friends"),
        ("alice=friends", "friends"),
        ("=contacts", "''"),
        ("al ice=contacts", "al ice"),
        (["contacts", "nobody"], "all users"),
        (["alice=contacts", "alice=nobody"], "alice"),
        ([1], "text"),
        (None, "text"),
    ],
)
def test_what_cannot_be_meant_is_named(given, named):
    with pytest.raises(UsageProblem, match=named):
        read_whose_calls(given)
