"""Every setting: its name, its default, its help. docs/settings.md is tested against this file."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import limits

SOCKET_PATH_LIMIT = 100  # bytes; past about 107 a Unix socket can be made but not reached
SECRETS_FILE = "secrets.env"
_USER_AND_PASSWORD = re.compile(r"//.*@")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and its fix."""


class Setting(NamedTuple):
    """One setting. ``parse`` turns the environment's text into the value, or raises ValueError."""

    name: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    secret: bool = False


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    parse.__doc__ = f"a whole number from {low} to {high}"
    return parse


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError
        return text

    parse.__doc__ = "one of " + ", ".join(allowed)
    return parse


def _email(text: str) -> str:
    """an e-mail address"""
    # The rule of the accounts, or the first admin could not sign in. Here, as with the database.
    from marshmallow import ValidationError, validate

    try:
        validate.Email()(text)
    except ValidationError as error:
        raise ValueError from error
    return text


def _boolean(text: str) -> bool:
    """true or false"""
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError


def _comma_list(text: str) -> tuple[str, ...]:
    """a comma-separated list"""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _database_url(text: str) -> str:
    """a SQLAlchemy URL: sqlite:///path or postgresql://user:password@host/name"""
    # Here, for `make up` reads the settings too and would carry SQLAlchemy for nothing.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError from error
    if url.get_backend_name() in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    elif url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        raise ValueError  # several processes share it, so it has to be a file
    if "@" in (url.host or ""):
        raise ValueError  # of a password that is not encoded: its end would be in every message
    return url.render_as_string(hide_password=False)


def _redis_url(text: str) -> str:
    """redis://host:port/db, rediss://... or unix:///path/redis.sock"""
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError
    return text


def _at_least(length: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) < length:
            raise ValueError
        return text

    parse.__doc__ = f"at least {length} characters"
    return parse


def _rate(text: str) -> str:
    """a rate such as "100 per minute"; a bare number is per minute"""
    rate = f"{text} per minute" if text.isdigit() else text
    if limits.parse(rate).amount < 1:
        raise ValueError  # not "no limit", but that nobody may
    return rate


def _seed_settings(kind: str) -> tuple[Setting, ...]:
    """What the seed makes of the environment: the development agent's ``kind``."""
    names = {
        "PROVIDER": "provider type",
        "MODEL": "model",
        "API_KEY": "API key",
        "API_URL": "endpoint, where it is not the usual one",
    }
    return tuple(
        Setting(
            f"{kind}_{part}",
            None,
            str,
            f"The development agent's {kind} {what}; see `flask seed`.",
            secret=part == "API_KEY",
        )
        for part, what in names.items()
    )


SUBJECTS: dict[str, tuple[Setting, ...]] = {
    "Where things are kept": (
        Setting(
            "DATA_DIR", "instance", str, "Folder of the embedded database, the keys and the logs."
        ),
        Setting(
            "DATABASE_URL",
            None,
            _database_url,
            "Where the truth is kept. Default: SQLite in DATA_DIR; production: PostgreSQL.",
        ),
        Setting(
            "REDIS_URL",
            None,
            _redis_url,
            "Hints and the job queue. Default: the embedded Redis on a Unix socket.",
        ),
    ),
    "Web server": (
        Setting("HOST", "127.0.0.1", str, "Address the web server listens on."),
        Setting("PORT", 8000, _integer(1, 65535), "Port the web server listens on."),
        Setting("SESSION_COOKIE_SECURE", False, _boolean, "Send the cookie over HTTPS only."),
        Setting(
            "TRUSTED_PROXIES", 0, _integer(0, 10), "Reverse proxies whose X-Forwarded-* count."
        ),
        Setting("METRICS_PUBLIC", False, _boolean, "Answer /metrics without a token."),
        Setting(
            "WEB_WORKER_CLASS",
            "gthread",
            _choice("gthread", "gevent"),
            "How gunicorn serves: by threads, or for thousands of sockets.",
        ),
        Setting("WEB_CONCURRENCY", 1, _integer(1, 1000), "Web processes on this node."),
    ),
    "Keys": (
        Setting(
            "ENCRYPTION_KEYS",
            (),
            _comma_list,
            "Fernet keys, comma-separated: the first encrypts, all decrypt. Made by `make up`.",
            secret=True,
        ),
        Setting("ENCRYPTION_KEY", None, str, "One Fernet key, where one is enough.", secret=True),
        Setting(
            "SECRET_KEY",
            None,
            _at_least(32),
            "Signs the admin's session cookie. Made by `make up`.",
            secret=True,
        ),
        Setting(
            "SECURITY_PASSWORD_SALT",
            None,
            _at_least(16),
            "Peppers the password hashes. Made by `make up`.",
            secret=True,
        ),
    ),
    "First admin": (
        Setting("ADMIN_EMAIL", "admin@example.com", _email, "E-mail of the first admin."),
        Setting(
            "ADMIN_PASSWORD",
            None,
            _at_least(8),
            "Password of the first admin. Default: made up and printed once.",
            secret=True,
        ),
        Setting(
            "ADMIN_TOKEN",
            None,
            _at_least(32),
            "An unbound API token with scope `admin`, kept as a hash only.",
            secret=True,
        ),
    ),
    "Rate limits": (
        Setting("RATE_LIMIT_API", "6000 per minute", _rate, "Requests of one API token."),
        Setting("RATE_LIMIT_LOGIN", "10 per minute", _rate, "Logins of one account and address."),
    ),
    "Providers": (
        Setting(
            "OUTBOUND_ALLOW",
            ("127.0.0.1:11434",),
            _comma_list,
            "Private host:port pairs that providers may use; port * allowed. Ollama's is on.",
        ),
        Setting("OUTBOUND_DEADLINE", 10, _integer(1, 60), "Seconds one outbound request may take."),
        Setting(
            "AGENT_TEST_DEADLINE",
            120,
            _integer(1, 600),
            "Seconds a test of an agent may take, all its calls together.",
        ),
        Setting(
            "HEALTH_CHECK_INTERVAL",
            300,
            _integer(1, 86400),
            "Seconds between two checks of a provider.",
        ),
    ),
    "Usage": (
        Setting(
            "USAGE_INTAKE",
            4,
            _integer(1, 100),
            "Batches of usage that one web process stores at a time; the rest wait, "
            "then get a 429.",
        ),
        Setting(
            "USAGE_RETENTION_DAYS",
            400,
            _integer(0, 36_500),
            "Days that usage events are kept, to the end of their month; 0 = for good. Sums stay.",
        ),
    ),
    "Sockets": (
        Setting("WS_MAX_SOCKETS", 64, _integer(1, 100_000), "Open sockets of one web process."),
        Setting(
            "WS_MAX_SOCKETS_PER_TOKEN", 5000, _integer(1, 100_000), "Open sockets of one token."
        ),
        Setting("WS_HEARTBEAT", 10, _integer(1, 60), "Seconds between two heartbeats on a socket."),
    ),
    "Log": (
        Setting(
            "LOG_LEVEL", "INFO", _choice("DEBUG", "INFO", "WARNING", "ERROR"), "How much is logged."
        ),
        Setting("LOG_FORMAT", "text", _choice("text", "json"), "How a log line looks."),
    ),
    "Development agent": tuple(
        setting for kind in ("LLM", "TTS", "STT") for setting in _seed_settings(kind)
    ),
}
"""Every setting by what it is about, in the order of docs/settings.md."""
SETTINGS = tuple(setting for group in SUBJECTS.values() for setting in group)


