"""What the demo shows with the hub: from the control plane to Envoy, and from the gateway to the control plane."""

import secrets
from pathlib import Path
from typing import Final

import httpx2

from gatewright.demo import files
from gatewright.demo.api_manager_story import ApiManagerStory
from gatewright.demo.asking import CHANGE_S, START_S, Asking, NotHeld
from gatewright.demo.parts import Parts
from gatewright.demo.ports import HOST, Ports
from gatewright.demo.screen import Screen, Step
from gatewright.demo.workspace import Workspace
from gatewright.hub.client import ADMIN_TOKEN_FILE, CA_FILE, HubClient, HubClientError
from gatewright.hub.openapi import petstore
from gatewright.wire.kinds import PROJECT_ANNOTATION

PETSTORE: Final = "pet-store-v1.0"
PETSTORE_CONTEXT: Final = "/pet-store"
KEY_NAME: Final = "visitor"
KEY_HEADER: Final = "API-Key"

_RELEASE: Final = "1.2"
"""The release of the original that the gateway presents itself as."""
_HUB = "curl -K $D/hub.curl"
_GATEWAY = "curl -K $D/gateway.curl"


class Story:
    """One run of the steps. `close` the clients afterwards."""

    def __init__(self, workspace: Workspace, ports: Ports, parts: Parts, screen: Screen) -> None:
        self._workspace = workspace
        self._ports = ports
        self._parts = parts
        self._screen = screen
        self._password = secrets.token_urlsafe(12)
        self._key = ""
        self._hub: HubClient | None = None
        self._management = httpx2.AsyncClient(
            auth=httpx2.BasicAuth(files.USER, self._password), trust_env=False, timeout=CHANGE_S
        )
        self._asking = Asking(parts, ports.http)
        self._api_manager_story = ApiManagerStory(workspace, ports, parts, screen)

    @property
    def variables(self) -> dict[str, str]:
        """Shell variables that the command lines use."""
        return {
            "D": str(self._workspace.path),
            "HUB": f"https://{HOST}:{self._ports.hub}/api/hub/v1",
            "GATEWAY": f"http://{HOST}:{self._ports.management}/api/management/v1",
            "CALL": f"http://{HOST}:{self._ports.http}",
            **self._api_manager_story.variables,
        }

    @property
    def logs(self) -> dict[str, Path]:
        """What the processes have written, by name."""
        return {
            name: self._workspace.path / f"{name}.log" for name in ("hub", "backend", "gateway", "api-manager", "site")
        }

    async def run(self) -> None:
        """All steps. Raises NotHeld, ChildEnded, HubClientError or httpx2.HTTPError at the first that does not hold,

        and what the steps of the API Manager raise.
        """
        await self._start_hub()
        await self._start_backend()
        await self._register()
        await self._start_gateway()
        await self._deploy()
        await self._call_without_key()
        await self._issue_key()
        await self._call_with_key()
        await self._revoke_key()
        await self._create_at_gateway()
        await self._arrives_at_hub()
        await self._undeploy()
        await self._api_manager_story.run()

    async def close(self) -> None:
        """Close connections."""
        await self._management.aclose()
        await self._asking.close()
        await self._api_manager_story.close()
        if self._hub is not None:
            await self._hub.aclose()

    # -- start -----------------------------------------------------------------------------------------------------

    async def _start_hub(self) -> None:
        with self._screen.step("The hub, a control plane, is running") as step:
            self._parts.start_hub()
            data_dir = self._workspace.path / "hub"
            await self._asking.until((data_dir / ADMIN_TOKEN_FILE).exists, "the hub starts", START_S)
            self._hub = HubClient.from_data_dir(data_dir, port=self._ports.hub, host=HOST)
            await self._asking.until(self._hub_answers, "the hub answers", START_S)
            token = (data_dir / ADMIN_TOKEN_FILE).read_text(encoding="ascii").strip()
            self._workspace.write("hub.curl", files.hub_curl(data_dir / CA_FILE, token))
            step.lines = [f"{_HUB} $HUB/health"]

    async def _start_backend(self) -> None:
        with self._screen.step("A sample backend is running") as step:
            self._parts.start_backend()
            url = f"http://{HOST}:{self._ports.backend}/pet/1"
            await self._asking.until(lambda: self._asking.answers(url, 200), "the backend answers", START_S)
            step.lines = [f"curl {url}"]

    async def _register(self) -> None:
        with self._screen.step("A gateway is registered at the hub, its token stored") as step:
            endpoint = f"http://{HOST}:{self._ports.http}"
            await self._client.register(files.GATEWAY, "Demo gateway", endpoints=[endpoint], version=_RELEASE)
            issued = await self._client.issue_token(files.GATEWAY)
            data_dir, authority = self._workspace.path / "gateway", self._workspace.path / "hub" / CA_FILE
            configuration = files.gateway_toml(
                self._ports.gateway,
                name="gateway",
                hub=self._ports.hub,
                token=issued.token,
                password=self._password,
                authority=authority,
                data_dir=data_dir,
            )
            self._workspace.write("gateway.toml", configuration)
            self._workspace.write("gateway.curl", files.gateway_curl(self._password))
            step.lines = [f"{_HUB} $HUB/gateways/{files.GATEWAY}", "less $D/gateway.toml"]

    async def _start_gateway(self) -> None:
        with self._screen.step("The gateway with Envoy is up, linked over verified TLS") as step:
            self._parts.start_gateway()
            await self._asking.until(self._asking.is_serving, "Envoy answers", START_S)
            await self._asking.until(self._is_connected, "the gateway connects to the hub", START_S)
            step.lines = [f"{_GATEWAY} http://{HOST}:{self._ports.admin}/api/admin/v1/status"]

    # -- from the control plane to Envoy ---------------------------------------------------------------------------

    async def _deploy(self) -> None:
        with self._screen.step("The hub deploys an API, made from an OpenAPI document") as step:
            upstream = f"http://{HOST}:{self._ports.backend}"
            self._workspace.write("petstore-openapi.yaml", petstore().decode())
            document = await self._client.convert_openapi(
                petstore(), upstream=upstream, handle=PETSTORE, context=PETSTORE_CONTEXT, protect="always"
            )
            self._workspace.write("petstore.yaml", document)
            deployed = await self._client.deploy(document, [files.GATEWAY])
            views = await self._client.deployments(artifact=deployed.artifact.id, wait=START_S)
            step.result = views[0].status.lower() if views else "missing"
            if step.result != "deployed":
                raise NotHeld(f"the gateway answered {step.result}: {views[0].reason if views else ''}")
            step.lines = [
                f"{_HUB} --data-binary @$D/petstore.yaml \\",
                f'     "$HUB/artifacts?gateway={files.GATEWAY}"',
            ]

    async def _call_without_key(self) -> None:
        with self._screen.step("Envoy refuses a call without a key") as step:
            await self._expect(step, 401, f"{PETSTORE_CONTEXT}/pet/1")
            step.lines = [f"curl -i $CALL{PETSTORE_CONTEXT}/pet/1"]

    async def _issue_key(self) -> None:
        with self._screen.step("The hub issues an API key") as step:
            self._key = (await self._client.create_key(PETSTORE, KEY_NAME)).api_key
            self._workspace.write("key.header", f"{KEY_HEADER}: {self._key}\n")
            step.lines = [f"{_HUB} -d '{{}}' $HUB/artifacts/{PETSTORE}/api-keys"]

    async def _call_with_key(self) -> None:
        with self._screen.step("Envoy lets the call with the key through") as step:
            await self._expect(step, 200, f"{PETSTORE_CONTEXT}/pet/1", key=True)
            step.lines = [f"curl -i -H @$D/key.header $CALL{PETSTORE_CONTEXT}/pet/1"]

    async def _revoke_key(self) -> None:
        with self._screen.step("The hub revokes the key; Envoy refuses it") as step:
            await self._client.revoke_key(PETSTORE, KEY_NAME)
            await self._expect(step, 401, f"{PETSTORE_CONTEXT}/pet/1", key=True)
            step.lines = [
                f"{_HUB} -X DELETE \\",
                f"     $HUB/artifacts/{PETSTORE}/api-keys/{KEY_NAME}",
                f"curl -i -H @$D/key.header $CALL{PETSTORE_CONTEXT}/pet/1",
            ]

    # -- from the gateway to the control plane ---------------------------------------------------------------------

    async def _create_at_gateway(self) -> None:
        with self._screen.step("A second API is made at the gateway, and served") as step:
            document = files.bookshop_yaml(self._ports, PROJECT_ANNOTATION)
            self._workspace.write("bookshop.yaml", document)
            answer = await self._management.post(
                f"{self.variables['GATEWAY']}/rest-apis",
                content=document.encode(),
                headers={"content-type": "application/yaml"},
            )
            if answer.status_code != 201:
                raise NotHeld(f"the management API answered {answer.status_code}: {answer.text.strip()[:300]}")
            await self._expect(step, 200, f"{files.BOOKSHOP_CONTEXT}/books")
            step.lines = [
                f"{_GATEWAY} -H 'Content-Type: application/yaml' \\",
                "     --data-binary @$D/bookshop.yaml $GATEWAY/rest-apis",
                f"curl -i $CALL{files.BOOKSHOP_CONTEXT}/books",
            ]

    async def _arrives_at_hub(self) -> None:
        with self._screen.step("It arrives at the hub") as step:
            await self._asking.until(self._is_at_hub, "the second API arrives at the hub", CHANGE_S)
            step.lines = [f'{_HUB} "$HUB/artifacts?origin=gateway_api"']

    async def _undeploy(self) -> None:
        with self._screen.step("The hub undeploys the first API; the second goes on") as step:
            await self._client.undeploy(PETSTORE, [files.GATEWAY])
            await self._expect(step, 404, f"{PETSTORE_CONTEXT}/pet/1")
            other = await self._asking.status(f"{files.BOOKSHOP_CONTEXT}/books")
            if other != 200:
                raise NotHeld(f"the second API answers {other} instead of 200")
            step.lines = [
                f"{_HUB} -X POST \\",
                f'     "$HUB/artifacts/{PETSTORE}/undeploy?gateway={files.GATEWAY}"',
                f"curl -i $CALL{PETSTORE_CONTEXT}/pet/1",
            ]

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> HubClient:
        if self._hub is None:
            raise NotHeld("the hub has not been started")
        return self._hub

    async def _expect(self, step: Step, status: int, path: str, *, key: bool = False) -> None:
        await self._asking.expect(step, status, path, {KEY_HEADER: self._key} if key else None)

    async def _hub_answers(self) -> bool:
        try:
            return (await self._client.health()).status == "ok"
        except HubClientError as error:
            if error.status:
                raise
            return False

    async def _is_connected(self) -> bool:
        return (await self._client.gateway(files.GATEWAY)).connections > 0

    async def _is_at_hub(self) -> bool:
        artifacts = await self._client.artifacts(origin="gateway_api")
        return any(artifact.handle == files.BOOKSHOP for artifact in artifacts)
