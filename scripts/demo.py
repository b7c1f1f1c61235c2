"""`make demo`: the main story on this machine, step by step with timings.

Everything is real but the provider, which is a loopback server that asks for a key. Exit code 0
only if every step held.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests

from scripts.demo_agent import AGENT
from tests.support.loopback_provider import LoopbackProvider
from tests.support.processes import ROOT, free_port

PROVIDER_KEY = "demo-key-that-only-the-provider-knows"
PASSWORD = "demo-password-of-this-run"  # noqa: S105 - a throwaway instance on loopback
CHANGES = ("gpt-5", "gpt-4.1", "gpt-5")
PUSH_LIMIT = 1.0  # seconds for the fastest; it takes milliseconds, the rest is for a busy machine
PATIENCE = 30.0  # seconds for whatever else is waited for
T = TypeVar("T")


class DemoError(Exception):
    """A step did not hold."""


class Admin:
    """An admin at the browser: a session, and the CSRF token that its writes carry."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def sign_in(self, email: str, password: str) -> None:
        page = self._session.get(f"{self._url}/login", timeout=10).text
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        _hold(found is not None, "the login page has a CSRF token")
        assert found is not None
        form = {"email": email, "password": password, "csrf_token": found[1]}
        answer = self._session.post(f"{self._url}/login", form, timeout=10, allow_redirects=False)
        _hold(answer.status_code == 302, f"the login was refused ({answer.status_code})")
        self._session.headers["X-CSRFToken"] = found[1]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(method, f"{self._url}/api{path}", json=body, timeout=10)
        _hold(answer.ok, f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()


class Agent:
    """The agent's process and what it said."""

    def __init__(self, env: dict[str, str]) -> None:
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.demo_agent"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self, event: str) -> dict[str, Any]:
        """The next thing it says of this kind."""
        while True:
            try:
                said = self._said.get(timeout=PATIENCE)
            except queue.Empty:
                raise DemoError(f"the agent says nothing of a {event}") from None
            if said["event"] == event:
                return said

    def ask(self) -> dict[str, Any]:
        """What it would use right now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.next("read")

    def stop(self) -> None:
        """End the process and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))


