"""The worker's connection to Redis: looked for again and again, and soon found.

By default kombu looks less and less often, up to every half minute, and then gives up: as long is
nothing checked after Redis is back.
"""

from typing import Any

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport.redis import Channel

AGAIN = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 2}
"""Seconds between two attempts; kombu's are 2, 4, 6 and so on up to 30."""

# Messages that were open when Redis went away are in the database, and cannot be put back: kombu
# would write them to a file and raise the alarm.
Channel.do_restore = False


class PatientConnection(Connection):
    """A connection that is tried again soon, however long Redis has been away."""

    def ensure_connection(self, *args: Any, **options: Any) -> Connection:
        """As kombu's; `options` go before ``AGAIN``."""
        connection: Connection = super().ensure_connection(*args, **{**AGAIN, **options})
        return connection


class Broker(AMQP):
    """Celery's, with that connection."""

    Connection = PatientConnection
