"""Is work being done? Workers, the queue, the schedule: what Redis knows. Hints, not the truth."""

from datetime import timedelta
from typing import NamedTuple

from flask import current_app
from redis import Redis, RedisError

from app.admin.durations import duration
from app.core import heartbeat
from app.core.redis import connect

QUEUE = "celery"


class Worker(NamedTuple):
    """A worker by its name, and how many seconds ago it gave a sign of life."""

    name: str
    seconds_ago: int


class Jobs(NamedTuple):
    """What the queue looks like; ``reachable`` False = Redis does not answer, the rest is empty."""

    reachable: bool
    workers: list[Worker]
    waiting: int


class Schedule(NamedTuple):
    """A job that the beat starts, and how often."""

    name: str
    task: str
    every: str


def read_jobs() -> Jobs:
    """Workers with a heartbeat, and messages in the queue."""
    try:
        with connect(current_app.config["REDIS_URL"]) as redis:
            return Jobs(True, _workers(redis), int(redis.llen(QUEUE)))
    except RedisError:
        return Jobs(False, [], 0)


def list_schedules() -> list[Schedule]:
    """What celeryconfig.py says is to be done, by name."""
    from celeryconfig import beat_schedule  # it reads the settings when it is imported

    return [
        Schedule(name, str(entry["task"]), _often(entry["schedule"]))
        for name, entry in sorted(beat_schedule.items())
    ]


def _workers(redis: Redis) -> list[Worker]:
    found = []
    for key in sorted(redis.scan_iter(match=heartbeat.PREFIX + "*", count=1000)):
        left = max(int(redis.ttl(key)), 0)
        found.append(Worker(key.removeprefix(heartbeat.PREFIX), heartbeat.TTL - left))
    return found


def _often(schedule: object) -> str:
    if isinstance(schedule, timedelta):
        schedule = schedule.total_seconds()
    return f"every {duration(schedule)}" if isinstance(schedule, int | float) else str(schedule)
