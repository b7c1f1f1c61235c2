"""What can be told before anything is started: is the port free, is Redis where REDIS_URL says."""

import errno
import socket
from urllib.parse import urlsplit

from scripts.stack.errors import StartError

_CONNECT_TIMEOUT = 3.0


def check_port(host: str, port: int) -> None:
    """Raise StartError, with the fix, unless the web server can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As gunicorn does: connections of the last run in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(_bind_message(host, port, error)) from None


def _bind_message(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"PORT: {host}:{port} is taken by another program. "
            f"Stop that one or choose another port: make up PORT={port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"PORT: {port} needs root. Choose one above 1023: make up PORT=8000"
    return f"HOST: cannot listen on {host!r} ({error.strerror or error}). Usual: HOST=127.0.0.1"


def check_redis(url: str) -> None:
    """Raise StartError if nobody listens at an external REDIS_URL."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_CONNECT_TIMEOUT)
                connection.connect(parts.path)
        else:
            address = (parts.hostname or "127.0.0.1", parts.port or 6379)
            socket.create_connection(address, _CONNECT_TIMEOUT).close()
    except (OSError, ValueError) as error:
        where = parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
        raise StartError(
            f"REDIS_URL: no Redis answers at {where} ({error}). Start it, correct REDIS_URL, "
            "or unset it to use the embedded Redis."
        ) from None
