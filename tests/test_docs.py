"""The documentation says what the code does: settings, commands, links."""

import os
import re
from itertools import chain
from pathlib import Path

import pytest

from app.settings import SUBJECTS, Setting

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "client" / "README.md"])
CODE = ("app", "bench", "client", "examples", "migrations", "scripts", "tests", "worker")
_FILE = re.compile(r"`([\w/]+\.(?:py|js|html))`")
_LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")


def test_every_setting_is_documented_as_it_is() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith(("## ", "| `"))]
    expected = []
    for subject, settings in SUBJECTS.items():
        expected += [f"## {subject}", *map(_row, settings)]
    assert lines == expected


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_files_that_are_named_exist() -> None:
    # Others may be making and removing folders here; a walk passes over what has gone.
    walks = chain.from_iterable(os.walk(ROOT / folder) for folder in CODE)
    files = [Path(folder, name) for folder, _, names in walks for name in names]
    there = [f"/{path.relative_to(ROOT)}" for path in [*files, *ROOT.glob("*.py")]]
    named = {
        (page.name, name)
        for page in DOCS
        if page.name != "CHANGELOG.md"  # it tells of what was
        for name in _FILE.findall(page.read_text())
    }
    lost = [it for it in sorted(named) if not any(path.endswith(f"/{it[1]}") for path in there)]
    assert lost == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_are_named_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
    assert named <= targets


def _row(setting: Setting) -> str:
    default, takes = _default(setting.default), _takes(setting.parse)
    secret = " **Secret.**" if setting.secret else ""
    return f"| `{setting.name}` | {default} | {takes} | {setting.help}{secret} |"


def _default(value: object) -> str:
    if value is None or value == ():
        return "none"
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value!s}`"


def _takes(parse: object) -> str:
    return "text" if parse is str else str(parse.__doc__)
