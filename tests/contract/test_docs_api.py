"""docs/api.md: every curl of it works, in the order in which it stands there."""

import re
import shlex
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.conftest import ADMIN_TOKEN

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def curls() -> list[list[str]]:
    """The words of every curl command of the page."""
    blocks = "\n".join(_SHELL.findall(PAGE.read_text())).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in blocks.splitlines() if line.startswith("curl ")]


def run(http: FlaskClient, words: list[str]) -> int:
    """What curl would do with these words. Another option than these is a mistake of the page."""
    method, headers, body, url = None, {}, None, ""
    rest = iter(words)
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value.replace("$TOKEN", ADMIN_TOKEN)
        elif word == "-d":
            body = next(rest)
        else:
            assert word.startswith("$URL/"), word
            url = word.removeprefix("$URL")
    method = method or ("POST" if body else "GET")
    answer = http.open(url, method=method, headers=headers, data=body)
    assert answer.status_code < 300, (words, answer.text)
    return answer.status_code


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_every_example_works(http: FlaskClient) -> None:
    statuses = [run(http, words) for words in curls()]
    assert len(statuses) > 30
    assert {200, 201, 202} == set(statuses)
