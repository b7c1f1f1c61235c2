"""F2: one change to 5,000 sockets of one process, beside a bare `websockets` broadcast.

Both servers and both crowds of sockets live in the same run and take turns, so that whatever else
the machine does meets both. Switchyard's time starts at the commit, in another process: it includes
the hint, the read and the message. The bare server's starts at its `broadcast`. `websockets` is no
dependency of the project: pip puts it into a temporary folder for the length of the run.
"""

import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psutil
import requests

from tests.support.processes import PYTHON, ROOT, free_port, wait_until
from tests.support.servers import redis_server, server_env, set_up, short_folder, web_server

SOCKETS = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
ROUNDS, PAIRS = 15, 9
TOKEN = "bench-admin-token-0123456789-0123456789"
PING, PONG = b"\x89\x00", b"\x8a\x80\x00\x00\x00\x00"
READ = 1 << 16  # bytes; a larger buffer would be mapped anew by the kernel for every read
RATIO, KIBIBYTES, DELAY = 1.0, 40.0, 5.0

WRITER = """
import sys, time
from app import create_app
from app.agents.services import update_agent
app = create_app()
for number, line in enumerate(sys.stdin):
    with app.app_context():
        update_agent("target", {"llm_model": f"m{number}"})
        print(time.monotonic(), flush=True)
"""
BARE = """
import asyncio, sys, time
from websockets.asyncio.server import broadcast, serve
async def main():
    connections = set()
    async def handler(connection):
        connections.add(connection)
        await connection.wait_closed()
    async with serve(handler, "127.0.0.1", int(sys.argv[1]), ping_interval=None, compression=None):
        message = "x" * int(sys.argv[2])
        while await asyncio.to_thread(sys.stdin.readline):
            started = time.monotonic()
            broadcast(connections, message)
            print(started, flush=True)
asyncio.run(main())
"""


class Crowd:
    """Many sockets on one server, read by one epoll: as cheap as a client can be."""

    def __init__(self, port: int, path: str, size: int) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(size):
            connection = shake_hands(port, path)
            connection.setblocking(False)
            self._sockets[connection.fileno()] = connection
            self._poll.register(connection.fileno(), select.EPOLLIN)
            self.drain(0)  # pings want an answer meanwhile
        self.drain()

    def drain(self, quiet: float = 0.5) -> None:
        """Read until nothing comes for a while: welcomes, and what the last round left."""
        # Not for ever: the pings of sockets that took long to open leave no such while.
        until = time.monotonic() + 2
        while (events := self._poll.poll(quiet)) and time.monotonic() < until:
            for number, _ in events:
                self._read(number)

    def measure(self, trigger: "Trigger") -> list[float]:
        """Milliseconds from the trigger's own start until each socket had the message."""
        self.drain(0.05)
        trigger.pull()
        at: dict[int, float] = {}
        while len(at) < len(self._sockets):
            events = self._poll.poll(20)
            if not events:
                raise TimeoutError(f"only {len(at)} of {len(self._sockets)} sockets heard of it")
            for number, _ in events:
                if self._read(number):
                    at.setdefault(number, time.monotonic())
        started = trigger.started()
        return sorted((moment - started) * 1000 for moment in at.values())

    def _read(self, number: int) -> bool:
        """Whether it was a message, and not only a ping."""
        data = self._sockets[number].recv(READ)
        if not data:
            raise ConnectionError("the server closed a socket")
        if PING in data:  # no JSON has these bytes
            self._sockets[number].send(PONG)
        return data != PING


class Trigger:
    """A process that causes one message for every line it reads, and says when it began."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def pull(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def started(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())


def main() -> int:
    wanted = 2 * SOCKETS + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, _hard_limit())))
    with ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        site, memory, change = stack.enter_context(switchyard(folder))
        port, trigger = stack.enter_context(bare_server(folder, _message_size(site, change)))
        bare_crowd = Crowd(port, "/", SOCKETS)
        before = memory()
        crowd = Crowd(site, "/api/ws?topics=agent:target", SOCKETS)
        per_socket = (memory() - before) / SOCKETS / 1024
        runs = [partial(crowd.measure, change), partial(bare_crowd.measure, trigger)]
        ours, bare = take_turns(runs)
        delays = [delay_beside_a_stalled_reader(site, runs[0]) for _ in range(PAIRS)]
    return report(ours, bare, delays, per_socket)


def take_turns(measures: list[Callable[[], list[float]]]) -> list[list[list[float]]]:
    results: list[list[list[float]]] = [[] for _ in measures]
    for _ in range(ROUNDS):
        for result, measure in zip(results, measures, strict=True):
            result.append(measure())
    return results


def delay_beside_a_stalled_reader(port: int, measure: Callable[[], list[float]]) -> float:
    """How many milliseconds later the others' median is, one round right after the other."""
    calm = statistics.median(measure())
    with stall(port):
        return statistics.median(measure()) - calm


