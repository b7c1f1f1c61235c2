"""Is there a worker? Each says so in Redis, under a name that expires when it stops saying so."""

from redis import Redis

EVERY = 3.0  # seconds
TTL = 10  # seconds: two beats may get lost
PREFIX = "switchyard:worker:"


def beat(redis: Redis, name: str) -> None:
    """Say that the worker ``name`` is alive."""
    redis.set(PREFIX + name, "alive", ex=TTL)


def end(redis: Redis, name: str) -> None:
    """Say that it is not any more, rather than let it expire."""
    redis.delete(PREFIX + name)


def is_alive(redis: Redis) -> bool:
    """Whether any worker is. Raises redis.RedisError."""
    return next(iter(redis.scan_iter(match=PREFIX + "*", count=1000)), None) is not None
