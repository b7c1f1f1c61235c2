"""One client for a whole program, for code that does not want to pass it around."""

import threading
from collections.abc import Callable
from typing import ParamSpec

from ._client import SwitchyardClient
from ._forks import in_forked_children

_Arguments = ParamSpec("_Arguments")
_lock = threading.Lock()
_client: SwitchyardClient | None = None


@in_forked_children
def _renew() -> None:
    global _lock
    _lock = threading.Lock()


def _sharing(
    constructor: Callable[_Arguments, SwitchyardClient],
) -> Callable[_Arguments, SwitchyardClient]:
    """`init_client` with the constructor's own signature, so that type checkers know it."""

    def init_client(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> SwitchyardClient:
        """Make the shared client, as `SwitchyardClient` is made; an earlier one is closed."""
        global _client
        fresh = constructor(*args, **kwargs)
        with _lock:
            earlier, _client = _client, fresh
        if earlier is not None:
            earlier.close()
        return fresh

    return init_client


init_client = _sharing(SwitchyardClient)
"""Make the shared client; takes the arguments of `SwitchyardClient`. An earlier one is closed."""


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
