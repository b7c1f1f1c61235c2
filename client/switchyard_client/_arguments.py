"""What callers hand in, checked: errors name the argument and the way out."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ._errors import ConfigurationError

_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def checked_switch(name: str, chosen: bool | None, *, default: bool) -> bool:
    """What was chosen, else what the environment variable says, else the default."""
    word = os.environ.get(name, "").strip().lower()
    if chosen is not None or not word:
        return default if chosen is None else chosen
    if word not in _ON + _OFF:
        raise ConfigurationError(f"{name} must be true or false, not {word!r}")
    return word in _ON


def check_agent_id(agent_id: str) -> None:
    """Raises ValueError for what can be no agent's id."""
    if not isinstance(agent_id, str) or agent_id.strip(". ") == "" or not agent_id.isprintable():
        raise ValueError(f"not an agent id: {agent_id!r}")


def check_deadline(deadline: float | None) -> None:
    """Raises ValueError for what is no time."""
    if deadline is not None and not deadline > 0:
        raise ValueError(f"deadline must be a number of seconds above 0, not {deadline!r}")


def check_text(name: str, value: object) -> None:
    """Raises ValueError for what no usage event can hold: it would stop those behind it too."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {value!r}")


def checked_url(url: str) -> str:
    """The base URL without a trailing slash. Raises ConfigurationError with the way out."""
    base = url.strip()
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, or half an IPv6 literal
        usable = False
    if not usable:
        shown = base.rpartition("@")[2]  # a password may stand before it
        raise ConfigurationError(f"url must look like http://host:8000, not {shown!r}")
    if parts.username or parts.password:
        raise ConfigurationError("url must not carry a user or password; use token=")
    if parts.query or parts.fragment or any(c.isspace() for c in base):
        raise ConfigurationError("url must not have a query, a fragment or spaces")
    return base.rstrip("/")


def checked_token(token: str | None) -> str | None:
    """The token, or None. Its text is never part of the error."""
    token = (token or "").strip()
    if not all(33 <= ord(character) <= 126 for character in token):
        raise ConfigurationError("token has characters that no token has; copy it again")
    return token or None


def checked_file(path: str | Path) -> Path:
    """The path of a file that may be written. Raises ConfigurationError where it can be none."""
    try:
        file = Path(path).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"snapshot_path names a home that nobody has: {path}") from None
    # Replacing a device as root would take it from the whole host: /dev/null is soon written.
    if not file.name or (_is_there(file.exists) and not _is_there(file.is_file)):
        raise ConfigurationError(f"snapshot_path must name a file; {path} is something else")
    return file


def check_bundle(verify: bool | str) -> None:
    """Raises ConfigurationError for a CA bundle that is not there."""
    if isinstance(verify, str) and not _is_there(Path(verify).exists):
        raise ConfigurationError(f"verify: there is no CA bundle {verify}")


def _is_there(look: Callable[[], bool]) -> bool:
    """What a path says of itself; a folder that may not be looked into is not the host's error."""
    try:
        return look()
    except OSError:
        return False
