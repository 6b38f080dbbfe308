"""Flags: what they become, and which are refused before anything starts."""

from __future__ import annotations

import pytest

from bootstrap.accounts import Accounts, OverlayFacts
from bootstrap.cli import _address, _config, _parser, main
from bootstrap.keys import ACCOUNTS_FILE
from overlay.errors import LocalError


def config(*flags, data):
    return _config(_parser().parse_args([*flags, "--data", str(data)]))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1:5999", ("192.0.2.1", 5999)),
        ("192.0.2.1", ("192.0.2.1", 5480)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:5999", ("::1", 5999)),
        ("[::1]", ("::1", 5480)),
        ("fd00::2", ("fd00::2", 5480)),
    ],
)
def test_listen_address(text, expected):
    host, port, warning = _address(text)
    assert (host, port) == expected
    assert warning == ""


def test_port_alone_takes_the_lan_address():
    host, port, _ = _address(":5999")
    assert host == _address("")[0]
    assert port == 5999
    assert _address("")[1] == 5480


def test_two_addresses_are_one_of_each_family_with_one_port(tmp_path):
    made = config("--listen", "192.0.2.1:5999", "--listen", "[2001:db8::1]:5999", data=tmp_path)
    assert (made.host, made.other_host, made.port) == ("192.0.2.1", "2001:db8::1", 5999)
    assert config("--listen", "[::1]:0", data=tmp_path).other_host == ""
    for wrong in (("192.0.2.1", "192.0.2.2"), ("[::1]:1", "[::2]:1"), ("192.0.2.1:1", "[::1]:2")):
        with pytest.raises(LocalError):
            config(*(word for text in wrong for word in ("--listen", text)), data=tmp_path)
    with pytest.raises(LocalError):
        config("--listen", "192.0.2.1", "--listen", "::1", "--listen", "192.0.2.2", data=tmp_path)


@pytest.mark.parametrize(
    "text", ["0.0.0.0:5480", "::", "224.0.0.1:5480", "host.example:5480", "192.0.2.1:99999", "1.2.3:x"]
)
def test_bad_listen_address_is_refused(text):
    with pytest.raises(LocalError):
        _address(text)


def test_defaults(tmp_path):
    made = config("--listen", "127.0.0.1:0", data=tmp_path)
    assert made.facts == OverlayFacts(name="secp2psip", k=3, n=7)
    assert made.policy.enrolments_per_day == 4
    assert made.policy.code == ""


def test_data_directory_remembers_the_threshold(tmp_path):
    with Accounts(tmp_path / ACCOUNTS_FILE) as accounts:
        accounts.fix_overlay(OverlayFacts(name="office", k=4, n=10))
    assert config("--listen", "127.0.0.1:0", data=tmp_path).facts == OverlayFacts(name="office", k=4, n=10)


def test_code_comes_from_a_file(tmp_path):
    (tmp_path / "code").write_text("open sesame\n")
    made = config("--listen", "127.0.0.1:0", "--code-file", str(tmp_path / "code"), data=tmp_path)
    assert made.policy.code == "open sesame"
    assert "sesame" not in repr(made)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--threshold", "3", "--pieces", "5"], "3"),
        (["--listen", "0.0.0.0"], "no address that others can reach"),
        (["--code-file", "/nonexistent"], "cannot be read"),
        (["--enrolments-per-day", "-1"], "negative"),
        (["--overlay", "no spaces"], "overlay name"),
        (["names", "list"], "no bootstrap server's data"),
    ],
)
def test_wrong_use_ends_with_2_and_one_sentence(tmp_path, capsys, flags, reason):
    assert main(["--data", str(tmp_path / "none"), *flags]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.splitlines()[1].startswith("hint: ")
    assert len(said.err.splitlines()) == 2
    assert reason in said.err
    assert not (tmp_path / "none").exists()


def test_who_has_no_home_is_asked_for_a_place(monkeypatch, capsys):
    def homeless(_app):
        raise RuntimeError("no home")

    monkeypatch.setattr("bootstrap.cli.platformdirs.user_data_path", homeless)
    assert main([]) == 2
    assert "--data DIR" in capsys.readouterr().err
