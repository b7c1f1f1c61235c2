"""Settings: where they come from, and what a wrong one says."""

import re
from pathlib import Path

import pytest

from app.settings import SETTINGS, SettingsError, embedded_redis_socket, load_settings


def test_defaults_hold_without_an_environment(tmp_path: Path) -> None:
    settings = load_settings({"DATA_DIR": str(tmp_path)})
    assert settings["DATABASE_URL"] == f"sqlite:///{tmp_path}/switchyard.db"
    assert settings["REDIS_URL"].startswith("unix://")
    assert settings["ENCRYPTION_KEYS"] == ()
    assert settings["PORT"] == 8000
    assert settings["OUTBOUND_ALLOW"] == ("127.0.0.1:11434",)


def test_the_environment_wins_over_the_secrets_file(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text(
        "# made by make up\nSECRET_KEY=" + "f" * 40 + "\nPORT = 9000\n\nENCRYPTION_KEYS=a,b\n"
    )
    settings = load_settings({"DATA_DIR": str(tmp_path), "PORT": "9001", "HOST": ""})
    assert settings["SECRET_KEY"] == "f" * 40
    assert settings["PORT"] == 9001
    assert settings["HOST"] == "127.0.0.1"  # empty is not set
    assert settings["ENCRYPTION_KEYS"] == ("a", "b")
    # Under either of its names: a wrong one is to be noticed, not passed over.
    settings = load_settings({"DATA_DIR": str(tmp_path), "ENCRYPTION_KEY": "c"})
    assert settings["ENCRYPTION_KEYS"] == ("c",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("DATABASE_URL", "mysql://host/db"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "sqlite://"),  # in memory: each process would have its own
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("REDIS_URL", "http://host"),
        ("SECRET_KEY", "short"),
        ("ADMIN_TOKEN", "short"),
        ("ADMIN_EMAIL", "admin"),
        ("ADMIN_EMAIL", "admin@host"),
        ("ADMIN_EMAIL", "admin@127.0.0.1"),
        ("ADMIN_PASSWORD", "short"),
        ("SESSION_COOKIE_SECURE", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("RATE_LIMIT_API", "many"),
        ("RATE_LIMIT_API", "0"),
        ("WEB_CONCURRENCY", "two"),
        ("WEB_WORKER_CLASS", "sync"),
        ("WS_HEARTBEAT", "-1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_takes(tmp_path: Path, name: str, text: str) -> None:
    setting = next(s for s in SETTINGS if s.name == name)
    with pytest.raises(SettingsError) as caught:
        load_settings({"DATA_DIR": str(tmp_path), name: text})
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert str(setting.parse.__doc__) in message
    assert setting.help in message
    assert (repr(text) in message) is not setting.secret


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "mysql://user:canary@host/db"),
        ("DATABASE_URL", "postgresql://user:p@canary@host/db"),  # as %40, it would be a password
        ("REDIS_URL", "http://:canary@host/0"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(tmp_path: Path, name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=r"//\*\*\*@host") as caught:
        load_settings({"DATA_DIR": str(tmp_path), name: url})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@host/db",
        "postgres://u@host/db",
        "postgresql+psycopg2://u@host/db",
        "postgresql+psycopg://u@/db?host=/run/postgresql",
    ],
)
def test_postgresql_is_spoken_to_by_psycopg_3(tmp_path: Path, url: str) -> None:
    settings = load_settings({"DATA_DIR": str(tmp_path), "DATABASE_URL": url})
    assert settings["DATABASE_URL"].startswith("postgresql+psycopg://u")
    assert ("p%40ss" in settings["DATABASE_URL"]) == ("p%40ss" in url)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"# mine\nPORT=9000\nSECRET_KEYS=canary\n", "line 3"),
        (b"ENCRYPTION_KEYS=half\ncanary=\n", "line 2"),  # of a key
        (b"SECRET_KEY=\xff\xfe", "no text"),
    ],
)
def test_what_is_wrong_with_the_secrets_file_is_told(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "secrets.env").write_bytes(content)
    with pytest.raises(SettingsError, match=told) as caught:
        load_settings({"DATA_DIR": str(tmp_path)})
    assert str(tmp_path / "secrets.env") in str(caught.value)
    assert "canary" not in str(caught.value)


def test_data_dir_that_will_not_do_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    # SQLAlchemy's URLs have no way to write a question mark: the database would lie elsewhere.
    for folder in (file, tmp_path / "why?"):
        with pytest.raises(SettingsError, match=f"DATA_DIR: {re.escape(str(folder))}"):
            load_settings({"DATA_DIR": str(folder)})


def test_one_encryption_key_is_enough(tmp_path: Path) -> None:
    settings = load_settings({"DATA_DIR": str(tmp_path), "ENCRYPTION_KEY": "one"})
    assert settings["ENCRYPTION_KEYS"] == ("one",)
    both = {"DATA_DIR": str(tmp_path), "ENCRYPTION_KEY": "one", "ENCRYPTION_KEYS": "two, three"}
    assert load_settings(both)["ENCRYPTION_KEYS"] == ("two", "three")


@pytest.mark.parametrize(("text", "rate"), [("60", "60 per minute"), ("5 per second",) * 2])
def test_a_bare_rate_is_per_minute(tmp_path: Path, text: str, rate: str) -> None:
    settings = load_settings({"DATA_DIR": str(tmp_path), "RATE_LIMIT_API": text})
    assert settings["RATE_LIMIT_API"] == rate


def test_the_embedded_redis_is_reachable_however_deep_the_folder(tmp_path: Path) -> None:
    assert embedded_redis_socket("/srv/data") == Path("/srv/data/redis/redis.sock")
    deep = tmp_path / ("x" * 90)
    assert len(str(embedded_redis_socket(deep))) < 100
    assert embedded_redis_socket(deep) == embedded_redis_socket(deep)
    assert embedded_redis_socket(deep) != embedded_redis_socket(tmp_path / ("y" * 90))


def test_every_setting_has_help_and_secrets_are_marked() -> None:
    names = [setting.name for setting in SETTINGS]
    assert len(names) == len(set(names))
    for setting in SETTINGS:
        assert setting.help.endswith(".")
        assert setting.parse.__doc__
        looks_secret = any(word in setting.name for word in ("KEY", "PASSWORD", "TOKEN", "SALT"))
        assert setting.secret == (looks_secret and "PER_TOKEN" not in setting.name), setting.name