def main() -> int:
    print("Switchyard's main story, on a throwaway instance:\n")
    started = time.monotonic()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)  # nothing is left running either
    try:
        with ExitStack() as stack:
            _play(stack)
    except DemoError as error:
        print(f"\nFailed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    print(f"\nEvery step held. {time.monotonic() - started:.1f} s in all.")
    return 0


def _play(stack: ExitStack) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sy-demo-")))
    provider = stack.enter_context(LoopbackProvider(models=["gpt-4.1", "gpt-5"], key=PROVIDER_KEY))
    env = _environment(folder, provider)
    url = f"http://127.0.0.1:{env['PORT']}"

    switchyard = _step("make up: everything starts", lambda: stack.enter_context(_up(env)))
    admin = Admin(url)
    _step("an admin signs in", lambda: admin.sign_in(env["ADMIN_EMAIL"], PASSWORD))
    provider_id = _step("registers a provider with a key", lambda: _register(admin, provider))
    _step("a worker validates it", lambda: _validated(admin, provider_id, provider))
    _step("gives an agent its model and a fallback", lambda: _give_chain(admin, provider_id))

    agent = stack.enter_context(_agent(_agent_environment(folder, env, url)))
    _step("an agent reads its config, key included", lambda: _reads(agent))
    pushed = _step("the admin changes the model", lambda: _change_models(admin, agent))
    told = ", ".join(f"{seconds * 1000:.1f}" for seconds in pushed)
    print(f"      save -> callback in the agent: {told} ms")

    _step("Switchyard stops", lambda: _stop(switchyard))
    _step("the agent keeps its config", lambda: _keeps(agent))
    late = stack.enter_context(_agent(_agent_environment(folder, env, url)))
    _step("an agent started now has it from its disk", lambda: _from_disk(late))


def _register(admin: Admin, provider: LoopbackProvider) -> int:
    body = {
        "name": "openai",
        "type": "openai",
        "base_url": provider.openai_url,
        "api_key": PROVIDER_KEY,
    }
    saved = admin.call("POST", "/providers", body)
    _hold(PROVIDER_KEY not in json.dumps(saved), "the key came back")
    provider_id: int = saved["id"]
    return provider_id


def _validated(admin: Admin, provider_id: int, provider: LoopbackProvider) -> None:
    _wait(
        lambda: admin.call("GET", f"/providers/{provider_id}")["validation_status"] == "connected",
        "the provider is connected",
    )
    seen = [request.headers.get("authorization") for request in provider.requests]
    _hold(f"Bearer {PROVIDER_KEY}" in seen, "the worker came with another key")


def _give_chain(admin: Admin, provider_id: int) -> None:
    body = {"agent_id": AGENT, "name": "Market Analyst"}
    admin.call("POST", "/agents", body | {"provider_id": provider_id, "model_name": "gpt-4.1"})
    fallback = {"provider": "ollama", "model_name": "mistral:7b-instruct"}
    admin.call("POST", f"/agents/{AGENT}/llm-configs", fallback)


def _reads(agent: Agent) -> None:
    said = agent.next("read")
    expected = {"model": "gpt-4.1", "fallbacks": ["mistral:7b-instruct"], "source": "agent"}
    _hold(said["has_key"] and said | expected == said, f"it read {said}")


def _change_models(admin: Admin, agent: Agent) -> list[float]:
    pushed = [_change(admin, agent, model) for model in CHANGES]
    _hold(min(pushed) < PUSH_LIMIT, f"it took {min(pushed):.2f} s to arrive")
    return pushed


def _change(admin: Admin, agent: Agent, model: str) -> float:
    before = time.time()
    admin.call("PATCH", f"/agents/{AGENT}", {"llm_model": model})
    said = agent.next("change")
    seconds: float = said["at"] - before
    _hold(said["model"] == model, f"it was told {said}")
    return seconds


def _keeps(agent: Agent) -> None:
    said = agent.ask()
    _hold(said["model"] == "gpt-5" and said["has_key"], f"without the server it has {said}")


def _from_disk(agent: Agent) -> None:
    said = agent.next("read")
    held = said["model"] == "gpt-5" and said["has_key"] and said["source"] == "snapshot"
    _hold(held, f"without the server it starts with {said}")


def _environment(folder: Path, provider: LoopbackProvider) -> dict[str, str]:
    """The machine's own settings and keys have no part in this."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "DATA_DIR": str(folder / "data"),
        "PORT": str(free_port()),
        "ADMIN_EMAIL": "admin@example.com",
        "ADMIN_PASSWORD": PASSWORD,
        "OUTBOUND_ALLOW": f"127.0.0.1:11434,{provider.address}",
    }


def _agent_environment(folder: Path, env: dict[str, str], url: str) -> dict[str, str]:
    token = (Path(env["DATA_DIR"]) / "client-token").read_text().strip()
    snapshot = {"SWITCHYARD_SNAPSHOT": str(folder / "agent.snapshot")}
    return {"PATH": env["PATH"], "SWITCHYARD_URL": url, "SWITCHYARD_TOKEN": token} | snapshot


@contextmanager
def _up(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    log = Path(env["DATA_DIR"]).parent / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.up"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        _wait(lambda: _is_up(process, log), "Switchyard is up", 180)
        yield process
    except DemoError:
        print(f"\nThe end of its log:\n{log.read_text()[-2000:]}", file=sys.stderr)
        raise
    finally:
        _stop(process)


def _is_up(process: subprocess.Popen[str], log: Path) -> bool:
    _hold(process.poll() is None, "it ended at once")
    return "Ctrl-C stops it" in log.read_text()


@contextmanager
def _agent(env: dict[str, str]) -> Iterator[Agent]:
    agent = Agent(env)
    try:
        yield agent
    finally:
        agent.stop()


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _step(title: str, do: Callable[[], T]) -> T:
    started = time.monotonic()
    try:
        result = do()
    except (DemoError, requests.RequestException, subprocess.TimeoutExpired) as error:
        raise DemoError(f"{title}: {error}") from error
    print(f"  ok  {title:<46} {time.monotonic() - started:6.2f} s", flush=True)
    return result


def _hold(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoError(otherwise)


def _wait(holds: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        _hold(time.monotonic() < deadline, f"{what}: not within {timeout:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
