"""The one clock, so that a test can hold it still; and how people write down what it said."""

import re
from datetime import UTC, datetime

_LOST_PLUS = re.compile(r"(\d\d:\d\d\S*) (\d\d:?\d\d)\Z")


def utcnow() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)


def with_plus(text: str) -> str:
    """A time of a URL's query, where a plus that nobody has encoded arrives as a blank."""
    return _LOST_PLUS.sub(r"\1+\2", text)
