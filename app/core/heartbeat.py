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


def ages(redis: Redis) -> dict[str, float]:
    """Seconds since each worker's last sign of life. Raises redis.RedisError."""
    names = list(redis.scan_iter(match=PREFIX + "*", count=1000))
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.pttl(name)
        left = pipe.execute()
    # By Redis's clock alone: those of the machines need not agree. One may have expired since.
    return {
        name.removeprefix(PREFIX): TTL - milliseconds / 1000
        for name, milliseconds in zip(names, left, strict=True)
        if milliseconds >= 0
    }
