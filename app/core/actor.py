"""Who acts: plain text from a context variable, so that no layer has to hand it down."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_actor: ContextVar[str] = ContextVar("actor", default="system")


def current_actor() -> str:
    """The actor of this context, e.g. ``user:ada@example.com``, ``token:desk``, ``cli:seed``."""
    return _actor.get()


def set_actor(actor: str) -> None:
    """Name the actor for the rest of this context (a request, a task)."""
    _actor.set(actor[:200])


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Name the actor for a block."""
    token = _actor.set(actor[:200])
    try:
        yield
    finally:
        _actor.reset(token)
