"""The open sockets of one process, in groups that hear of the same and are sent the same bytes."""

from collections.abc import ItemsView, Iterator

from app.push.subscriber import Audience, Subscriber


class Crowd:
    """A set of subscribers in groups. Whoever uses it holds the hub's lock."""

    def __init__(self) -> None:
        self._groups: dict[Audience, set[Subscriber]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Subscriber]:
        for group in self._groups.values():
            yield from group

    def add(self, subscriber: Subscriber) -> None:
        """Take one in; it is in no crowd yet."""
        self._groups.setdefault(subscriber.audience, set()).add(subscriber)
        self._size += 1

    def remove(self, subscriber: Subscriber) -> None:
        """Let one go; it is in here."""
        group = self._groups[subscriber.audience]
        group.remove(subscriber)
        if not group:
            del self._groups[subscriber.audience]
        self._size -= 1

    def move(self, subscriber: Subscriber, audience: Audience) -> None:
        """From now on it hears of something else."""
        self.remove(subscriber)
        subscriber.audience = audience
        self.add(subscriber)

    def audiences(self) -> list[Audience]:
        """All that anybody hears of."""
        return list(self._groups)

    def by_audience(self) -> ItemsView[Audience, set[Subscriber]]:
        """Who hears of what."""
        return self._groups.items()
