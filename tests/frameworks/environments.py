"""The frameworks' own environments: made once from locked requirements, kept beside `.venv`.

With pip, as `make` does, so that whoever has set up pip for `make` has set it up for this.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / ".venv" / "frameworks"


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
    run = {"check": True, "stdin": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], **run)
    options = ["-qq", "--disable-pip-version-check", "--no-input", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install"]
    subprocess.run([*pip, *options, "--requirement", requirements], **run)
    (home / "complete").touch()


def _remove_older(name: str) -> None:
    for folder in HOME.glob(f"{name}-*"):
        shutil.rmtree(folder)
