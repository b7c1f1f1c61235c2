"""The distribution, alone: its wheel in an environment with its dependencies and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.frameworks.environments import python_of
from tests.support.fault_server import FaultServer, agent
from tests.support.processes import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, so that no build folder is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(
        ROOT / "client",
        folder / "client",
        ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"),
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*command, source], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_what_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("switchyard_client/")}
    folder = ROOT / "client" / "switchyard_client"
    sources = [*folder.rglob("*.py"), folder / "py.typed"]
    assert packed == {str(path.relative_to(folder.parent)) for path in sources}


@pytest.mark.timeout(300)  # the first run on a machine makes an environment
def test_the_first_example_of_the_readme_works_with_it(wheel: Path, tmp_path: Path) -> None:
    python = python_of("client")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    install = ["install", "-qq", "--no-deps", "--no-index", "--force-reinstall", wheel]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    with FaultServer() as server:
        server.put(agent("market-analyst"))
        done = subprocess.run(
            [python, "-W", "error", "-c", _first_example()],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "SWITCHYARD_URL": server.url, "SWITCHYARD_TOKEN": "t"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == agent("market-analyst")["llm_model"]


def _first_example() -> str:
    text = (ROOT / "client" / "README.md").read_text()
    (example, *_) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = [line for line in example.splitlines() if line]
    assert len(lines) == 3
    return str(example)
