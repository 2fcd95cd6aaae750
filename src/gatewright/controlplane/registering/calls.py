"""One exchange with an API Manager on behalf of a person: verified TLS, bounded in time and size, no redirects.

Neither a credential nor the body of a success is ever part of a failure.
"""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any, Final, Literal, Self
from urllib.parse import urlencode

import httpx2
import msgspec

import gatewright
from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.network import network_problem
from gatewright.controlplane.trust import TlsUnusable, Trust
from gatewright.controlplane.words import error_words, quoted

TIMEOUT: Final = 30.0
"""Seconds for one whole exchange."""

_LARGEST: Final = 1_048_576
_TRUST_ADVICE: Final = (
    "name the authority (PEM) that signed it with --ca-file, or give the API Manager a certificate for this name; "
    "--insecure-skip-verify switches the check off and shows the password to anybody on the way"
)
Kind = Literal["unreachable", "unauthorised", "refused"]


class RegistrationFailed(Exception):
    """What went wrong, of which kind, and what to do."""

    def __init__(self, kind: Kind, what: str, remedy: str = "") -> None:
        self.kind = kind
        self.what = what
        self.remedy = remedy
        super().__init__(what)


class Reply(msgspec.Struct, frozen=True):
    """An answer. `tree` is its JSON, None when it is none."""

    status: int
    tree: Any
    words: str

    def __repr__(self) -> str:
        """Without the content, which may be a credential."""
        return f"Reply({self.status})"

    def text(self, name: str) -> str:
        """A member of the answer, empty when it is missing or no text."""
        value = self.tree.get(name) if isinstance(self.tree, dict) else None
        return value if isinstance(value, str) else ""


class Calls:
    """Exchanges with one API Manager; use it as an async context manager."""

    def __init__(self, host: str, *, ca_file: str = "", verify: bool = True) -> None:
        """`host` may carry a port. Raises RegistrationFailed for a bundle that cannot be used."""
        self.host = host
        try:
            context = Trust(LinkConfig(host=host, ca_file=ca_file, verify=verify)).context()
        except TlsUnusable as unusable:
            raise RegistrationFailed("refused", unusable.problem.message, "name a PEM file with --ca-file") from None
        headers = {"user-agent": f"gatewright/{gatewright.__version__}", "accept": "application/json"}
        self._client = httpx2.AsyncClient(verify=context, timeout=TIMEOUT, headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, *, bearer: str = "") -> Reply:
        """Raises RegistrationFailed when there is no answer."""
        return await self._send("GET", path, _bearer(bearer))

    async def post(self, path: str, body: object, *, basic: tuple[str, str] | None = None, bearer: str = "") -> Reply:
        """Send JSON. Raises RegistrationFailed when there is no answer."""
        headers = {**(_basic(*basic) if basic else _bearer(bearer)), "content-type": "application/json"}
        return await self._send("POST", path, headers, msgspec.json.encode(body))

    async def post_form(self, path: str, fields: Mapping[str, str], *, basic: tuple[str, str]) -> Reply:
        """Send a form. Raises RegistrationFailed when there is no answer."""
        headers = {**_basic(*basic), "content-type": "application/x-www-form-urlencoded"}
        return await self._send("POST", path, headers, urlencode(fields).encode())

    async def _send(self, method: str, path: str, headers: dict[str, str], content: bytes | None = None) -> Reply:
        url = f"https://{self.host}{path}"
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream(method, url, headers=headers, content=content) as response,
            ):
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST:
                        raise RegistrationFailed("refused", f"{self.host} answered with more than {_LARGEST} bytes")
                return _reply(response.status_code, body)
        except (httpx2.InvalidURL, httpx2.LocalProtocolError, httpx2.UnsupportedProtocol) as error:
            raise RegistrationFailed("refused", f"{quoted(url)} is no address: {quoted(str(error))}") from None
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            problem = network_problem(error, self.host)
            advice = _TRUST_ADVICE if problem.code == "LINK_UNTRUSTED" else _ADVICE.get(problem.code, "")
            raise RegistrationFailed("unreachable", problem.message, advice) from None


_ADVICE: Final = {
    "LINK_TLS_FAILED": "check that the port speaks TLS 1.2 or later; API Manager's is 9443 by default",
    "LINK_NAME_UNKNOWN": "check the name and the DNS of this machine",
    "LINK_UNREACHABLE": "check that the API Manager runs, and its port (9443 by default)",
    "LINK_TIMEOUT": "check network, firewall and proxy",
}


def _reply(status: int, body: bytes) -> Reply:
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        tree = None
    return Reply(status, tree, error_words(body) if status >= 300 else "")


def _basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}
