"""What looks like a secret is masked in every line, whoever logs it."""

import io
import json
import logging

import pytest
from flask import Flask

from app.core import logs
from app.core.crypto import MASK


@pytest.mark.parametrize(
    "text",
    [
        "token sy_abcdefCANARYCANARY0123456789",
        "key sk-CANARY0123456789",
        "Authorization: Bearer CANARY.0123456789",
        "api_key=CANARY0123",
        "signed with whsec_CANARY0123+4567/89=",
        'api-key: "CANARY0123"',
        '{"password": "CANARY0123"}',
        "x-api-key: CANARY0123",
        "postgresql://user:CANARY0123@host/db",
        "redis://:CANARY0123@host",
        "POST /v1/spaces?key=CANARY0123 HTTP/1.1",
        "https://host/path?v=1&sig=CANARY0123",
    ],
)
def test_a_secret_is_masked(text: str) -> None:
    assert "CANARY" not in logs.redact(text)
    assert MASK in logs.redact(text)


@pytest.mark.parametrize(
    "text", ["agent 'default' changed", "http://host/path", "3 tokens used", "risk-free"]
)
def test_the_rest_is_left_alone(text: str) -> None:
    assert logs.redact(text) == text


@pytest.fixture(params=["text", "json"])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The root logger's lines."""
    monkeypatch.setattr(logging.root, "handlers", [])
    app = Flask(__name__)
    app.config.update(LOG_FORMAT=request.param, LOG_LEVEL="INFO")
    logs.init_app(app)
    (handler,) = logging.root.handlers
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    return stream


def test_tracebacks_are_masked_too(stream: io.StringIO) -> None:
    try:
        raise ValueError("refused: api_key=CANARY0123")
    except ValueError:
        logging.getLogger("some.library").exception("with Bearer CANARY0123456")
    assert "ValueError" in stream.getvalue()
    assert "CANARY" not in stream.getvalue()


def test_a_line_says_when_who_and_how_bad(stream: io.StringIO) -> None:
    logging.getLogger("app.somewhere").warning("a %s", "warning")
    line = stream.getvalue()
    for word in ("a warning", "warning", "app.somewhere"):
        assert word in line
    if line.startswith("{"):
        assert json.loads(line)["event"] == "a warning"


def test_a_second_app_adds_no_second_handler(stream: io.StringIO) -> None:
    app = Flask(__name__)
    app.config.update(LOG_FORMAT="text", LOG_LEVEL="INFO")
    logs.init_app(app)
    ours = [handler for handler in logging.root.handlers if hasattr(handler, "switchyard")]
    assert len(ours) == 1
