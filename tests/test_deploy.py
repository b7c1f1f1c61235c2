"""deploy/ says what the code does: the files of the image, commands, settings, probes."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from app.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OF_PYTHON = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def test_what_the_image_copies_is_there_and_reaches_the_builder() -> None:
    copied = {source for line in _instructions("COPY") for source in line.split()[:-1]}
    copied = {source.removeprefix("./") for source in copied}
    assert [source for source in copied if not (ROOT / source).exists()] == []
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == copied


def test_every_variable_is_a_setting() -> None:
    image = {pair.partition("=")[0] for line in _instructions("ENV") for pair in line.split()}
    services = [COMPOSE["services"][name] for name in ("setup", "web", "worker")]
    composed = {name for service in services for name in service["environment"]}
    generated = _manifest("kustomization")["configMapGenerator"][0]["literals"]
    known = {setting.name for setting in SETTINGS} | OF_PYTHON
    assert image | composed | {text.partition("=")[0] for text in generated} <= known


def test_everything_is_started_as_in_the_procfile() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    commands = {name: shlex.split(command) for name, command in (it.split(": ") for it in lines)}
    # On one's own machine one may be root, and is not told each time.
    worker = ["python", *commands["worker"][commands["worker"].index("-m") :]]
    worker[worker.index("--concurrency") + 1] = "32"
    assert COMPOSE["services"]["worker"]["command"] == worker
    assert _container("worker")["command"] == worker
    assert yaml.safe_load(_instructions("CMD")[0]) == commands["web"]
    assert COMPOSE["services"]["setup"]["command"] == _container("setup")["command"]


def test_nobody_is_root() -> None:
    """Kubernetes can tell by a number only."""
    assert _instructions("USER")[0].isdigit()
    for name in ("setup", "web", "worker"):
        assert _container(name)["securityContext"]["runAsNonRoot"] is True


def _instructions(name: str) -> list[str]:
    lines = [line.partition(" ") for line in DOCKERFILE.splitlines()]
    return [rest.strip() for word, _, rest in lines if word == name]


def _manifest(name: str) -> Any:
    return next(yaml.safe_load_all((DEPLOY / "kubernetes" / f"{name}.yaml").read_text()))


def _container(name: str) -> Any:
    return _manifest(name)["spec"]["template"]["spec"]["containers"][0]
