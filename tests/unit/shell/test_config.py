"""Flags over the file over the defaults, and readers that refuse what makes no sense."""

from pathlib import Path

import pytest

from adapter.config import (
    MAX_USERS,
    Settings,
    default_state_dir,
    format_address,
    load_settings,
    parse_address,
    parse_user,
)
from adapter.config_sources import collect, default_config_file, strange_variables
from adapter.problems import UsageProblem
from overlay.errors import LocalError


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = default_config_file()
    path.parent.mkdir(parents=True)
    return path


def test_without_flags_and_file_there_are_defaults(file):
    settings = load_settings({})
    assert settings == Settings(state_dir=default_state_dir())
    assert settings.state_dir.name == "secp2psip"


def test_a_flag_beats_the_file_and_the_file_beats_the_default(file):
    file.write_text('users = ["alice"]\nbootstrap = "10.0.0.1"\nsip = "10.0.0.2"\nring = "10.0.0.2:4000"\ncode = "x"\n')
    settings = load_settings({"users": ["bob"], "bootstrap": None, "sip": "10.0.0.3:5090", "json": True})
    assert settings.users == ("bob",)
    assert (settings.bootstrap, settings.sip, settings.ring) == (
        ("10.0.0.1", 5480),
        ("10.0.0.3", 5090),
        ("10.0.0.2", 4000),
    )
    assert (settings.code, settings.json, settings.trace) == ("x", True, False)


def test_one_user_may_be_written_alone(file):
    file.write_text('user = "Alice"\n')
    assert load_settings({}).users == ("alice",)


def test_the_same_user_twice_is_one(file):
    assert load_settings({"users": ["alice", "ALICE", "%61lice"]}).users == ("alice",)


def test_the_home_directory_is_expanded(file, monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    assert load_settings({"state": "~/phone"}).state_dir == Path("/home/alice/phone")


def test_an_overlay_key_is_32_hexadecimal_digits(file):
    assert load_settings({"overlay_key": "7aa1eb5aedef827889b282986c484557"}).overlay_key.hex().startswith("7aa1")
    for text in ("7aa1", "z" * 32, "7aa1eb5aedef827889b282986c48455700"):
        with pytest.raises(UsageProblem, match="fingerprint"):
            load_settings({"overlay_key": text})


@pytest.mark.parametrize(
    "text", ['users = "alice"', "users = [1]", "user = 7", "state = 7", "sip = 5070", "code = true", "accept = 7"]
)
def test_a_key_of_the_wrong_type_is_named(file, text):
    file.write_text(text)
    with pytest.raises(UsageProblem):
        load_settings({})


def test_a_directory_is_no_configuration_file(file, tmp_path):
    with pytest.raises(UsageProblem, match="cannot be read"):
        load_settings({}, config=tmp_path)


def test_too_many_users_are_refused(file):
    with pytest.raises(UsageProblem, match="at most"):
        load_settings({"users": [f"user{number}" for number in range(MAX_USERS + 1)]})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.10", ("192.168.1.10", 5480)),
        ("192.168.1.10:1", ("192.168.1.10", 1)),
        ("bootstrap.lan:5481", ("bootstrap.lan", 5481)),
        (" 10.0.0.1:0 ", ("10.0.0.1", 0)),
        ("[::1]:5480", ("::1", 5480)),
        ("[::1]", ("::1", 5480)),
        ("::1", ("::1", 5480)),
    ],
)
def test_an_address_is_read(text, address):
    assert parse_address(text, default_port=5480) == address


