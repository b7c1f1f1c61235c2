"""docs/tasks.md says what the code does: its example, its types, its limits."""

import json
import re
from pathlib import Path

from app.tasks import patterns, response_schema, samples, short_form

PAGE = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text()


def test_the_example_becomes_what_the_page_says() -> None:
    short, full = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    assert json.dumps(response_schema.normalise(short)) == json.dumps(full)


def test_every_type_is_listed_with_what_it_takes() -> None:
    listed = {}
    for types, keywords in re.findall(r"^\| (`.*?) \| ?(.*?) ?\|$", PAGE, re.MULTILINE):
        for kind in re.findall(r"`([\w-]+)`", types):
            listed[kind] = set(re.findall(r"`(\w+)`", keywords))
    assert listed == {kind: set(taken) for kind, taken in short_form.KEYWORDS.items()}


def test_the_limits_are_the_codes() -> None:
    for limit in (
        f"{response_schema.MAX_BYTES // 1024} KiB, {response_schema.MAX_DEPTH} levels",
        f"{response_schema.MAX_SUBSCHEMAS:,} subschemas",
        f"{patterns.MAX_LENGTH} characters",
        f"more than {patterns.MAX_COST:,} in a schema",
        f"at most {samples.MAX_ERRORS} errors",
        f"at most {samples.MAX_BYTES // 1024} KiB",
    ):
        assert limit in PAGE, limit
