"""What holds a key: the server's environment, and a row that seals it when it is written."""

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from flask import Flask

from app.core.crypto import Keyring, KeyUnreadable, Secret
from app.providers.keys import environment_key
from app.providers.models import Provider


@pytest.fixture(autouse=True)
def keyring() -> Iterator[Keyring]:
    app = Flask(__name__)
    app.extensions["keyring"] = Keyring([Fernet.generate_key().decode()])
    with app.app_context():
        yield app.extensions["keyring"]


@pytest.fixture
def provider() -> Provider:
    return Provider(name="p", type="openai", base_url="https://api.example/v1")


@pytest.mark.parametrize(
    ("provider_type", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("openai_compatible", "OPENAI_COMPATIBLE_API_KEY"),
        ("async.ai", "ASYNC_AI_API_KEY"),
        ("whisper.local", "WHISPER_LOCAL_API_KEY"),
    ],
)
def test_the_variable_is_named_after_the_type(
    monkeypatch: pytest.MonkeyPatch, provider_type: str, variable: str
) -> None:
    assert environment_key(provider_type) is None
    monkeypatch.setenv(variable, "sk-environment")
    key = environment_key(provider_type)
    assert key is not None
    assert key.open() == Secret("sk-environment")
    assert "sk-environment" not in repr(key)


def test_an_empty_variable_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert environment_key("openai") is None


def test_the_id_of_an_environments_key_changes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for value in ("one", "one", "two"):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        key = environment_key("openai")
        assert key is not None
        ids.append(key.key_id)
    assert ids[0] == ids[1] != ids[2]


def test_a_key_is_sealed_when_the_row_is_saved(provider: Provider) -> None:
    assert (provider.api_key_set, provider.open_api_key()) == (False, None)
    provider.set_api_key(Secret("sk-first"))
    assert provider.api_key_set
    assert provider.api_key_sealed is None
    provider.before_save()
    sealed = provider.api_key_sealed
    assert sealed is not None
    assert provider.open_api_key() == Secret("sk-first")
    provider.before_save()
    assert provider.api_key_sealed == sealed
    assert "sk-first" not in str(vars(provider))


def test_a_saved_key_does_not_open_for_another_origin_or_row(provider: Provider) -> None:
    provider.set_api_key(Secret("sk-first"))
    provider.before_save()
    provider.base_url = "https://api.example/v2"
    assert provider.open_api_key() == Secret("sk-first")
    provider.base_url = "https://evil.example/v1"
    with pytest.raises(KeyUnreadable):
        provider.open_api_key()
    thief = Provider(name="q", type="openai", base_url="https://api.example/v1")
    thief.api_key_sealed, thief.api_key_id = provider.api_key_sealed, "another"
    with pytest.raises(KeyUnreadable):
        thief.open_api_key()


def test_a_cleared_key_leaves_nothing(provider: Provider) -> None:
    provider.set_api_key(Secret("sk-first"))
    provider.before_save()
    provider.set_api_key(None)
    provider.before_save()
    assert (provider.api_key_set, provider.api_key_sealed) == (False, None)
    assert provider.open_api_key() is None
