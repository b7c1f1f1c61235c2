"""What callers hand in, checked: errors name the argument and the way out."""

import os
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
    if not isinstance(agent_id, str) or agent_id.strip(". ") == "":
        raise ValueError(f"not an agent id: {agent_id!r}")


def checked_url(url: str) -> str:
    """The base URL without a trailing slash. Raises ConfigurationError with the way out."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"url must look like http://host:8000, not {url!r}")
    if parts.username or parts.password:
        raise ConfigurationError("url must not carry a user or password; use token=")
    if parts.query or parts.fragment or any(c.isspace() for c in url.strip()):
        raise ConfigurationError("url must not have a query, a fragment or spaces")
    return url.strip().rstrip("/")


def checked_token(token: str | None) -> str | None:
    """The token, or None. Its text is never part of the error."""
    token = (token or "").strip()
    if not all(33 <= ord(character) <= 126 for character in token):
        raise ConfigurationError("token has characters that no token has; copy it again")
    return token or None
