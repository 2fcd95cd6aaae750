"""What the demo shows with an API Manager: an API made at a gateway appears there and stays in step, both ways."""

import secrets
from typing import Final

import httpx2

from gatewright.demo import files
from gatewright.demo.asking import CHANGE_S, START_S, Asking, NotHeld
from gatewright.demo.parts import Parts
from gatewright.demo.ports import HOST, Ports
from gatewright.demo.screen import Screen
from gatewright.demo.workspace import Workspace
from gatewright.hub.apim.client import ApiManagerClient, ApiManagerClientError
from gatewright.hub.client import ADMIN_TOKEN_FILE, CA_FILE

CREDENTIALS: Final = "apim.env"
_PASSWORD: Final = "admin"  # noqa: S105 - what a new stand-in has, as a new API Manager does
_APIM = "curl -K $D/apim.curl"
_API = "$APIS/$(cat $D/api)"
_SITE = "curl -K $D/site.curl"


class ApiManagerStory:
    """One run of the steps. `close` the clients afterwards."""

    def __init__(self, workspace: Workspace, ports: Ports, parts: Parts, screen: Screen) -> None:
        self._workspace = workspace
        self._ports = ports
        self._parts = parts
        self._screen = screen
        self._password = secrets.token_urlsafe(12)
        self._asking = Asking(parts, ports.site_http)
        self._api_manager: ApiManagerClient | None = None
        self._api_id = ""
        self._management = httpx2.AsyncClient(
            auth=httpx2.BasicAuth(files.USER, self._password), trust_env=False, timeout=CHANGE_S
        )

    @property
    def variables(self) -> dict[str, str]:
        """Shell variables that the command lines use."""
        return {
            "APIM": f"https://{HOST}:{self._ports.api_manager}/api/am",
            "APIS": f"https://{HOST}:{self._ports.api_manager}/api/am/publisher/v4/apis",
            "SITE": f"http://{HOST}:{self._ports.site_management}/api/management/v1",
            "SITE_CALL": f"http://{HOST}:{self._ports.site_http}",
        }

    async def run(self) -> None:
        """All steps. Raises what the steps of the hub raise, ApiManagerClientError and NotRegistered."""
        await self._start_api_manager()
        await self._register()
        await self._start_site()
        await self._create()
        await self._appears()
        await self._edit()
        await self._undeploy()

    async def close(self) -> None:
        """Close connections."""
        await self._asking.close()
        await self._management.aclose()
        if self._api_manager is not None:
            await self._api_manager.http.aclose()

    async def _start_api_manager(self) -> None:
        with self._screen.step("A stand-in for an on-premises API Manager is running") as step:
            self._parts.start_api_manager()
            data_dir = self._workspace.path / "api-manager"
            await self._asking.until((data_dir / ADMIN_TOKEN_FILE).exists, "the API Manager starts", START_S)
            self._api_manager = ApiManagerClient.from_data_dir(data_dir, f"https://{HOST}:{self._ports.api_manager}")
            await self._asking.until(self._answers, "the API Manager answers", START_S)
            token = await self._client.sign_in()
            self._workspace.write("apim.curl", files.hub_curl(data_dir / CA_FILE, token))
            step.lines = [f"{_APIM} $APIS"]

    async def _register(self) -> None:
        with self._screen.step("Gateway and OAuth client are registered there") as step:
            host, authority = f"{HOST}:{self._ports.api_manager}", self._workspace.path / "api-manager" / CA_FILE
            arguments = ["apim", "register", host, "--ca-file", str(authority), "--as", "env", "--out", CREDENTIALS]
            vhost = f"http://{HOST}:{self._ports.site_http}"
            await self._parts.register([*arguments, "--gateway", files.SITE, "--vhost", vhost], _PASSWORD)
            step.lines = [
                f"gatewright apim register {host} --as env \\",
                "     --ca-file $D/api-manager/ca.pem --dry-run",
                f"{_APIM} $APIM/admin/v4/gateways",
            ]

    async def _start_site(self) -> None:
        with self._screen.step("A second gateway is up, linked over verified TLS") as step:
            data_dir, authority = self._workspace.path / "site", self._workspace.path / "api-manager" / CA_FILE
            configuration = files.gateway_toml(
                self._ports.site, name="site", password=self._password, authority=authority, data_dir=data_dir
            )
            self._workspace.write("site.toml", configuration)
            self._workspace.write("site.curl", files.gateway_curl(self._password))
            self._parts.start_site(CREDENTIALS)
            await self._asking.until(self._asking.is_serving, "Envoy answers", START_S)
            await self._asking.until(self._is_connected, "the gateway connects to the API Manager", START_S)
            step.lines = [f"{_SITE} http://{HOST}:{self._ports.site_admin}/api/admin/v1/status"]

    async def _create(self) -> None:
        with self._screen.step("An API is made at this gateway, and served") as step:
            await self._write("POST", "/rest-apis", edited=False)
            await self._asking.expect(step, 200, f"{files.LIBRARY_CONTEXT}/books")
            step.lines = [
                f"{_SITE} -H 'Content-Type: application/yaml' \\",
                "     --data-binary @$D/library.yaml $SITE/rest-apis",
                f"curl -i $SITE_CALL{files.LIBRARY_CONTEXT}/books",
            ]

    async def _appears(self) -> None:
        with self._screen.step("It appears at the API Manager, with a revision") as step:
            await self._asking.until(self._is_there, "the API appears at the API Manager")
            await self._asking.until(lambda: self._has_revision(1), "its first revision is deployed")
            step.result = "rev 1"
            self._workspace.write("api", self._api_id)
            step.lines = [
                f'{_APIM} "$APIS?query=name:Library"',
                f"{_APIM} {_API}",
            ]

    async def _edit(self) -> None:
        with self._screen.step("It is edited at the gateway, and there as well") as step:
            await self._write("PUT", f"/rest-apis/{files.LIBRARY}", edited=True)
            await self._asking.expect(step, 200, f"{files.LIBRARY_CONTEXT}/pet/1")
            await self._asking.until(lambda: self._has_revision(2), "the second revision is deployed")
            step.result = "rev 2"
            step.lines = [
                f"{_SITE} -X PUT -H 'Content-Type: application/yaml' \\",
                f"     --data-binary @$D/library.yaml $SITE/rest-apis/{files.LIBRARY}",
                f"{_APIM} {_API}/revisions",
            ]

    async def _undeploy(self) -> None:
        with self._screen.step("The API Manager undeploys it; Envoy stops serving it") as step:
            revision = (await self._deployed())[-1]
            self._workspace.write("rev", revision)
            await self._client.undeploy(self._api_id, revision, [files.SITE])
            await self._asking.expect(step, 404, f"{files.LIBRARY_CONTEXT}/books")
            step.lines = [
                f"{_APIM} -H 'Content-Type: application/json' \\",
                f'     -d \'[{{"name": "{files.SITE}"}}]\' \\',
                f'     "{_API}/undeploy-revision?revisionId=$(cat $D/rev)"',
                f"curl -i $SITE_CALL{files.LIBRARY_CONTEXT}/books",
            ]

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> ApiManagerClient:
        if self._api_manager is None:
            raise NotHeld("the API Manager has not been started")
        return self._api_manager

    async def _write(self, method: str, path: str, *, edited: bool) -> None:
        document = files.library_yaml(self._ports, edited=edited)
        self._workspace.write("library.yaml", document)
        url, headers = f"{self.variables['SITE']}{path}", {"content-type": "application/yaml"}
        answer = await self._management.request(method, url, content=document.encode(), headers=headers)
        if answer.status_code not in {200, 201}:
            raise NotHeld(f"the management API answered {answer.status_code}: {answer.text.strip()[:300]}")

    async def _answers(self) -> bool:
        try:
            await self._client.sign_in()
        except ApiManagerClientError as error:
            if error.status:
                raise
            return False
        return True

    async def _is_connected(self) -> bool:
        return any(gateway["isActive"] for gateway in await self._client.gateways())

    async def _is_there(self) -> bool:
        found = await self._client.apis("name:Library")
        self._api_id = found[0]["id"] if found else ""
        return bool(found)

    async def _has_revision(self, number: int) -> bool:
        return len(await self._client.revisions(self._api_id)) == number and bool(await self._deployed())

    async def _deployed(self) -> list[str]:
        return [str(revision["id"]) for revision in await self._client.revisions(self._api_id, "deployed:true")]
