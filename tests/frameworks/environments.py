"""The frameworks' own environments: made once from locked requirements, kept beside `.venv`.

By uv, in a fifteenth of pip's time, from where pip is told to look: whoever has set up pip for
`make` has set it up for this.
"""

import ast
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / ".venv" / "frameworks"

UV_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_EXTRA_INDEX_URL", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "cert": ("SSL_CERT_FILE", " "),
}
"""What pip's settings are called by uv, and what stands between several values."""

_RUN: dict[str, Any] = {"check": True, "stdin": subprocess.DEVNULL}


def python_of(name: str, folder: Path = HERE) -> Path:
    """The interpreter of the environment that `<name>.txt` describes; it is made if need be."""
    requirements = folder / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = HOME / f"{name}-{digest}"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one makes it
        if not (home / "complete").exists():
            _remove_older(name)
            _make(home, requirements)
    return home / "bin" / "python"


def _make(home: Path, requirements: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], **_RUN)
    python = home / "bin" / "python"
    # The lock is complete, and of most packages only a few modules are ever imported.
    options = ["--no-deps", "--require-hashes", "--requirement", requirements]
    try:
        # With hashes any index will do, also one behind another that lacks this version.
        uv = ["uv", "pip", "install", "--quiet", "--index-strategy=unsafe-best-match"]
        subprocess.run(
            [sys.executable, "-m", *uv, "--python", python, *options], env=_environment(), **_RUN
        )
    except subprocess.CalledProcessError:  # pip goes on without an index it cannot reach
        pip = ["pip", "--python", python, "install", "-qq", "--no-input", "--no-compile"]
        subprocess.run([sys.executable, "-m", *pip, *options], **_RUN)
    (home / "complete").touch()


def _environment() -> dict[str, str]:
    """The environment with pip's settings in the words of uv; what is set for uv itself wins."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, **_RUN
    )
    found = {}
    # As with pip, the environment (`:env:`) wins over the files.
    for line in sorted(listed.stdout.splitlines(), reverse=True):
        name, value = line.split("=", 1)
        if known := UV_NAMES.get(name.rpartition(".")[2]):
            found[known[0]] = known[1].join(ast.literal_eval(value).split())
    return found | os.environ


def _remove_older(name: str) -> None:
    for folder in HOME.glob(f"{name}-*"):
        shutil.rmtree(folder)
