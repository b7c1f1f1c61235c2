"""What clients say, and what is refused of it."""

import json
from typing import Any

import pytest

from app.push.client_frames import (
    MAX_TOPICS,
    BadFrame,
    check_allowed,
    read_frame,
    read_topics,
)
from app.push.subscriber import Audience, Hello

ANYBODY = Audience(frozenset({"agents"}), None, None, False)
BOUND = Audience(frozenset({"agents"}), frozenset({"mine"}), None, False)


@pytest.mark.parametrize(
    ("said", "topics"),
    [
        ("agents", {"agents"}),
        ("agent_config", {"agents"}),
        (["agent_config", "providers", "tasks"], {"agents", "providers", "tasks"}),
        (["agent:market-analyst"], {"agent:market-analyst"}),
        ([], set()),
    ],
)
def test_topics_alone_or_in_a_list(said: Any, topics: set[str]) -> None:
    assert read_frame(json.dumps({"subscribe": said})).subscribe == topics
    assert read_frame(json.dumps({"unsubscribe": said})).unsubscribe == topics


def test_topics_of_the_url() -> None:
    assert read_topics("agents,tasks,providers").subscribe == {"agents", "tasks", "providers"}
    assert read_topics("").subscribe == frozenset()


def test_a_frame_may_change_topics_and_say_hello_at_once() -> None:
    hello = {"client_id": "c-1", "sdk": "python/0.1", "epoch": "e", "since": 3, "applied_rev": 4}
    frame = read_frame(
        json.dumps({"subscribe": "providers", "unsubscribe": "agents", "hello": hello, "new": 1})
    )
    assert frame.topics_after(frozenset({"agents"})) == {"providers"}
    assert frame.hello == Hello("c-1", "python/0.1", "e", 3, 4)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"subscribe": NaN}',
        '{"subscribe": "agents", "subscribe": "tasks"}',
        "[" * 100_000,
        '{"subscribe": "weather"}',
        '{"subscribe": 1}',
        '{"subscribe": ["agents", null]}',
        '{"subscribe": {"agents": true}}',
        '{"subscribe": "agent:"}',
        '{"subscribe": "agent:Not A Slug"}',
        '{"subscribe": "agent:x\\n"}',
        '{"hello": "me"}',
        '{"hello": {"client_id": 1}}',
        '{"hello": {"client_id": "%s"}}' % ("x" * 129),
        '{"hello": {"applied_rev": -1}}',
        '{"hello": {"applied_rev": true}}',
        '{"hello": {"since": 1.5}}',
        '{"hello": {"since": 9223372036854775808}}',
    ],
)
def test_anything_else_is_refused(data: str | bytes) -> None:
    with pytest.raises(BadFrame):
        read_frame(data)


def test_what_was_sent_is_not_sent_back() -> None:
    with pytest.raises(BadFrame) as refusal:
        read_frame('{"subscribe": "sk-canary"}')
    assert "canary" not in str(refusal.value)


def test_topics_have_a_limit() -> None:
    topics = [f"agent:a{number}" for number in range(MAX_TOPICS + 1)]
    allowed = read_frame(json.dumps({"subscribe": topics[1:]}))
    assert len(allowed.topics_after(frozenset())) == MAX_TOPICS
    with pytest.raises(BadFrame):
        allowed.topics_after(frozenset(topics[:1]))


def test_a_bound_token_asks_for_its_own_agents_only() -> None:
    check_allowed(BOUND, frozenset({"agents", "agent:mine"}))
    check_allowed(ANYBODY, frozenset({"providers", "tasks", "agent:other"}))
    for topic in ("providers", "tasks", "agent:other"):
        with pytest.raises(BadFrame, match=topic):
            check_allowed(BOUND, frozenset({topic}))
