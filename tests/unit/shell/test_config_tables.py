"""The tables of the configuration file: passwords of phones elsewhere, and limits."""

import hashlib

import pytest

from adapter.config import load_settings
from adapter.config_tables import read_limits, read_phones
from adapter.problems import UsageProblem
from adapter.sip.limits import DEFAULT_LIMITS, Limits


def test_a_password_becomes_a_hash_for_each_algorithm():
    secret = read_phones({"alice": "open sesame"})["alice"]
    assert secret.ha1["MD5"] == hashlib.md5(b"alice:secp2psip:open sesame").hexdigest()
    assert secret.ha1["SHA-256"] == hashlib.sha256(b"alice:secp2psip:open sesame").hexdigest()
    assert "sesame" not in repr(secret)


def test_a_hash_may_stand_for_the_password():
    assert dict(read_phones({"bob": {"md5": "AB" * 16}})["bob"].ha1) == {"MD5": "ab" * 16}


@pytest.mark.parametrize(("digest", "only"), [("md5", "MD5"), ("sha256", "SHA-256")])
def test_a_password_may_be_for_one_algorithm_alone(digest, only):
    both = read_phones({"alice": "open sesame"})["alice"]
    secret = read_phones({"alice": {"password": "open sesame", "digest": digest}})["alice"]
    assert dict(secret.ha1) == {only: both.ha1[only]}
    assert read_phones({"alice": {"password": "open sesame"}})["alice"] == both


@pytest.mark.parametrize(
    "table",
    [
        [],
        {"alice": {"password": ""}},
        {"alice": {"password": "secret", "digest": "sha1"}},
        {"alice": {"password": "secret", "md5": "ab" * 16}},
        {"alice": {"digest": "md5"}},
        {"alice": 7},
        {"alice": ""},
        {"alice": "x" * 300},
        {"Alice": "secret"},
        {"no name": "secret"},
        {"alice": {}},
        {"alice": {"md5": 5}},
        {"alice": {"md5": "12"}},
        {"alice": {"sha1": "00"}},
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(table):
    with pytest.raises(UsageProblem) as refused:
        read_phones(table)
    assert refused.value.hint
    assert "secret" not in refused.value.text.replace("phone's secret", "")


def test_limits_stand_over_the_usual_ones():
    assert read_limits({}) == DEFAULT_LIMITS
    assert read_limits({"transactions": 5, "calls_per_node": 2.5}) == Limits(transactions=5, calls_per_node=2.5)


@pytest.mark.parametrize(
    "table", [3, {"transaction": 1}, {"transactions": 0}, {"calls": 1.5}, {"calls": True}, {"bindings": 10**9}]
)
def test_what_is_no_limit_is_refused(table):
    with pytest.raises(UsageProblem) as refused:
        read_limits(table)
    assert refused.value.hint


def test_both_are_read_from_the_file_and_passwords_are_for_the_owner_alone(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('user = "alice"\n[phones]\nalice = "secret"\n[limits]\nquestions = 9\n')
    file.chmod(0o640)
    with pytest.raises(UsageProblem) as refused:
        load_settings({}, config=file)
    assert "chmod 600" in refused.value.hint
    file.chmod(0o600)
    settings = load_settings({}, config=file)
    assert set(settings.phones) == {"alice"}
    assert settings.limits.questions == 9
    assert "secret" not in repr(settings)
