"""What may be shown of an error."""

import logging

import pytest
from flask import Flask, g, get_flashed_messages
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from app.admin.gate import Gate, in_words
from app.core.errors import Conflict, Stale

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
SQL = "INSERT INTO providers (api_key) VALUES ('sk-canary')"


@pytest.mark.parametrize(
    "error",
    [kind(SQL, {"key": "sk-canary"}, Exception(SQL)) for kind in (IntegrityError, DataError)]
    + [OperationalError(SQL, {}, Exception("host=10.0.0.1 password=sk-canary"))],
    ids=lambda error: type(error).__name__,
)
def test_a_driver_s_text_is_never_shown(app: Flask, error: Exception) -> None:
    shown = in_words(error)
    assert shown is not None
    assert "sk-canary" not in shown.message
    assert "INSERT" not in shown.message


def test_a_service_s_own_words_are_shown(app: Flask) -> None:
    error = Stale("It was changed since you read it.")
    assert in_words(error) is error


def test_anything_else_is_flashed_as_its_request_id(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with app.test_request_context():
        g.request_id = "request-1"
        with caplog.at_level(logging.ERROR):
            assert Gate().handle_view_exception(ValueError("sk-canary"))
        (message,) = get_flashed_messages()
    assert message == "Something went wrong; the log has it as request-1."
    assert "ValueError" in caplog.text


def test_what_a_service_refuses_is_flashed_in_its_words(app: Flask) -> None:
    with app.test_request_context():
        assert Gate().handle_view_exception(Conflict("The name is taken."))
        assert get_flashed_messages(with_categories=True) == [("error", "The name is taken.")]