@pytest.mark.parametrize(
    "text", ["", ":", ":5480", "host:", "host:-1", "host:65536", "host:\u0661", "a b:1", "sip:bob@x:1", "a:b:1"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageProblem) as caught:
        parse_address(text, default_port=5480)
    assert "HOST:PORT" in caught.value.hint


def test_the_ring_has_an_address_or_one_of_each_family():
    assert load_settings({}).ring is load_settings({}).other_ring is None
    one = load_settings({"ring": ["[::1]:7"]})
    assert (one.ring, one.other_ring) == (("::1", 7), None)
    both = load_settings({"ring": ["192.0.2.1:7", "2001:db8::1"]})
    assert (both.ring, both.other_ring) == (("192.0.2.1", 7), ("2001:db8::1", 0))
    for wrong in (["192.0.2.1", "192.0.2.2"], ["::1", "::2"], ["192.0.2.1", "::1", "192.0.2.2"]):
        with pytest.raises(UsageProblem, match="of one family"):
            load_settings({"ring": wrong})


def test_a_file_names_the_ring_s_addresses_alone_or_in_a_list(tmp_path):
    file = tmp_path / "config.toml"
    for text, other in (('"192.0.2.1:7"', None), ('["192.0.2.1:7", "[2001:db8::1]:8"]', ("2001:db8::1", 8))):
        file.write_text(f"ring = {text}\n")
        settings = load_settings({}, config=file)
        assert (settings.ring, settings.other_ring) == (("192.0.2.1", 7), other)
    file.write_text("ring = 7\n")
    with pytest.raises(UsageProblem):
        load_settings({}, config=file)


def test_an_address_is_printed_as_it_is_typed():
    assert format_address(("10.0.0.1", 5)) == "10.0.0.1:5"
    assert format_address(("::1", 5)) == "[::1]:5"


def test_a_user_is_spelt_as_on_the_ring():
    assert parse_user("Bob") == "bob"
    with pytest.raises(UsageProblem):
        parse_user("bob@home")


def test_settings_hold_what_they_promise():
    with pytest.raises(LocalError):
        Settings(state_dir=Path(), users=("a", "a"))
    with pytest.raises(LocalError):
        Settings(state_dir=Path(), overlay_key=b"short")


def test_who_has_no_home_is_asked_for_a_place(monkeypatch, tmp_path):
    def homeless(_app):
        raise RuntimeError("no home")

    monkeypatch.setattr("adapter.config.platformdirs.user_config_path", homeless)
    monkeypatch.setattr("adapter.config.platformdirs.user_state_path", homeless)
    with pytest.raises(UsageProblem, match="there is no home directory") as caught:
        load_settings({})
    assert "--state DIR" in caught.value.hint
    assert load_settings({"state": str(tmp_path)}).state_dir == tmp_path


def test_a_bootstrap_server_has_a_port():
    with pytest.raises(UsageProblem, match="no port 0"):
        load_settings({"bootstrap": "192.0.2.1:0"})


def test_a_flag_beats_a_variable_and_a_variable_beats_the_file(file):
    file.write_text('user = "alice"\nsip = "10.0.0.1"\naccept = "contacts"\n')
    variables = {"SECP2PSIP_SIP": "10.0.0.2", "SECP2PSIP_USERS": "bob,carol", "SECP2PSIP_CODE": ""}
    chosen = collect({"sip": "10.0.0.3", "ring": None}, config=None, environment=variables)
    assert (chosen["sip"].value, chosen["sip"].source) == ("10.0.0.3", "flag --sip")
    assert (chosen["users"].value, chosen["users"].source) == (["bob", "carol"], "variable SECP2PSIP_USERS")
    assert (chosen["accept"].value, chosen["accept"].source) == ("contacts", f"file {file}")
    assert chosen.keys() == {"sip", "users", "accept"}, "what is empty was not chosen"


def test_a_variable_counts_in_the_settings(file, monkeypatch):
    monkeypatch.setenv("SECP2PSIP_BOOTSTRAP", "10.0.0.9")
    assert load_settings({}).bootstrap == ("10.0.0.9", 5480)


def test_a_misspelt_key_is_answered_with_the_nearest(file):
    file.write_text('bootstrp = "10.0.0.1"\n')
    with pytest.raises(UsageProblem, match="unknown key 'bootstrp'") as caught:
        load_settings({})
    assert caught.value.hint == "did you mean bootstrap?"


def test_variables_that_are_no_settings_are_named():
    assert strange_variables({"SECP2PSIP_SPI": "x", "SECP2PSIP_SIP": "x", "HOME": "/"}) == ["SECP2PSIP_SPI"]
