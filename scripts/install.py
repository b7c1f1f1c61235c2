"""`make`'s installer: the virtual environment with server and client, and Chromium for tests.

Runs under whatever python3 there is, before anything is installed: standard library only. A
stamp holds the hash of what was installed, so that a second `make up` starts at once.
"""

from __future__ import annotations

import ctypes.util
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
SUPPORTED = ("3.12", "3.11")
REQUIREMENTS = {"runtime": "requirements.txt", "dev": "requirements-dev.txt"}
HERE = ("--no-build-isolation", "--use-pep517")
"""Build with the setuptools of .venv, whatever the version of pip."""
ELSEWHERE = ("PIP_PREFIX", "PIP_ROOT", "PIP_TARGET")


class InstallError(Exception):
    """The message says what is missing and how to get it."""


def main(what: str) -> int:
    try:
        if what == "browser":
            install_browser()
        else:
            install_packages(what)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        print(f"Failed (exit code {error.returncode}): {command}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot install: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the next start goes on with it.", file=sys.stderr)
        return 130
    return 0


def install_packages(what: str) -> None:
    """Bring .venv to what the locked requirements say; nothing to do in most cases."""
    if is_installed(what):
        return  # also where it is somebody else's, who alone may write there
    VENV.mkdir(exist_ok=True)
    with (VENV / ".install-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make up` at once: one installs, one waits
        if is_installed(what):
            return
        stamp(what).unlink(missing_ok=True)
        ensure_venv()
        print(f"Installing {REQUIREMENTS[what]} into .venv (once; a minute or two) ...", flush=True)
        # Left to itself, pip would build what has no wheel with the newest setuptools there is:
        # nothing that is not in the lock file is ever downloaded.
        locked = ROOT / REQUIREMENTS[what]
        first = VENV / ".build-requirements.txt"
        first.write_text(build_requirements(locked.read_text()))
        pip("--require-hashes", "--requirement", str(first))
        pip("--require-hashes", *HERE, "--requirement", str(locked))
        pip("--no-deps", *HERE, "--editable", str(ROOT / "client"))
        stamp(what).write_text(fingerprint(what))


def is_installed(what: str) -> bool:
    """Whether .venv is what the locked requirements say."""
    fits = stamp(what).exists() and stamp(what).read_text() == fingerprint(what)
    return fits and PYTHON.exists()


def stamp(what: str) -> Path:
    """Holds the hash of what was installed."""
    return VENV / f".installed-{what}"


def build_requirements(locked: str) -> str:
    """The locked build tool, with its hashes."""
    found = re.search(r"^setuptools==.*?(?=^\S|\Z)", locked, re.MULTILINE | re.DOTALL)
    if found is None:
        raise InstallError("The requirements lock no setuptools: make lock")
    return found[0]


def fingerprint(what: str) -> str:
    """Changes whenever an installation has to be repeated."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (ROOT / REQUIREMENTS[what], ROOT / "client" / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure_venv() -> None:
    """Make .venv, anew if an interrupted run or an upgraded Python left a broken one."""
    if PYTHON.exists() and _succeeds(PYTHON, "-m", "pip", "--version"):
        return
    python = find_python()
    ensure_venv_module(python)
    subprocess.run([python, "-m", "venv", str(VENV)], check=True)


def find_python() -> str:
    """A Python of a supported version: the one running this, or another one on PATH."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running in SUPPORTED:
        return sys.executable
    for version in SUPPORTED:
        if found := shutil.which(f"python{version}"):
            return found
    raise InstallError(
        f"Switchyard needs Python {' or '.join(SUPPORTED)}; this is {running}. Install one, or "
        "name it: make up PYTHON3=/path/to/python3.12"
    )


def ensure_venv_module(python: str) -> None:
    """Debian ships venv as a package of its own: install it as root, ask for it otherwise."""
    if _succeeds(python, "-c", "import ensurepip, venv"):
        return
    code = "import sys; print('python%d.%d-venv' % sys.version_info[:2])"
    package = subprocess.check_output([python, "-c", code], text=True).strip()
    apt_install(package, why="Python's venv module is missing")


def install_browser() -> None:
    """Chromium for the browser tests, and a library that Playwright's driver takes for granted."""
    packages = []
    if not shutil.which("chromium"):
        packages += ["chromium", "fonts-dejavu-core"]
    if sys.platform == "linux" and ctypes.util.find_library("atomic") is None:
        packages.append("libatomic1")
    if packages:
        apt_install(*packages, why="The browser tests need more than pip can install")


def apt_install(*packages: str, why: str) -> None:
    """Install as root where apt is at hand; say what to type where it is not allowed."""
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise InstallError(f"{why}. Install it with your package manager (Debian: {names}).")
    if os.geteuid() != 0:
        raise InstallError(f"{why}. Install it: sudo apt-get install {names}")
    print(f"{why}: installing {names} ...", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", "-qq", *command],
            check=True,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


def pip(*arguments: str) -> None:
    options = ["-qq", "--disable-pip-version-check", "--no-input"]
    command = [str(PYTHON), "-m", "pip", "install", *options, *arguments]
    # Set for other folders, these would put the packages there.
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=env | {"PIP_USER": "0"})


def _succeeds(*command: str | Path) -> bool:
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdout=quiet, stderr=quiet, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
