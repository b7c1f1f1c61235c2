"""The one factory of Redis connections."""

from redis import Redis

TIMEOUT = 1.0  # seconds; a half-open Redis would hang a caller for ever otherwise


def connect(url: str, *, read_timeout: float | None = TIMEOUT) -> Redis:
    """A lazy connection to ``url`` that gives up after a second, never a hung one."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=read_timeout,
        socket_connect_timeout=TIMEOUT,
        health_check_interval=15,
    )


def broker_url(url: str) -> str:
    """The same place as Celery spells it."""
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url
