"""What a first user is told."""

import ast
from dataclasses import replace

from scripts.stack.banner import Banner

_FIRST = Banner(
    url="http://127.0.0.1:8000",
    data_dir="/data",
    admin_email="admin@example.com",
    admin_password="made-up-now",
    client_token="sy_token",
    seconds=3.21,
)


def test_first_start_tells_everything_once() -> None:
    text = _FIRST.text()
    for part in ("http://127.0.0.1:8000", "/data", "admin@example.com", "made-up-now", "3.2 s"):
        assert part in text


def test_later_starts_show_no_password() -> None:
    text = replace(_FIRST, admin_password=None).text()
    assert "None" not in text
    assert "(as set before)" in text


def test_example_is_three_lines_of_python_with_url_and_token() -> None:
    example = "\n".join(line.strip() for line in _FIRST.text().splitlines()[-3:])
    assert len(ast.parse(example).body) == 3
    assert 'SwitchyardClient("http://127.0.0.1:8000", token="sy_token")' in example


def test_without_a_token_there_is_no_example() -> None:
    assert "SwitchyardClient" not in replace(_FIRST, client_token=None).text()
