"""What clients say on the socket: topics to hear of, and who they are. Pure."""

from dataclasses import dataclass
from typing import Any

from app.agents.fields import SLUG
from app.core import strict_json
from app.push.subscriber import AGENTS, ONE_AGENT, PROVIDERS, TASKS, Audience, Hello

ALIASES = {"agent_config": AGENTS}
KNOWN = {AGENTS, PROVIDERS, TASKS}
MAX_TOPICS = 1000
MAX_TEXT = 128


class BadFrame(Exception):
    """The frame means nothing; the text says why and is sent back."""


@dataclass(frozen=True, slots=True)
class ClientFrame:
    """One message of a client; it may say several things at once."""

    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    hello: Hello | None = None

    def topics_after(self, topics: frozenset[str]) -> frozenset[str]:
        """What is heard from now on. Raises BadFrame where it is too much."""
        wanted = (topics | self.subscribe) - self.unsubscribe
        if len(wanted) > MAX_TOPICS:
            raise BadFrame(f"at most {MAX_TOPICS} topics a socket")
        return wanted


def read_frame(data: str | bytes) -> ClientFrame:
    """Parse one message. Raises BadFrame."""
    message = _parse(data)
    if not isinstance(message, dict) or not message.keys() & {"subscribe", "unsubscribe", "hello"}:
        raise BadFrame("expected an object with subscribe, unsubscribe or hello")
    return ClientFrame(
        subscribe=_topics(message.get("subscribe", [])),
        unsubscribe=_topics(message.get("unsubscribe", [])),
        hello=_hello(message["hello"]) if "hello" in message else None,
    )


def read_topics(text: str) -> ClientFrame:
    """Parse ``?topics=``, a comma-separated list. Raises BadFrame."""
    return ClientFrame(subscribe=_topics([part for part in text.split(",") if part]))


def check_allowed(audience: Audience, topics: frozenset[str]) -> None:
    """Raises BadFrame where a bound token asks for more than its own agents."""
    if audience.agents is None:
        return
    for topic in sorted(topics):
        other = topic.startswith(ONE_AGENT) and topic.removeprefix(ONE_AGENT) not in audience.agents
        if other or topic in {PROVIDERS, TASKS}:
            raise BadFrame(f"this token is not for {topic}")


def _parse(data: str | bytes) -> Any:
    if isinstance(data, bytes):
        raise BadFrame("expected text")
    try:
        return strict_json.loads(data.encode())
    except (ValueError, RecursionError):
        raise BadFrame("not JSON") from None


def _topics(value: Any) -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise BadFrame("topics are a text or a list of texts")
    return frozenset(_topic(each) for each in listed)


def _topic(value: Any) -> str:
    topic = ALIASES.get(value, value) if isinstance(value, str) else None
    if topic in KNOWN:
        return str(topic)
    if topic and topic.startswith(ONE_AGENT) and SLUG.fullmatch(topic.removeprefix(ONE_AGENT)):
        return str(topic)
    raise BadFrame(f"unknown topic; known are {', '.join(sorted(KNOWN))}, {ONE_AGENT}<agent_id>")


def _hello(value: Any) -> Hello:
    if not isinstance(value, dict):
        raise BadFrame("hello is an object")
    return Hello(
        client_id=_text(value, "client_id"),
        sdk=_text(value, "sdk"),
        epoch=_text(value, "epoch"),
        since=_rev(value, "since"),
        applied_rev=_rev(value, "applied_rev"),
    )


def _text(hello: dict[str, Any], name: str) -> str | None:
    value = hello.get(name)
    if value is not None and not (isinstance(value, str) and len(value) <= MAX_TEXT):
        raise BadFrame(f"hello.{name} is a text of at most {MAX_TEXT} characters")
    return value


def _rev(hello: dict[str, Any], name: str) -> int | None:
    value = hello.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise BadFrame(f"hello.{name} is a rev")
    return value
