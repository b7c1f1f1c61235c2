"""The installer decides with nothing installed, and says what is missing."""

import sys
from pathlib import Path

import pytest

from scripts import install


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "client").mkdir()
    for name in ("requirements.txt", "requirements-dev.txt", "client/pyproject.toml"):
        (tmp_path / name).write_text("setuptools==1\n")
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    return tmp_path


@pytest.mark.parametrize("name", ["requirements.txt", "client/pyproject.toml"])
def test_changed_requirements_are_installed_again(checkout: Path, name: str) -> None:
    before = install.fingerprint("runtime")
    assert install.fingerprint("runtime") == before
    (checkout / name).write_text("something==1\n")
    assert install.fingerprint("runtime") != before


def test_changed_development_requirements_do_not_touch_make_up(checkout: Path) -> None:
    before = install.fingerprint("runtime")
    (checkout / "requirements-dev.txt").write_text("something==1\n")
    assert install.fingerprint("runtime") == before


def test_nothing_is_run_when_the_stamp_fits(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.PYTHON.parent.mkdir(parents=True)
    install.PYTHON.touch()
    (install.VENV / ".installed-runtime").write_text(install.fingerprint("runtime"))
    monkeypatch.setattr(install, "pip", lambda *_: pytest.fail("ran pip"))
    install.install_packages("runtime")
    assert not (install.VENV / ".install-lock").exists()  # a service's user may write nothing here


def test_folder_that_cannot_be_written_to_is_told_in_a_sentence(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install.VENV.write_text("")  # a file: root, as whom tests may run, may write anywhere else
    assert install.main("runtime") == 1
    assert capsys.readouterr().err.startswith("Cannot install: ")


def test_nothing_is_downloaded_that_is_not_locked(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package without a wheel would be built with whatever setuptools is the newest."""
    locked = "celery==1\nsetuptools==2 \\\n    --hash=sha256:ab\n    # via -r it\ntzdata==3\n"
    (checkout / "requirements.txt").write_text(locked)
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "ensure_venv", lambda: None)
    monkeypatch.setattr(install, "pip", lambda *arguments: calls.append(arguments))
    install.install_packages("runtime")
    first, rest, client = calls
    assert Path(first[-1]).read_text() == "".join(locked.splitlines(keepends=True)[1:4])
    assert "--require-hashes" in first
    assert {"--require-hashes", "--no-build-isolation"} <= set(rest)
    assert {"--no-deps", "--no-build-isolation"} <= set(client)


def test_packages_go_into_the_venv_whatever_pip_is_used_to(monkeypatch: pytest.MonkeyPatch) -> None:
    envs: list[dict[str, str]] = []
    monkeypatch.setattr("subprocess.run", lambda *_, env, **__: envs.append(env))
    for name in ("PIP_USER", "PIP_TARGET", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "mine")
    install.pip("x")
    assert (envs[0]["PIP_USER"], envs[0]["PIP_INDEX_URL"]) == ("0", "mine")
    assert "PIP_TARGET" not in envs[0]


def test_interrupted_installation_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_what: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "install_packages", interrupt)
    assert install.main("runtime") == 130
    assert "next start goes on" in capsys.readouterr().err


def test_failed_installation_leaves_no_stamp(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: str) -> None:
        raise install.InstallError("no network")

    install.VENV.mkdir()
    (install.VENV / ".installed-runtime").write_text("of an earlier version")
    monkeypatch.setattr(install, "ensure_venv", lambda: None)
    monkeypatch.setattr(install, "pip", fail)
    with pytest.raises(install.InstallError):
        install.install_packages("runtime")
    assert not (install.VENV / ".installed-runtime").exists()


def test_unsupported_python_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", type("V", (), {"major": 3, "minor": 14}))
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(install.InstallError, match=r"3\.12 or 3\.11; this is 3\.14.*PYTHON3="):
        install.find_python()


def test_supported_python_beside_an_unsupported_one_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", type("V", (), {"major": 3, "minor": 14}))
    monkeypatch.setattr("shutil.which", {"python3.11": "/bin/python3.11"}.get)
    assert install.find_python() == "/bin/python3.11"


def test_without_root_the_command_is_said_instead_of_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(install.InstallError, match="sudo apt-get install chromium"):
        install.apt_install("chromium", why="The browser tests need Chromium")


@pytest.mark.parametrize(
    ("browser", "library", "installed"),
    [
        ("/usr/bin/chromium", "libatomic.so.1", []),
        ("/usr/bin/chromium", None, ["libatomic1"]),
        (None, "libatomic.so.1", ["chromium", "fonts-dejavu-core"]),
    ],
)
def test_only_what_the_browser_tests_lack_is_installed(
    monkeypatch: pytest.MonkeyPatch, browser: str | None, library: str | None, installed: list[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("shutil.which", lambda _: browser)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: library)
    monkeypatch.setattr(install, "apt_install", lambda *packages, why: asked.extend(packages))
    install.install_browser()
    assert asked == installed
