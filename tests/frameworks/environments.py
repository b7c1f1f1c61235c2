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


def python_of(name: str) -> Path:
    """The interpreter of the environment that `<name>.txt` describes; it is made if need be."""
    requirements = HERE / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = HOME / f"{name}-{digest}"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one makes it
        if not (folder / "complete").exists():
            _remove_older(name)
            _make(folder, requirements)
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Path) -> None:
    run = {"check": True, "stdin": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], **run)
    options = ["-qq", "--disable-pip-version-check", "--no-input", "--require-hashes"]
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    subprocess.run([*pip, *options, "--requirement", requirements], **run)
    (folder / "complete").touch()


def _remove_older(name: str) -> None:
    for folder in HOME.glob(f"{name}-*"):
        shutil.rmtree(folder)
