"""How the client of the hub's REST API calls and reads: one HTTP client, every failure as a HubClientError."""

import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

BASE: Final = "/api/hub/v1"
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105 - the name of a file
CA_FILE: Final = "ca.pem"

TIMEOUT: Final = 30.0

T = TypeVar("T")


class HubClientError(Exception):
    """The hub refused (`status` and its code) or was not reached (`status` 0, code `HUB_UNREACHABLE`)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class Transport:
    """One hub, by base URL, admin token and the file that verifies it. Use as an async context manager."""

    def __init__(self, url: str, token: str, ca_file: Path | None) -> None:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
        self._url = url
        self.http = httpx2.AsyncClient(
            base_url=url + BASE,
            headers={"authorization": f"Bearer {token}"},
            verify=context,
            timeout=TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def from_data_dir(cls, data_dir: Path, *, port: int = 9243, host: str = "127.0.0.1") -> Self:
        """A client of a hub on this machine. HubClientError when its token or authority cannot be read."""
        token_file = data_dir / ADMIN_TOKEN_FILE
        try:
            return cls(f"https://{host}:{port}", token_file.read_text(encoding="ascii").strip(), data_dir / CA_FILE)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            message = f"The hub's files in {data_dir} cannot be read: {reason}. Has a hub been started there?"
            raise HubClientError(0, "HUB_FILES_UNREADABLE", message) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections."""
        await self.http.aclose()

    async def get_one(self, path: str, kind: type[T]) -> T:
        """One thing."""
        return _decoded(await self.request("GET", path), kind)

    async def get_list(
        self, path: str, kind: type[T], query: list[tuple[str, str]] | None = None, patience: float = TIMEOUT
    ) -> list[T]:
        """All things of a list."""
        response = await self.request("GET", path, query=query, patience=patience)
        return msgspec.convert(_decoded(response, _Listed).list, list[kind])  # type: ignore[valid-type]  # kind is a type

    async def send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: object = None,
        content: bytes | None = None,
        query: list[tuple[str, str]] | None = None,
    ) -> T:
        """Send a body and read the answer."""
        if body is not None:
            content = msgspec.json.encode(body)
        return _decoded(await self.request(method, path, content=content, query=query), kind)

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        query: list[tuple[str, str]] | None = None,
        patience: float = TIMEOUT,
    ) -> httpx2.Response:
        """Any call. Raises HubClientError for every answer of 400 and above."""
        parameters: list[tuple[str, str | int | float | bool | None]] = [
            (name, value) for name, value in query or [] if value
        ]
        try:
            response = await self.http.request(method, path, content=content, params=parameters, timeout=patience)
        except httpx2.HTTPError as error:
            raise self.unreachable(error) from error
        if response.status_code >= 400:
            raise refused(response)
        return response

    def unreachable(self, error: Exception) -> HubClientError:
        """What kept the hub from being reached."""
        what = str(error) or type(error).__name__
        return HubClientError(0, "HUB_UNREACHABLE", f"The hub at {self._url} cannot be reached: {what}. Is it running?")


class _Listed(msgspec.Struct):
    list: list[Any]


class _Refusal(msgspec.Struct):
    code: str = "UNKNOWN"
    message: str = ""


def refused(response: httpx2.Response) -> HubClientError:
    """The failure that an answer tells of."""
    try:
        refusal = msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.DecodeError:
        refusal = _Refusal(message=f"The hub answered {response.status_code}.")
    return HubClientError(response.status_code, refusal.code, refusal.message)


def _decoded(response: httpx2.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.DecodeError as error:
        message = "What answers there is not a hub of this release."
        raise HubClientError(response.status_code, "HUB_ANSWER_UNREADABLE", message) from error


def segment(value: str) -> str:
    """`value` as one segment of a path."""
    return quote(value, safe="")
