"""Every integration against the real package, all suites of an environment in one process."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.frameworks.environments import python_of

INSIDE = Path(__file__).parent / "inside"
SUITES = {
    "litellm": ("litellm",),
    "sdks": ("anthropic", "langchain", "openai", "pydantic_ai", "tradingagents"),
}
INTEGRATIONS = Path(__file__).parents[2] / "client" / "switchyard_client" / "integrations"


@pytest.mark.timeout(600)  # the first run on a machine installs some sixty packages
@pytest.mark.parametrize("environment", SUITES)
def test_suites(environment: str) -> None:
    suites = [f"{name}_suite.py" for name in SUITES[environment]]
    done = subprocess.run(
        [python_of(environment), "-m", "pytest", "-c", "pytest.ini", *suites],
        cwd=INSIDE,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_integration_is_without_a_suite() -> None:
    modules = {path.stem for path in INTEGRATIONS.glob("[!_]*.py")}
    suites = [name for names in SUITES.values() for name in names]
    assert modules == set(suites)
    assert {path.name for path in INSIDE.glob("*_suite.py")} == {f"{n}_suite.py" for n in suites}


def _environment() -> dict[str, str]:
    """No plugins and paths of the outer run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
