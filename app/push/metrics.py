"""What /metrics says of the push: sockets of this process, clients of all, how far each is."""

import os
import socket
from collections.abc import Iterator

from flask import current_app
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from app.changes.services import read_state
from app.push.clients import count_clients
from app.push.hub import Hub


def collect() -> Iterator[Metric]:
    """The rev, and who is how far behind it. What is this process's own is labelled with it."""
    hub: Hub = current_app.extensions["hub"]
    rev, clients = read_state().rev, count_clients()
    sockets, sent_rev = hub.measure()
    yield GaugeMetricFamily("switchyard_config_rev", "The configuration's rev", value=rev)
    process = f"{socket.gethostname()}:{os.getpid()}"
    # A hub without sockets sleeps: it is behind nothing.
    lag = max(rev - sent_rev, 0) if sockets and sent_rev is not None else 0
    for name, text, value in (
        ("switchyard_sockets", "Open sockets of the process that answers this", sockets),
        ("switchyard_hub_rev_lag", "Revs that its hub has not read yet", lag),
    ):
        family = GaugeMetricFamily(name, text, labels=["process"])
        family.add_metric([process], value)
        yield family
    for name, text, value in (
        ("switchyard_clients_connected", "Clients on a socket of any process", clients.connected),
        ("switchyard_clients_behind", "Connected clients that lack a rev", clients.behind),
        ("switchyard_client_rev_lag_max", "Revs that the furthest of them lacks", clients.lag),
    ):
        yield GaugeMetricFamily(name, text, value=value)
