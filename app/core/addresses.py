"""Where an outbound request may go: syntax of a URL, and the addresses behind its host. No I/O."""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from requests_hardened.ip_filter import InvalidIPAddress, get_ip_address

from app.settings import SettingsError

URL_LIMIT = 2048
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\ud800-\udfff\\<>\"`{}|^]")

METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
"""Public by its number, yet answered by the cloud's own host (Azure) for each machine."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url_syntax(url: str, *, query: bool = False) -> str | None:
    """What is wrong with the URL of an endpoint, or None; ``query``: whether it may have one.

    Looks nothing up: whether its address is allowed is asked when it is used, as a name may move.
    """
    if len(url) > URL_LIMIT:
        return f"It is longer than {URL_LIMIT} characters."
    if _UNSAFE.search(url):
        return "It contains a space, a control character or one that a URL does not allow."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "It is not a URL: the host or the port is malformed."
    complaints = (
        (parts.scheme not in ("http", "https"), "It must start with http:// or https://."),
        ("@" in parts.netloc, "It must not contain a user name or password; keys have a field."),
        (not parts.hostname, "It has no host."),
        (port == 0 or parts.netloc.endswith(":"), "Its port must be from 1 to 65535."),
        (parts.query and not query, "It must not contain a query."),
        (parts.fragment, "It must not contain a fragment."),
    )
    return next((complaint for wrong, complaint in complaints if wrong), None)


class AddressPolicy:
    """Public addresses, and the ``host:port`` pairs of OUTBOUND_ALLOW."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._listed = frozenset(_parse_entry(entry) for entry in allow)

    def allows(self, host: str, address: IPAddress, port: int) -> bool:
        """Whether a connection to ``host``, which resolved to ``address``, may be opened."""
        return (
            self._lists(_normal_host(host), port)
            or self._lists(str(_unmapped(address)), port)
            or is_public(address)
        )

    def _lists(self, host: str, port: int) -> bool:
        return (host, port) in self._listed or (host, None) in self._listed


def is_public(address: IPAddress) -> bool:
    """Whether the address is one of the open internet's.

    The library judges; it lets IPv4-compatible and site-local IPv6 addresses through, we do not.
    """
    address = _unmapped(address)
    if address in METADATA or address.is_reserved or getattr(address, "is_site_local", False):
        return False
    try:
        get_ip_address(str(address), 0, allow_loopback=False)
    except InvalidIPAddress:
        return False
    return True


def _unmapped(address: IPAddress) -> IPAddress:
    """The IPv4 address inside ``::ffff:a.b.c.d``: the kernel connects to that one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _parse_entry(entry: str) -> tuple[str, int | None]:
    host, separator, port = entry.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    valid_port = port == "*" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    if not separator or not bare or not valid_port or (":" in bare and bare == host):
        raise SettingsError(
            f"OUTBOUND_ALLOW: {entry!r} will not do; write host:port, e.g. 127.0.0.1:11434, "
            "[::1]:8080 or ollama.internal:*."
        )
    return _normal_host(bare), None if port == "*" else int(port)


def _normal_host(host: str) -> str:
    try:
        return str(_unmapped(ipaddress.ip_address(host)))
    except ValueError:
        return host.lower().rstrip(".")
