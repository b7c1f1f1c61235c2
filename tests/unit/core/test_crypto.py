"""Secrets: the mask, the keyring, what a sealed key is bound to."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from app.core.crypto import (
    Keyring,
    KeyUnreadable,
    Secret,
    hash_token,
    new_key_id,
    new_token,
    open_key,
    origin_of,
    seal_key,
)
from app.settings import SettingsError

CANARY = "sk-canary-0123456789"
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
PLACE: dict[str, Any] = {
    "entity": "provider",
    "key_id": "k-1",
    "origin": "https://api.openai.com:443",
}


@pytest.fixture
def app() -> Iterator[Flask]:
    """An app with a keyring and nothing else."""
    app = Flask(__name__)
    app.extensions["keyring"] = Keyring([NEW])
    with app.app_context():
        yield app


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r}".format,
        "{0!s:>40}".format,
        "%s".__mod__,
        lambda secret: "%r" % [secret],
        lambda secret: json.dumps({"key": secret}, default=str),
        lambda secret: str({"key": [secret]}),
        lambda secret: str(Exception(secret)),
    ],
)
def test_a_secret_does_not_show(show: Any) -> None:
    shown = show(Secret(CANARY))
    assert "canary" not in shown
    assert "****" in shown


@pytest.mark.parametrize("take", [json.dumps, pickle.dumps, copy.copy, copy.deepcopy, vars, iter])
def test_a_secret_does_not_leave_its_wrapper(take: Any) -> None:
    with pytest.raises(TypeError) as caught:
        take(Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_a_secret_stays_out_of_logs_and_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(CANARY)
    logging.getLogger("any").warning("key %s %r", secret, secret)
    assert CANARY not in caplog.text
    try:
        raise ValueError(secret)
    except ValueError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert CANARY not in "".join(line for line in lines if "CANARY" not in line)


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert hash(Secret(CANARY)) == hash(Secret(CANARY))
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY).get_secret_value() == CANARY


def test_a_key_opens_where_it_belongs(app: Flask) -> None:
    sealed = seal_key(Secret(CANARY), **PLACE)
    assert CANARY not in sealed
    assert open_key(sealed, **PLACE) == Secret(CANARY)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"key_id": "k-2"},
        {"entity": "llm_config"},
        {"origin": "https://evil.example:443"},
        {"origin": "http://api.openai.com:80"},
    ],
    ids=str,
)
def test_a_key_opens_nowhere_else(app: Flask, elsewhere: dict[str, Any]) -> None:
    sealed = seal_key(Secret(CANARY), **PLACE)
    with pytest.raises(KeyUnreadable) as caught:
        open_key(sealed, **(PLACE | elsewhere))
    assert CANARY not in str(caught.value)


def test_one_purpose_means_nothing_to_another() -> None:
    ring = Keyring([NEW])
    sealed = ring.seal("canary", {"text": "x"})
    with pytest.raises(KeyUnreadable):
        ring.open("provider", sealed)


def test_the_first_key_seals_and_all_open() -> None:
    sealed_by_old = Keyring([OLD]).seal("p", {"text": "x"})
    both = Keyring([NEW, OLD])
    assert both.open("p", sealed_by_old) == {"text": "x"}
    assert not both.is_current("p", sealed_by_old)
    rotated = both.rotate("p", sealed_by_old)
    assert both.is_current("p", rotated)
    assert Keyring([NEW]).open("p", rotated) == {"text": "x"}
    with pytest.raises(KeyUnreadable):
        Keyring([OLD]).open("p", rotated)


@pytest.mark.parametrize("sealed", ["", "nonsense", "gAAAAA==", "é"])
def test_what_was_never_sealed_is_unreadable(sealed: str) -> None:
    ring = Keyring([NEW])
    with pytest.raises(KeyUnreadable):
        ring.open("p", sealed)
    with pytest.raises(KeyUnreadable):
        ring.rotate("p", sealed)
    assert not ring.is_current("p", sealed)


def test_a_missing_key_says_how_to_make_one() -> None:
    with pytest.raises(SettingsError, match=r"ENCRYPTION_KEYS.*generate_key"):
        Keyring([])


@pytest.mark.parametrize(
    "key",
    ["short", "é" * 44, NEW[:-2], "not base64 " * 4],
    ids=["short", "not ASCII", "cut off", "not base64"],
)
def test_a_malformed_key_is_named_by_its_place_only(key: str) -> None:
    with pytest.raises(SettingsError, match="key 2 is not a Fernet key") as caught:
        Keyring([NEW, key])
    assert key not in str(caught.value)
    assert NEW not in str(caught.value)


def test_a_keyring_does_not_show_its_keys() -> None:
    assert NEW not in repr(Keyring([NEW]))


def test_a_fingerprint_is_stable_and_says_nothing() -> None:
    first, second = Keyring([NEW, OLD]), Keyring([NEW])
    assert first.fingerprint(CANARY) == second.fingerprint(CANARY)
    assert first.fingerprint(CANARY) != first.fingerprint(CANARY + "x")
    assert first.fingerprint(CANARY) != Keyring([OLD]).fingerprint(CANARY)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://API.OpenAI.com/v1", "https://api.openai.com:443"),
        ("https://api.openai.com:443/v1/other", "https://api.openai.com:443"),
        ("http://api.openai.com/v1", "http://api.openai.com:80"),
        ("http://[::1]:11434", "http://::1:11434"),
        ("HTTP://host:8080", "http://host:8080"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_ids_and_tokens_are_fresh() -> None:
    assert len({new_key_id() for _ in range(100)}) == 100
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("sy_") and len(token) > 40 for token in tokens)
    assert len({hash_token(token) for token in tokens}) == 100