def load_settings(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read and check every setting.

    The environment wins over ``DATA_DIR/secrets.env``, which ``make up`` writes once.
    Raises SettingsError, naming the setting and what it takes.
    """
    environ = os.environ if environ is None else environ
    data_dir = Path(environ.get("DATA_DIR") or "instance").resolve()
    if "?" in str(data_dir):  # in the database's URL, its path would end there
        raise SettingsError(f"DATA_DIR: {data_dir} has a question mark; choose another name.")
    kept, given = read_secrets(data_dir / SECRETS_FILE), {k: v for k, v in environ.items() if v}
    if "ENCRYPTION_KEY" in given:  # the same thing, spelled otherwise
        kept.pop("ENCRYPTION_KEYS", None)
    values = kept | given
    settings = {setting.name: _parse(setting, values) for setting in SETTINGS}
    settings["DATA_DIR"] = str(data_dir)
    settings["DATABASE_URL"] = settings["DATABASE_URL"] or f"sqlite:///{data_dir}/switchyard.db"
    settings["REDIS_URL"] = settings["REDIS_URL"] or f"unix://{embedded_redis_socket(data_dir)}"
    if not settings["ENCRYPTION_KEYS"] and settings["ENCRYPTION_KEY"]:
        settings["ENCRYPTION_KEYS"] = (settings["ENCRYPTION_KEY"],)
    del settings["ENCRYPTION_KEY"]
    return settings


def source_of(name: str) -> str:
    """Where this process has the setting from: the environment, the secrets' file, or nowhere."""
    if os.environ.get(name):
        return "environment"
    data_dir = Path(os.environ.get("DATA_DIR") or "instance").resolve()
    return SECRETS_FILE if read_secrets(data_dir / SECRETS_FILE).get(name) else "default"


def embedded_redis_socket(data_dir: str | Path) -> Path:
    """Where the embedded Redis listens: in the data folder, or in the temp folder if too deep."""
    path = Path(data_dir).resolve() / "redis" / "redis.sock"
    if len(os.fsencode(path)) < SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"switchyard-{os.getuid()}-{digest}" / "redis.sock"


def _parse(setting: Setting, values: Mapping[str, str]) -> Any:
    text = values.get(setting.name)
    if text is None:
        return setting.default
    try:
        return setting.parse(text)
    except ValueError as error:
        without_password = _USER_AND_PASSWORD.sub("//***@", text)
        shown = "its value (not shown)" if setting.secret else repr(without_password)
        expected = setting.parse.__doc__ or str(error)
        raise SettingsError(
            f"{setting.name}: {shown} will not do; set it to {expected}. {setting.help}"
        ) from None


def read_secrets(path: Path) -> dict[str, str]:
    """What secrets.env says; nothing where it is not there. Raises SettingsError."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"DATA_DIR: {path} cannot be read ({reason}).") from None
    known = {setting.name for setting in SETTINGS}
    found = {}
    for number, line in enumerate(lines, 1):
        name, _, value = (part.strip() for part in line.partition("="))
        if name in known:
            found[name] = value
        elif name and not name.startswith("#"):
            # Not shown: it may be the second half of a key.
            raise SettingsError(
                f"{path}: line {number} is no setting (NAME=value); docs/settings.md has them all."
            )
    return found