@contextmanager
def switchyard(folder: Path) -> Iterator[tuple[int, Callable[[], int], Trigger]]:
    """One gevent process; answers its port, its memory, and what changes the target agent."""
    limits = {"WS_MAX_SOCKETS": str(SOCKETS + 100), "WS_MAX_SOCKETS_PER_TOKEN": str(SOCKETS + 100)}
    with redis_server() as redis:
        env = server_env(
            folder,
            REDIS_URL=redis.url,
            ADMIN_TOKEN=TOKEN,
            WS_HEARTBEAT="60",
            RATE_LIMIT_API="1000000 per minute",
            **limits,
        )
        set_up(env)
        with web_server(env, folder / "web.log", "gevent") as web:
            _make_agents(web.url)
            with _lines([PYTHON, "-c", WRITER], env) as writer:
                worker = psutil.Process(web.pid).children()[0]
                yield web.port, lambda: worker.memory_info().rss, Trigger(writer)


def _make_agents(url: str) -> None:
    """The target, and forty others on another provider, to fill a stalled socket with."""
    for number in range(41):
        name, provider = ("Target", "openai") if not number else (f"Filler {number}", "mistral")
        body = {"name": name, "llm_provider": provider, "llm_model": "m"}
        _call("POST", f"{url}/api/agents", body)


def _call(method: str, url: str, body: object = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.request(method, url, json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    return answer


@contextmanager
def bare_server(folder: Path, size: int) -> Iterator[tuple[int, Trigger]]:
    packages = folder / "packages"
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--target", str(packages), "websockets"]
    subprocess.run(pip, check=True)
    port = free_port()
    env = {"PYTHONPATH": str(packages)}
    with _lines([PYTHON, "-c", BARE, str(port), str(size)], env) as process:
        wait_until(lambda: _listens(port), "the bare server listens")
        yield port, Trigger(process)


@contextmanager
def _lines(argv: list[str], env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A process that is talked to line by line."""
    with subprocess.Popen(
        argv, cwd=ROOT, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def stall(port: int) -> Iterator[None]:
    """A socket that hears of all agents and reads nothing, until the kernel takes no more of it."""
    found = _call("GET", f"http://127.0.0.1:{port}/api/providers?search=mistral").json()
    target = f"http://127.0.0.1:{port}/api/providers/{found['providers'][0]['id']}"
    with shake_hands(port, "/api/ws", receive_buffer=4096) as connection:
        queued = [-1, 0]
        while queued[-1] > queued[-2]:
            for _ in range(4):  # 40 messages each
                _call("PATCH", target, {"options": {"now": time.time()}})
            queued.append(_send_queue(port, connection.getsockname()[1]))
        yield


def _send_queue(port: int, peer_port: int) -> int:
    """What the kernel holds for the peer, on the server's side."""
    ends = f":{port:04X}", f":{peer_port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (local[-5:], remote[-5:]) == ends:
            return int(queues.split(":")[0], 16)
    raise ConnectionError("the server dropped the stalled socket too early")


def shake_hands(port: int, path: str, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", port))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    answer = connection.recv(4096)
    assert b" 101 " in answer, answer
    return connection


def _message_size(port: int, change: Trigger) -> int:
    """How long the change message is, so that the bare server sends as much."""
    with shake_hands(port, "/api/ws?topics=agent:target") as connection:
        connection.settimeout(60)
        change.pull()
        data = b""
        while b"agent_config_changed" not in data:
            data = connection.recv(READ)
            assert data, "the server closed the socket"
        change.started()
        return len(data)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def report(
    ours: list[list[float]], bare: list[list[float]], delays: list[float], per_socket: float
) -> int:
    for name, rounds in (("switchyard", ours), ("bare websockets", bare)):
        p50, p99 = _percentile(rounds, 0.5), _percentile(rounds, 0.99)
        print(f"  {name:16} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  (median of {len(rounds)} rounds)")
    ratio = _percentile(ours, 0.99) / _percentile(bare, 0.99)
    delay = statistics.median(delays)
    print(f"F2 fan-out to {SOCKETS}: p99 {ratio:.2f} of a bare broadcast's (at most {RATIO:g})")
    print(f"F2 memory: {per_socket:.1f} KiB a socket (at most {KIBIBYTES:g})")
    print(f"F2 beside a stalled reader: {delay:+.1f} ms for the others (at most {DELAY:g})")
    return 0 if ratio <= RATIO and per_socket <= KIBIBYTES and delay <= DELAY else 1


def _percentile(rounds: list[list[float]], part: float) -> float:
    return statistics.median(each[int(len(each) * part)] for each in rounds)


if __name__ == "__main__":
    sys.exit(main())
