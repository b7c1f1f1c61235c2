"""docs/prices.md: its example runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "prices.md"


def test_the_example_is_right() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example.count("assert") == 3
    exec(example, {})
