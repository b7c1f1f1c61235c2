"""The URL's syntax, and the addresses that an outbound request may go to."""

import ipaddress

import pytest

from app.core.addresses import AddressPolicy, check_url_syntax, is_public
from app.settings import SettingsError


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:11434",
        "https://api.openai.com/v1",
        "http://[::1]:8080/v1",
        "https://user.example/~v1/%20",
        "http://bücher.example/v1",
    ],
)
def test_a_good_url_has_no_problem(url: str) -> None:
    assert check_url_syntax(url) is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "http"),
        ("api.openai.com/v1", "http"),
        ("file:///etc/passwd", "http"),
        ("gopher://host/", "http"),
        ("javascript:alert(1)", "http"),
        ("http://", "host"),
        ("http:///v1", "host"),
        ("http://:80", "host"),
        ("http://user:secret@host/", "user name"),
        ("http://host@", "user name"),
        ("http://@host", "user name"),
        ("http://host:0", "port"),
        ("http://host:", "port"),
        ("http://host:65536", "port"),
        ("http://host:abc", "port"),
        ("http://[::1", "malformed"),
        ("http://host/\nX-Injected: 1", "control"),
        ("http://host/\r", "control"),
        ("http://ho st", "space"),
        (" http://host", "space"),
        ("http://host/\x00", "control"),
        ("http://host/\ud800", "does not allow"),
        ("http://host\\@other/", "character"),
        ("http://host/v1?key=1", "query"),
        ("http://host/v1#x", "fragment"),
        ("http://host/" + "a" * 2048, "longer"),
    ],
)
def test_a_bad_url_is_told_what_is_wrong(url: str, word: str) -> None:
    problem = check_url_syntax(url)

    assert problem is not None
    assert word in problem


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254",
        "172.16.0.1", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
        "ff02::1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "64:ff9b::808:808", "2001:0:1::fffe",
        "2001:db8::1", "3fff::1", "5f00::1", "100::1", "::5efe:127.0.0.1", "192.88.99.1",
        "192.0.0.8", "192.0.2.1", "203.0.113.1", "100.100.100.200", "168.63.129.16",
        "::ffff:168.63.129.16",
    ],
)  # fmt: skip
def test_what_is_not_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not AddressPolicy().allows("host", ipaddress.ip_address(address), 80)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111"])
def test_the_open_internet_is_allowed(address: str) -> None:
    assert AddressPolicy().allows("host", ipaddress.ip_address(address), 443)


@pytest.mark.parametrize(
    ("entry", "host", "address", "port", "allowed"),
    [
        ("127.0.0.1:11434", "127.0.0.1", "127.0.0.1", 11434, True),
        ("127.0.0.1:11434", "localhost", "127.0.0.1", 11434, True),
        ("127.0.0.1:11434", "mapped", "::ffff:127.0.0.1", 11434, True),
        ("127.0.0.1:11434", "127.0.0.1", "127.0.0.1", 11435, False),
        ("127.0.0.1:11434", "127.0.0.2", "127.0.0.2", 11434, False),
        ("127.0.0.1:*", "127.0.0.1", "127.0.0.1", 1, True),
        ("[::1]:80", "localhost", "::1", 80, True),
        ("[::1]:80", "localhost", "127.0.0.1", 80, False),
        ("Ollama.Internal:*", "ollama.internal.", "10.1.2.3", 80, True),
        ("ollama.internal:80", "other.internal", "10.1.2.3", 80, False),
        ("[::ffff:10.0.0.1]:80", "ten", "10.0.0.1", 80, True),
    ],
)
def test_a_listed_pair_is_allowed_and_nothing_beside_it(
    entry: str, host: str, address: str, port: int, allowed: bool
) -> None:
    assert AddressPolicy([entry]).allows(host, ipaddress.ip_address(address), port) is allowed


@pytest.mark.parametrize("entry", ["host", ":80", "host:", "host:0", "host:65536", "::1:80", "h:a"])
def test_a_malformed_entry_is_named_with_its_fix(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"OUTBOUND_ALLOW.*host:port"):
        AddressPolicy([entry])
