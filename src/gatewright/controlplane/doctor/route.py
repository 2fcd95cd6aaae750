"""Where the connection goes: host and port of the settings, and the proxy that the environment names. Pure.

The WebSocket library and the HTTP library read the environment each in its own way; both are told apart here.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

DEFAULT_PORT: Final = 443
_SOCKET_VARIABLES: Final = ("wss", "socks", "https")
_REST_VARIABLES: Final = ("https", "all")


class Address(msgspec.Struct, frozen=True):
    """`host` without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Proxy(msgspec.Struct, frozen=True):
    """A proxy of the environment. `authorized`: its URL carries a user."""

    scheme: str
    address: Address
    authorized: bool = False
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        """Without the user and the password."""
        return f"{self.scheme}://{self.address}"

    def __repr__(self) -> str:
        """Without the user and the password."""
        return f"Proxy({self})"


class Proxies(msgspec.Struct, frozen=True):
    """Which proxy serves the WebSocket and which the REST calls; None: directly. `broken` names one that is no URL."""

    socket: Proxy | None = None
    rest: Proxy | None = None
    broken: str = ""


def address_of(host: str) -> Address | None:
    """`host` or `host:port` as the settings have it; None when it is neither."""
    if not host or any(char in host for char in "/?#@\\ ") or "://" in host:
        return None
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or port == 0:
        return None
    return Address(parts.hostname, port or DEFAULT_PORT)


def proxies_of(environment: Mapping[str, str], *, bypassed: bool) -> Proxies:
    """`environment` as `urllib.request.getproxies` gives it: scheme → URL."""
    if bypassed:
        return Proxies()
    found: list[Proxy | None] = []
    for names in (_SOCKET_VARIABLES, _REST_VARIABLES):
        name = next((name for name in names if environment.get(name)), None)
        if name is None:
            found.append(None)
            continue
        proxy = _proxy(environment[name], name)
        if proxy is None:
            return Proxies(broken=f"{name}_proxy".upper())
        found.append(proxy)
    return Proxies(socket=found[0], rest=found[1])


def _proxy(url: str, name: str) -> Proxy | None:
    text = url if "://" in url else f"{'socks5h' if name == 'socks' else 'http'}://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    scheme = "socks5h" if name == "socks" and parts.scheme == "http" else parts.scheme
    usual = {"https": 443, "http": 80}.get(scheme, 1080)
    return Proxy(
        scheme,
        Address(parts.hostname, port or usual),
        parts.username is not None,
        parts.username or "",
        parts.password or "",
    )
