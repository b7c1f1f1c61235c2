"""What the transport asks of its network library."""

from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from switchyard_client._errors import Unreachable
from switchyard_client._timings import Timings
from switchyard_client._transport import HttpTransport


class Nowhere(HTTPAdapter):
    """Keeps the time-outs of what it is handed, and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[Any] = []

    def send(self, *_: Any, timeout: Any = None, **__: Any) -> requests.Response:
        self.timeouts.append(timeout)
        raise requests.ConnectionError


def test_a_whole_sync_may_take_three_times_as_long_as_an_answer() -> None:
    """Also to its first byte: a large configuration is put together before it is sent."""
    transport = HttpTransport("http://nowhere", None, timings=Timings(connect=1, request=7))
    nowhere = Nowhere()
    transport._session.mount("http://", nowhere)
    with pytest.raises(Unreachable):
        transport.sync(None, None, None)
    with pytest.raises(Unreachable):
        transport.fetch_agent("trader")
    assert nowhere.timeouts == [(1, 21), (1, 7)]
