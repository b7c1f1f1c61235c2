"""F3: from the moment an admin's save is sent to the callback in another process.

The embedded stack's web server (threads, SQLite, Redis) and the real client library in a process of
its own; the clock starts before the request is sent and stops when the callback is called.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import requests

from tests.support.processes import PYTHON, ROOT
from tests.support.servers import redis_server, server_env, set_up, short_folder, web_server

SAVES, WARM_UP = 300, 20
P50, P99 = 10.0, 50.0  # milliseconds
TOKEN = "bench-admin-token-0123456789-0123456789"
CLIENT = """
import sys, time
from switchyard_client import SwitchyardClient
client = SwitchyardClient(sys.argv[1], token=sys.argv[2])
client.get_agent_config("trader")
client.on_config_change(lambda agent_id, config: print(config.model, time.monotonic(), flush=True))
assert client.wait_ready(20)
while not client.is_connected:
    time.sleep(0.01)
print("ready", flush=True)
sys.stdin.read()
client.close()
"""


def main() -> int:
    with short_folder() as folder, redis_server() as redis:
        env = server_env(
            folder, REDIS_URL=redis.url, ADMIN_TOKEN=TOKEN, RATE_LIMIT_API="1000000 per minute"
        )
        set_up(env)
        with web_server(env, folder / "web.log") as web:
            return report(sorted(measure(web.url, env)[WARM_UP:]))


def measure(url: str, env: dict[str, str]) -> list[float]:
    """Milliseconds of each save, in order."""
    argv = [PYTHON, "-c", CLIENT, url, TOKEN]
    env = {**env, "PYTHONPATH": str(Path("client"))}
    with requests.Session() as admin:
        admin.headers["Authorization"] = f"Bearer {TOKEN}"
        body = {"name": "Trader", "llm_provider": "openai", "llm_model": "first"}
        admin.post(f"{url}/api/agents", json=body, timeout=10).raise_for_status()
        with subprocess.Popen(
            argv, cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as client:
            try:
                return [_save(admin, url, client, f"m{n}") for n in range(SAVES + WARM_UP)]
            finally:
                client.kill()


def _save(admin: requests.Session, url: str, client: "subprocess.Popen[str]", model: str) -> float:
    assert client.stdout is not None
    if model == "m0":
        assert client.stdout.readline().strip() == "ready"
    started = time.monotonic()
    answer = admin.patch(f"{url}/api/agents/trader", json={"llm_model": model}, timeout=10)
    answer.raise_for_status()
    seen, at = client.stdout.readline().split()
    assert seen == model
    return (float(at) - started) * 1000


def report(milliseconds: list[float]) -> int:
    p50 = statistics.median(milliseconds)
    p99 = milliseconds[int(len(milliseconds) * 0.99)]
    print(f"F3 save to callback, {len(milliseconds)} saves: p50 {p50:.1f} ms (at most {P50:g})")
    print(f"F3 save to callback, {len(milliseconds)} saves: p99 {p99:.1f} ms (at most {P99:g})")
    return 0 if p50 <= P50 and p99 <= P99 else 1


if __name__ == "__main__":
    sys.exit(main())
