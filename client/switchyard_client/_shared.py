"""One client for a whole program, for code that does not want to pass it around."""

import threading
from typing import Any

from ._client import SwitchyardClient

_lock = threading.Lock()
_client: SwitchyardClient | None = None


def init_client(*args: Any, **kwargs: Any) -> SwitchyardClient:
    """Make the shared client with these arguments; an earlier one is closed."""
    global _client
    fresh = SwitchyardClient(*args, **kwargs)
    with _lock:
        earlier, _client = _client, fresh
    if earlier is not None:
        earlier.close()
    return fresh


def get_client() -> SwitchyardClient:
    """The shared client; made from the environment if `init_client` was not called."""
    global _client
    with _lock:
        if _client is None:
            _client = SwitchyardClient()
        return _client


def shutdown_client() -> None:
    """Close the shared client, if there is one. Harmless to repeat."""
    global _client
    with _lock:
        earlier, _client = _client, None
    if earlier is not None:
        earlier.close()
