"""Client of a stand-in API Manager: what its administrators and Publisher users do, and its switches and records.

Signs in with user name and password through a client of its own, as the portals do. Its requests are neither recorded
nor answered with faults: who looks on does not disturb what is tried.
"""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from gatewright.hub.apim.admin_api import ADMIN_BASE
from gatewright.hub.apim.config import DEFAULT_PORT, SUPER_ADMIN
from gatewright.hub.apim.control_api import CONTROL_BASE
from gatewright.hub.apim.deploying import MAX_REVISIONS
from gatewright.hub.apim.devportal_api import DEVPORTAL_BASE
from gatewright.hub.apim.oauth_api import REGISTER, TOKEN
from gatewright.hub.apim.publisher_api import PUBLISHER_BASE
from gatewright.hub.apim.queries import MAX_PAGE
from gatewright.hub.apim.recorder import OBSERVER
from gatewright.hub.client_transport import ADMIN_TOKEN_FILE, CA_FILE

EVERY_SCOPE: Final = (
    "apim:admin apim:api_import_export apim:api_view apim:api_create apim:api_manage apim:api_publish apim:api_delete "
    "apim:api_key apim:subscribe"
)
_CLIENT_NAME: Final = "gatewright-api-manager-client"
_GRANTS: Final = "client_credentials password refresh_token"
_TIMEOUT: Final = 60.0


