"""What is shown of a webhook's URL."""

import pytest

from app.webhooks.urls import is_shown_form, shown_url

HOST = "https://hooks.example.com:8443"


@pytest.mark.parametrize(
    ("url", "shown", "without_path"),
    [
        (HOST, HOST, HOST),
        (f"{HOST}/", f"{HOST}/", f"{HOST}/"),
        (f"{HOST}/a/b", f"{HOST}/a/b", f"{HOST}/..."),
        (f"{HOST}/a?key=1&token=2", f"{HOST}/a?...", f"{HOST}/...?..."),
        (f"{HOST}?key=a/b?c", f"{HOST}?...", f"{HOST}?..."),
        (f"{HOST}/a?", f"{HOST}/a?", f"{HOST}/...?"),
        ("http://[no/URL?key=1", "http://[no/URL?...", "http://[no/...?..."),
        ("no URL", "no URL", "no URL"),
    ],
)
def test_what_may_be_a_key_is_not_shown(url: str, shown: str, without_path: str) -> None:
    assert shown_url(url) == shown
    assert shown_url(url, hide_path=True) == without_path
    for form, hides in ((shown, False), (without_path, True)):
        assert shown_url(form, hides) == form, "what is shown already stays as it is"
        assert is_shown_form(form) == (form != url)
