"""Optimistic locking: whoever saves says which version they read."""

from app.core.errors import Stale


def check_version(version: int, expected: int | None) -> None:
    """Raises Stale where the caller read an older row than the one that is stored."""
    if expected is not None and expected != version:
        raise Stale(f"It was changed since you read it (yours {expected}, now {version}).")
