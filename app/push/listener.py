"""Hints from other processes: a thread that rings this one's bell for every rev on Redis.

Redis may be away, flushed or wrong: the hub reads the database every second besides.
"""

import logging
import threading

from redis import RedisError
from redis.client import PubSub

from app.core.jobs import REV_CHANNEL, Bell
from app.core.redis import connect

PAUSE = 1.0  # seconds between two attempts to connect
PATIENCE = 5.0  # seconds after which a quiet connection is looked after

log = logging.getLogger(__name__)


def start(redis_url: str, bell: Bell, stopped: threading.Event) -> None:
    """Listen in a thread of its own until ``stopped``."""
    arguments = (redis_url, bell, stopped)
    threading.Thread(target=_run, args=arguments, name="hints", daemon=True).start()


def _run(redis_url: str, bell: Bell, stopped: threading.Event) -> None:
    reachable = True
    while not stopped.is_set():
        try:
            with connect(redis_url, read_timeout=None) as redis, redis.pubsub() as pubsub:
                pubsub.subscribe(REV_CHANNEL)
                reachable = True
                _listen(pubsub, bell, stopped)
        except (RedisError, OSError) as error:
            if reachable:  # said once, not every second
                log.warning("no hints, looking every second instead: %s", type(error).__name__)
            reachable = False
            stopped.wait(PAUSE)


def _listen(pubsub: PubSub, bell: Bell, stopped: threading.Event) -> None:
    while not stopped.is_set():
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=PATIENCE)
        if message is not None:
            _ring(bell, str(message["data"]))


def _ring(bell: Bell, text: str) -> None:
    if text.isdecimal() and len(text) <= 18:  # whatever else is on the channel is not ours
        bell.ring(int(text))
