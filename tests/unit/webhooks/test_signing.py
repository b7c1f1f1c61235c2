"""Signatures, against the convention's own vector and one recomputed by hand."""

import base64
import hashlib
import hmac

import pytest

from app.webhooks.signing import PREFIX, check_secret, new_secret, sign_headers


def test_the_conventions_own_vector() -> None:
    headers = sign_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_of_any_text_is_the_key_as_it_stands() -> None:
    digest = hmac.new("schlüssel-0123456789".encode(), b"msg_1.7.body", hashlib.sha256).digest()
    headers = sign_headers("schlüssel-0123456789", "msg_1", 7, b"body")
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_new_secrets_are_long_and_never_the_same() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(base64.b64decode(one.removeprefix(PREFIX))) == 32
    assert check_secret(one) is None


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("a" * 16, None),
        ("ä" * 8, None),
        (PREFIX + base64.b64encode(b"k" * 24).decode(), None),
        ("a" * 256, None),
        ("a" * 15, "and is 15"),
        ("a" * 257, "and is 257"),
        (PREFIX + base64.b64encode(b"k" * 15).decode(), "and is 15"),
        (PREFIX, "and is 0"),
        (PREFIX + "not base64 at all", "must be base64"),
        (PREFIX + "äöü", "must be base64"),
        ("\ud800" * 16, "must be base64"),
    ],
)
def test_what_a_secret_must_be(secret: str, reason: str | None) -> None:
    found = check_secret(secret)
    assert found is None if reason is None else reason in (found or "")