class ApiManagerClientError(Exception):
    """The stand-in refused, or (`status` 0) was not reached."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class ApiManagerClient:
    """One stand-in by its address. Use as an async context manager. Failures are ApiManagerClientErrors."""

    def __init__(
        self,
        url: str,
        ca_file: Path | None,
        *,
        user: str = SUPER_ADMIN,
        password: str = "admin",  # noqa: S107 - what a new stand-in has
        admin_token: str = "",
    ) -> None:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file is not None else None)
        self.http = httpx2.AsyncClient(
            base_url=url, headers={OBSERVER: "1"}, verify=context, timeout=_TIMEOUT, trust_env=False
        )
        self._user = user
        self._password = password
        self._admin_token = admin_token
        self._bearer = ""

    @classmethod
    def from_data_dir(
        cls,
        data_dir: Path,
        url: str | None,
        *,
        user: str = SUPER_ADMIN,
        password: str = "admin",  # noqa: S107
    ) -> Self:
        """A client of a stand-in on this machine (on port 9443 without `url`), with the token for its switches.

        OSError or ValueError when its files cannot be read.
        """
        token = (data_dir / ADMIN_TOKEN_FILE).read_text(encoding="ascii").strip()
        address = url or f"https://127.0.0.1:{DEFAULT_PORT}"
        return cls(address, data_dir / CA_FILE, user=user, password=password, admin_token=token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    # Credentials

    async def register_client(self, name: str, *, owner: str = "", grants: str = _GRANTS) -> dict[str, Any]:
        """An OAuth2 client as `clientId` and `clientSecret`; that of the same name if there is one."""
        body = {"clientName": name, "owner": owner or self._user, "grantType": grants, "saasApp": True}
        response = await self._send("POST", REGISTER, json=body, auth=(self._user, self._password))
        return _object(response)

    async def sign_in(self, scope: str = EVERY_SCOPE) -> str:
        """An access token of the user."""
        client = await self.register_client(f"{_CLIENT_NAME}-{self._user}")
        form = {"grant_type": "password", "username": self._user, "password": self._password, "scope": scope}
        response = await self._send("POST", TOKEN, data=form, auth=(client["clientId"], client["clientSecret"]))
        return str(_object(response)["access_token"])

    # Gateways

    async def register_gateway(self, name: str, *, vhost: str = "https://127.0.0.1:8443") -> dict[str, Any]:
        """A platform gateway; its `registrationToken` stands in this answer only."""
        body = {"name": name, "displayName": name, "vhost": vhost}
        return _object(await self.call("POST", f"{ADMIN_BASE}/gateways", json=body))

    async def gateways(self) -> list[dict[str, Any]]:
        """All platform gateways."""
        return _list(await self.call("GET", f"{ADMIN_BASE}/gateways"))

    async def gateway(self, gateway_id: str) -> dict[str, Any]:
        """One platform gateway."""
        return _object(await self.call("GET", f"{ADMIN_BASE}/gateways/{_segment(gateway_id)}"))

    async def regenerate_token(self, gateway_id: str) -> str:
        """A new registration token; the old one ends."""
        response = await self.call("POST", f"{ADMIN_BASE}/gateways/{_segment(gateway_id)}/regenerate-token")
        return str(_object(response)["registrationToken"])

    async def delete_gateway(self, gateway_id: str) -> None:
        """Forget a gateway."""
        await self.call("DELETE", f"{ADMIN_BASE}/gateways/{_segment(gateway_id)}")

    # APIs, as a Publisher user has them

    async def apis(self, query: str = "") -> list[dict[str, Any]]:
        """All APIs; `query` such as `name:Orders`."""
        found: list[dict[str, Any]] = []
        while True:
            params = {"query": query, "offset": str(len(found)), "limit": str(MAX_PAGE)}
            page = _list(await self.call("GET", f"{PUBLISHER_BASE}/apis", params=params))
            found += page
            if len(page) < MAX_PAGE:
                return found

    async def api(self, api_id: str) -> dict[str, Any]:
        """One API with everything."""
        return _object(await self.call("GET", _api(api_id)))

    async def create_api(self, api: Mapping[str, Any]) -> dict[str, Any]:
        """An API that is made here."""
        return _object(await self.call("POST", f"{PUBLISHER_BASE}/apis", json=dict(api)))

    async def edit_api(self, api_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any member
        """Change members of an API. Gateways see it once a revision with it is deployed."""
        present = await self.api(api_id)
        return _object(await self.call("PUT", _api(api_id), json={**present, **changes}))

    async def delete_api(self, api_id: str) -> None:
        """Delete an API everywhere."""
        await self.call("DELETE", _api(api_id))

    async def change_lifecycle(self, api_id: str, action: str) -> None:
        """`Publish`, `Deprecate`, `Retire` and so on."""
        params = {"apiId": api_id, "action": action}
        await self.call("POST", f"{PUBLISHER_BASE}/apis/change-lifecycle", params=params)

    async def swagger(self, api_id: str) -> dict[str, Any]:
        """The OpenAPI definition."""
        return _object(await self.call("GET", f"{_api(api_id)}/swagger"))

    async def revisions(self, api_id: str, query: str = "") -> list[dict[str, Any]]:
        """Revisions, oldest first; `query` may be `deployed:true`."""
        return _list(await self.call("GET", f"{_api(api_id)}/revisions", params={"query": query}))

    async def create_revision(self, api_id: str, description: str = "") -> str:
        """Freeze an API as it is; answers the revision's id."""
        response = await self.call("POST", f"{_api(api_id)}/revisions", json={"description": description})
        return str(_object(response)["id"])

    async def deploy(self, api_id: str, revision_id: str, gateways: Sequence[str]) -> None:
        """Deploy a revision to gateways by name."""
        await self._deployment("deploy-revision", api_id, revision_id, gateways)

    async def undeploy(self, api_id: str, revision_id: str, gateways: Sequence[str]) -> None:
        """Take a revision from gateways by name."""
        await self._deployment("undeploy-revision", api_id, revision_id, gateways)

    async def publish_change(self, api_id: str, gateways: Sequence[str], **changes: Any) -> str:  # noqa: ANN401
        """Edit an API and deploy the result; answers the revision's id. At the limit an unused revision makes room."""
        await self.edit_api(api_id, **changes)
        present = await self.revisions(api_id)
        if len(present) >= MAX_REVISIONS:
            unused = next(each["id"] for each in present if not each["deploymentInfo"])
            await self.call("DELETE", f"{_api(api_id)}/revisions/{_segment(unused)}")
        revision_id = await self.create_revision(api_id)
        await self.deploy(api_id, revision_id, gateways)
        return revision_id

    # Keys, as a DevPortal user has them

    async def create_key(self, api_id: str, name: str, *, seconds: int = -1) -> str:
        """A key of an API in plain; -1: it does not expire."""
        body = {"keyName": name, "validityPeriod": seconds}
        return str(_object(await self.call("POST", f"{_keys(api_id)}/generate", json=body))["apikey"])

    async def keys(self, api_id: str) -> list[dict[str, Any]]:
        """The keys of an API, masked."""
        return _list(await self.call("GET", _keys(api_id)))

    async def regenerate_key(self, api_id: str, name: str) -> str:
        """A new value for a key."""
        response = await self.call("POST", f"{_keys(api_id)}/{_segment(name)}/regenerate")
        return str(_object(response)["apikey"])

    async def revoke_key(self, api_id: str, name: str) -> None:
        """End a key."""
        await self.call("POST", f"{_keys(api_id)}/{_segment(name)}/revoke")

    # Switches and records

    async def turn(self, **switches: str) -> dict[str, str]:
        """Turn switches, as `import_mode="503:2"`; answers all of them."""
        return _object(await self.control("PATCH", "/switches", json=switches))

    async def reset_switches(self) -> None:
        """Make everything honest again."""
        await self.control("DELETE", "/switches")

    async def requests(self, *, path: str = "", method: str = "", after: int = 0) -> list[dict[str, Any]]:
        """Recorded requests; `path` is a part of theirs."""
        params = {"path": path, "method": method, "after": str(after)}
        return _list(await self.control("GET", "/requests", params=params))

    async def upload(self, seq: int) -> bytes:
        """The archive that a recorded request brought."""
        return (await self.control("GET", f"/requests/{seq}/upload")).content

    async def clear_requests(self) -> None:
        """Forget what was recorded."""
        await self.control("DELETE", "/requests")

    async def acknowledgements(self) -> list[dict[str, Any]]:
        """What gateways acknowledged."""
        return _list(await self.control("GET", "/acknowledgements"))

    async def events(self, gateway: str = "") -> list[dict[str, Any]]:
        """Events that were sent to gateways."""
        return _list(await self.control("GET", "/events", params={"gateway": gateway}))

    async def add_user(self, name: str, password: str, *roles: str) -> None:
        """Make a user."""
        await self.control("POST", "/users", json={"name": name, "password": password, "roles": list(roles)})

    async def end_access_tokens(self) -> None:
        """End every access token, the client's own too."""
        await self.control("DELETE", "/access-tokens")
        self._bearer = ""

    async def restart(self, *, wipe: bool = False) -> None:
        """Drop every connection of gateways; with `wipe` forget gateways, APIs and clients too."""
        await self.control("POST", "/restart", json={"state": "wipe" if wipe else "keep"})
        if wipe:
            self._bearer = ""

    # Calls

    async def call(self, method: str, path: str, **content: Any) -> httpx2.Response:  # noqa: ANN401 - as httpx takes it
        """Any call in the user's name."""
        extra = content.pop("headers", {})
        if self._bearer:
            try:
                return await self._send(method, path, headers={**self._credentials(), **extra}, **content)
            except ApiManagerClientError as error:
                # The token has ended: once more with a new one.
                if error.status != 401:
                    raise
        self._bearer = await self.sign_in()
        return await self._send(method, path, headers={**self._credentials(), **extra}, **content)

    def _credentials(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._bearer}"}

    async def control(self, method: str, path: str, **content: Any) -> httpx2.Response:  # noqa: ANN401
        """A call about the stand-in itself."""
        headers = {"authorization": f"Bearer {self._admin_token}"}
        return await self._send(method, CONTROL_BASE + path, headers=headers, **content)

    async def _deployment(self, verb: str, api_id: str, revision_id: str, gateways: Sequence[str]) -> None:
        body = [{"name": name, "displayOnDevportal": True} for name in gateways]
        await self.call("POST", f"{_api(api_id)}/{verb}", params={"revisionId": revision_id}, json=body)

    async def _send(self, method: str, path: str, **content: Any) -> httpx2.Response:  # noqa: ANN401
        try:
            response = await self.http.request(method, path, **content)
        except httpx2.HTTPError as error:
            raise ApiManagerClientError(0, str(error) or type(error).__name__) from error
        if response.status_code >= 400:
            raise ApiManagerClientError(response.status_code, f"{response.status_code}: {response.text[:2000]}")
        return response


def _api(api_id: str) -> str:
    return f"{PUBLISHER_BASE}/apis/{_segment(api_id)}"


def _keys(api_id: str) -> str:
    return f"{DEVPORTAL_BASE}/apis/{_segment(api_id)}/api-keys"


def _segment(value: str) -> str:
    return quote(value, safe="")


def _object(response: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = response.json()
    return found


def _list(response: httpx2.Response) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response.json()["list"]
    return found
