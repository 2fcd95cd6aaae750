"""A typed client of the hub's own REST API, for the command line and the demo.

    async with HubClient.from_data_dir(Path("hub"), port=9243) as hub:
        await hub.register("edge", "Edge gateway")

Every failure is a HubClientError with the hub's code and text, or with what kept the hub from being reached.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import httpx2
import msgspec

from gatewright.hub.client_consumers import ConsumerCalls
from gatewright.hub.client_transport import ADMIN_TOKEN_FILE, BASE, CA_FILE, TIMEOUT, HubClientError, refused, segment
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
    RecordView,
    TokenView,
)

__all__ = ["ADMIN_TOKEN_FILE", "BASE", "CA_FILE", "HubClient", "HubClientError"]

_WATCH_SILENCE: Final = 60.0


class HubClient(ConsumerCalls):
    """One hub, by base URL, admin token and the file that verifies it. Use as an async context manager."""

    async def health(self) -> Health:
        """The hub itself."""
        return await self.get_one("/health", Health)

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
        return await self.send("POST", "/gateways", GatewayView, body=body)

    async def gateways(self) -> list[GatewayView]:
        """All gateways by handle."""
        return await self.get_list("/gateways", GatewayView)

    async def gateway(self, handle: str) -> GatewayView:
        """One gateway."""
        return await self.get_one(f"/gateways/{segment(handle)}", GatewayView)

    async def change_gateway(self, handle: str, display_name: str, **members: object) -> GatewayView:
        """Replace what people say of a gateway: `description`, `endpoints`, `isCritical`, `properties`."""
        body = {"displayName": display_name, **members}
        return await self.send("PUT", f"/gateways/{segment(handle)}", GatewayView, body=body)

    async def delete_gateway(self, handle: str) -> None:
        """Delete a gateway and close its connections."""
        await self.request("DELETE", f"/gateways/{segment(handle)}")

    async def manifest(self, handle: str) -> dict[str, Any]:
        """What the gateway last told of itself; empty before that."""
        return await self.get_one(f"/gateways/{segment(handle)}/manifest", dict[str, Any])

    async def tokens(self, handle: str) -> list[TokenView]:
        """Active registration tokens."""
        return await self.get_list(f"/gateways/{segment(handle)}/tokens", TokenView)

    async def issue_token(self, handle: str) -> IssuedToken:
        """A further token; 409 when two are active."""
        return await self.send("POST", f"/gateways/{segment(handle)}/tokens", IssuedToken)

    async def rotate_token(self, handle: str, overlap_seconds: float = 3600.0) -> IssuedToken:
        """A new token; the present one ends after `overlap_seconds`."""
        body = {"overlapSeconds": overlap_seconds}
        return await self.send("POST", f"/gateways/{segment(handle)}/tokens/rotate", IssuedToken, body=body)

    async def revoke_token(self, handle: str, token_id: str) -> None:
        """End a token and close the connections that use it."""
        await self.request("DELETE", f"/gateways/{segment(handle)}/tokens/{segment(token_id)}")

    # Artifacts and deployments

    async def deploy(self, document: bytes | str, gateways: Iterable[str] = ()) -> Deployed:
        """Store a RestApi document (YAML or JSON) and deploy it to gateways, if any are named."""
        query = [("gateway", handle) for handle in gateways]
        content = document.encode() if isinstance(document, str) else document
        return await self.send("POST", "/artifacts", Deployed, content=content, query=query)

    async def deploy_again(self, ref: str, gateways: Iterable[str]) -> Deployed:
        """Deploy an artifact's present document."""
        query = [("gateway", handle) for handle in gateways]
        return await self.send("POST", f"/artifacts/{segment(ref)}/deploy", Deployed, query=query)

    async def undeploy(self, ref: str, gateways: Iterable[str] = ()) -> Deployed:
        """Take an artifact from gateways, from all when none is named."""
        query = [("gateway", handle) for handle in gateways]
        return await self.send("POST", f"/artifacts/{segment(ref)}/undeploy", Deployed, query=query)

    async def history(self, ref: str, *, gateway: str = "") -> list[RecordView]:
        """Everything of an artifact that was deployed, the newest first."""
        return await self.get_list(f"/artifacts/{segment(ref)}/deployments", RecordView, [("gateway", gateway)])

    async def record(self, ref: str, deployment_id: str) -> RecordView:
        """One of them, with its document."""
        return await self.get_one(f"/artifacts/{segment(ref)}/deployments/{segment(deployment_id)}", RecordView)

    async def restore(self, ref: str, deployment_id: str) -> Deployed:
        """Deploy one of them anew, where it was deployed."""
        path = f"/artifacts/{segment(ref)}/deployments/{segment(deployment_id)}/restore"
        return await self.send("POST", path, Deployed)

    async def artifacts(self, *, origin: str = "", kind: str = "") -> list[ArtifactView]:
        """Artifacts by handle; origin `control_plane` (made here) or `gateway_api` (pushed by gateways)."""
        return await self.get_list("/artifacts", ArtifactView, [("origin", origin), ("kind", kind)])

    async def artifact(self, ref: str) -> ArtifactView:
        """One artifact by handle or id, with its document."""
        return await self.get_one(f"/artifacts/{segment(ref)}", ArtifactView)

    async def delete_artifact(self, ref: str) -> None:
        """Delete an artifact everywhere."""
        await self.request("DELETE", f"/artifacts/{segment(ref)}")

    async def deployments(self, *, artifact: str = "", gateway: str = "", wait: float = 0.0) -> list[DeploymentView]:
        """Deployments; with `wait` (seconds, at most 120) only once every one of them is settled."""
        query = [("artifact", artifact), ("gateway", gateway), ("wait", str(wait) if wait else "")]
        return await self.get_list("/deployments", DeploymentView, query, patience=TIMEOUT + wait)

    # Keys

    async def create_key(
        self,
        ref: str,
        name: str = "",
        *,
        expires_at: str = "",
        issuer: str = "",
        created_by: str = "",
        gateways: Iterable[str] = (),
    ) -> IssuedApiKey:
        """A new API key of an artifact, for `gateways` or all; its plain value stands in the answer only."""
        body = {
            "name": name,
            "expiresAt": expires_at,
            "issuer": issuer,
            "createdBy": created_by,
            "gateways": list(gateways),
        }
        return await self.send("POST", f"/artifacts/{segment(ref)}/api-keys", IssuedApiKey, body=body)

    async def keys(self, ref: str) -> list[ApiKeyView]:
        """Keys of an artifact by name."""
        return await self.get_list(f"/artifacts/{segment(ref)}/api-keys", ApiKeyView)

    async def regenerate_key(self, ref: str, name: str, *, expires_at: str = "") -> IssuedApiKey:
        """Another value for an active key; the old one ends. Without `expires_at` the key's end stays."""
        path = f"/artifacts/{segment(ref)}/api-keys/{segment(name)}/regenerate"
        return await self.send("POST", path, IssuedApiKey, body={"expiresAt": expires_at})

    async def revoke_key(self, ref: str, name: str) -> None:
        """End a key."""
        await self.request("DELETE", f"/artifacts/{segment(ref)}/api-keys/{segment(name)}")

    # What happens, and helpers

    async def events(self, *, gateway: str = "", after: int = 0, limit: int = 100) -> list[EventView]:
        """The log of events sent to gateways."""
        query = [("gateway", gateway), ("after", str(after)), ("limit", str(limit))]
        return await self.get_list("/events", EventView, query)

    async def watch(self) -> AsyncIterator[Change]:
        """The present state, a `synced` change, then every change as it happens."""
        timeout = httpx2.Timeout(TIMEOUT, read=_WATCH_SILENCE)
        try:
            async with self.http.stream("GET", "/watch", timeout=timeout) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise refused(response)
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        yield msgspec.json.decode(line[6:], type=Change)
        except httpx2.HTTPError as error:
            raise self.unreachable(error) from error

    async def convert_openapi(self, document: bytes, **options: str) -> str:
        """A RestApi (YAML) out of an OpenAPI 3 document; options as `openapi.Options`, in camelCase."""
        response = await self.request("POST", "/openapi", content=document, query=list(options.items()))
        return response.text
