"""A typed client of the hub's own REST API, for the command line and the demo.

    async with HubClient.from_data_dir(Path("hub"), port=9243) as hub:
        await hub.register("edge", "Edge gateway")

Every failure is a HubClientError with the hub's code and text, or with what kept the hub from being reached.
"""

import ssl
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from gatewright.hub.views import (
    ApiKeyView,
    ArtifactView,
    Change,
    Deployed,
    DeploymentView,
    EventView,
    GatewayView,
    Health,
    IssuedApiKey,
    IssuedToken,
    TokenView,
)

BASE: Final = "/api/hub/v1"
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105 - the name of a file
CA_FILE: Final = "ca.pem"

_TIMEOUT: Final = 30.0
_WATCH_SILENCE: Final = 60.0

T = TypeVar("T")


class HubClientError(Exception):
    """The hub refused (`status` and its code) or was not reached (`status` 0, code `HUB_UNREACHABLE`)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class HubClient:
    """One hub, by base URL, admin token and the file that verifies it. Use as an async context manager."""

    def __init__(self, url: str, token: str, ca_file: Path | None) -> None:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
        self._url = url
        self._http = httpx2.AsyncClient(
            base_url=url + BASE,
            headers={"authorization": f"Bearer {token}"},
            verify=context,
            timeout=_TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def from_data_dir(cls, data_dir: Path, *, port: int = 9243, host: str = "127.0.0.1") -> "HubClient":
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
        await self._http.aclose()

    async def health(self) -> Health:
        """The hub itself."""
        return await self._get("/health", Health)

    # Gateways

    async def register(
        self,
        handle: str,
        display_name: str = "",
        *,
        description: str = "",
        endpoints: Iterable[str] = (),
        functionality_type: str = "regular",
        version: str = "",
    ) -> GatewayView:
        """Register a gateway; 409 when the handle is taken."""
        body = {
            "id": handle,
            "displayName": display_name or handle,
            "description": description,
            "endpoints": list(endpoints),
            "functionalityType": functionality_type,
            "version": version,
        }
        return await self._send("POST", "/gateways", GatewayView, body=body)

    async def gateways(self) -> list[GatewayView]:
        """All gateways by handle."""
        return await self._list("/gateways", GatewayView)

    async def gateway(self, handle: str) -> GatewayView:
        """One gateway."""
        return await self._get(f"/gateways/{_segment(handle)}", GatewayView)

    async def delete_gateway(self, handle: str) -> None:
        """Delete a gateway and close its connections."""
        await self._request("DELETE", f"/gateways/{_segment(handle)}")

    async def manifest(self, handle: str) -> dict[str, Any]:
        """What the gateway last told of itself; empty before that."""
        return await self._get(f"/gateways/{_segment(handle)}/manifest", dict[str, Any])

    async def tokens(self, handle: str) -> list[TokenView]:
        """Active registration tokens."""
        return await self._list(f"/gateways/{_segment(handle)}/tokens", TokenView)

    async def issue_token(self, handle: str) -> IssuedToken:
        """A further token; 409 when two are active."""
        return await self._send("POST", f"/gateways/{_segment(handle)}/tokens", IssuedToken)

    async def rotate_token(self, handle: str, overlap_seconds: float = 3600.0) -> IssuedToken:
        """A new token; the present one ends after `overlap_seconds`."""
        body = {"overlapSeconds": overlap_seconds}
        return await self._send("POST", f"/gateways/{_segment(handle)}/tokens/rotate", IssuedToken, body=body)

    async def revoke_token(self, handle: str, token_id: str) -> None:
        """End a token and close the connections that use it."""
        await self._request("DELETE", f"/gateways/{_segment(handle)}/tokens/{_segment(token_id)}")

    # Artifacts and deployments

    async def deploy(self, document: bytes | str, gateways: Iterable[str] = ()) -> Deployed:
        """Store a RestApi document (YAML or JSON) and deploy it to gateways, if any are named."""
        query = [("gateway", handle) for handle in gateways]
        content = document.encode() if isinstance(document, str) else document
        return await self._send("POST", "/artifacts", Deployed, content=content, query=query)

    async def deploy_again(self, ref: str, gateways: Iterable[str]) -> Deployed:
        """Deploy an artifact's present document."""
        query = [("gateway", handle) for handle in gateways]
        return await self._send("POST", f"/artifacts/{_segment(ref)}/deploy", Deployed, query=query)

    async def undeploy(self, ref: str, gateways: Iterable[str] = ()) -> Deployed:
        """Take an artifact from gateways, from all when none is named."""
        query = [("gateway", handle) for handle in gateways]
        return await self._send("POST", f"/artifacts/{_segment(ref)}/undeploy", Deployed, query=query)

    async def artifacts(self, *, origin: str = "", kind: str = "") -> list[ArtifactView]:
        """Artifacts by handle; origin `control_plane` (made here) or `gateway_api` (pushed by gateways)."""
        return await self._list("/artifacts", ArtifactView, [("origin", origin), ("kind", kind)])

    async def artifact(self, ref: str) -> ArtifactView:
        """One artifact by handle or id, with its document."""
        return await self._get(f"/artifacts/{_segment(ref)}", ArtifactView)

    async def delete_artifact(self, ref: str) -> None:
        """Delete an artifact everywhere."""
        await self._request("DELETE", f"/artifacts/{_segment(ref)}")

    async def deployments(self, *, artifact: str = "", gateway: str = "", wait: float = 0.0) -> list[DeploymentView]:
        """Deployments; with `wait` (seconds, at most 120) only once every one of them is settled."""
        query = [("artifact", artifact), ("gateway", gateway), ("wait", str(wait) if wait else "")]
        return await self._list("/deployments", DeploymentView, query, patience=_TIMEOUT + wait)

    # Keys

    async def create_key(
        self, ref: str, name: str = "", *, expires_at: str = "", issuer: str = "", created_by: str = ""
    ) -> IssuedApiKey:
        """A new API key of an artifact; the answer is the only place where its plain value stands."""
        body = {"name": name, "expiresAt": expires_at, "issuer": issuer, "createdBy": created_by}
        return await self._send("POST", f"/artifacts/{_segment(ref)}/api-keys", IssuedApiKey, body=body)

    async def keys(self, ref: str) -> list[ApiKeyView]:
        """Keys of an artifact by name."""
        return await self._list(f"/artifacts/{_segment(ref)}/api-keys", ApiKeyView)

    async def revoke_key(self, ref: str, name: str) -> None:
        """End a key."""
        await self._request("DELETE", f"/artifacts/{_segment(ref)}/api-keys/{_segment(name)}")

    # What happens, and helpers

    async def events(self, *, gateway: str = "", after: int = 0, limit: int = 100) -> list[EventView]:
        """The log of events sent to gateways."""
        query = [("gateway", gateway), ("after", str(after)), ("limit", str(limit))]
        return await self._list("/events", EventView, query)

    async def watch(self) -> AsyncIterator[Change]:
        """The present state, a `synced` change, then every change as it happens."""
        timeout = httpx2.Timeout(_TIMEOUT, read=_WATCH_SILENCE)
        try:
            async with self._http.stream("GET", "/watch", timeout=timeout) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise _refused(response)
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        yield msgspec.json.decode(line[6:], type=Change)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    async def convert_openapi(self, document: bytes, **options: str) -> str:
        """A RestApi (YAML) out of an OpenAPI 3 document; options as `openapi.Options`, in camelCase."""
        response = await self._request("POST", "/openapi", content=document, query=list(options.items()))
        return response.text

    async def _get(self, path: str, kind: type[T]) -> T:
        return _decoded(await self._request("GET", path), kind)

    async def _list(
        self, path: str, kind: type[T], query: list[tuple[str, str]] | None = None, patience: float = _TIMEOUT
    ) -> list[T]:
        response = await self._request("GET", path, query=query, patience=patience)
        return msgspec.convert(_decoded(response, _Listed).list, list[kind])  # type: ignore[valid-type]  # kind is a type

    async def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: object = None,
        content: bytes | None = None,
        query: list[tuple[str, str]] | None = None,
    ) -> T:
        if body is not None:
            content = msgspec.json.encode(body)
        return _decoded(await self._request(method, path, content=content, query=query), kind)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        query: list[tuple[str, str]] | None = None,
        patience: float = _TIMEOUT,
    ) -> httpx2.Response:
        parameters: list[tuple[str, str | int | float | bool | None]] = [
            (name, value) for name, value in query or [] if value
        ]
        try:
            response = await self._http.request(method, path, content=content, params=parameters, timeout=patience)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code >= 400:
            raise _refused(response)
        return response

    def _unreachable(self, error: Exception) -> HubClientError:
        what = str(error) or type(error).__name__
        return HubClientError(0, "HUB_UNREACHABLE", f"The hub at {self._url} cannot be reached: {what}. Is it running?")


class _Listed(msgspec.Struct):
    list: list[Any]


class _Refusal(msgspec.Struct):
    code: str = "UNKNOWN"
    message: str = ""


def _refused(response: httpx2.Response) -> HubClientError:
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


def _segment(value: str) -> str:
    return quote(value, safe="")
