"""What the tests of the sync to API Manager work with."""

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable

import msgspec
import yaml
from controlplane_lab import make_settings, rest_api

GATEWAY = "prod-gateway"
PATIENCE = 60.0
"""Seconds until a test gives up waiting for something that should come at once."""


async def until(holds: Callable[[], object | Awaitable[object]]) -> object:
    """Wait until something that happens elsewhere is visible; what was found."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = holds()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)


class Archive:
    """An uploaded project, read by means of its own: plain zip and YAML."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            self.names = opened.namelist()
            self.files = {name: opened.read(name) for name in self.names}

    def tree(self, ending: str):
        return yaml.safe_load(next(body for name, body in self.files.items() if name.endswith(ending)))

    @property
    def api(self) -> dict:
        return self.tree("/api.yaml")["data"]


class Shop:
    """A linked gateway and its API Manager."""

    def __init__(self, site, apim, plane, credentials) -> None:
        self.site, self.apim, self.plane, self.credentials = site, apim, plane, credentials

    def settings(self, token: str, name: str):
        """Settings of another gateway at the same API Manager."""
        values = {**self.credentials, "gateway_name": name}
        del values["token"]
        return make_settings(self.apim.host, token, ca_file=self.apim.ca_file, **values)

    def hurry(self, *pauses: float) -> None:
        """Short waits, so that tests do not take the time that API Manager is given."""
        turns = self.plane.bottom_up._sync._turns
        turns._tools = msgspec.structs.replace(turns._tools, pauses=pauses or (0.01, 0.01))

    async def connected(self) -> None:
        await until(lambda: self.plane.status().state == "connected")

    async def create(self, name: str = "orders", **changed):
        """POST; the local UUID."""
        document = changed.pop("document", None) or rest_api(name, **changed)
        stored = await self.site.deployments.create("RestApi", document, correlation_id="c", actor="a")
        return stored.row.uuid

    async def change(self, name: str, document) -> None:
        """PUT."""
        await self.site.deployments.update("RestApi", name, document, correlation_id="c", actor="a")

    async def delete(self, name: str) -> None:
        """DELETE, as the management API does it."""
        change = await self.site.deployments.delete("RestApi", name, correlation_id="c", actor="a")
        await self.plane.bottom_up.departed(change.artifact_id)

    async def row(self, name: str = "orders"):
        return await self.site.row(name)

    async def status(self, name: str = "orders") -> str:
        row = await self.row(name)
        return row.cp_sync_status if row else ""

    async def settled(self, name: str = "orders", status: str = "success"):
        """The row once its status is this."""

        async def look():
            row = await self.row(name)
            return row if row and row.cp_sync_status == status else None

        return await until(look)

    async def state(self, name: str = "orders") -> dict:
        """What the management API tells of the sync."""
        return await self.plane.bottom_up.state(await self.row(name))

    async def record(self, uuid: str):
        return await self.site.deployments.apim.get(uuid)

    async def synced(self, name: str = "orders", **changed):
        """An API that has been synced; its row."""
        await self.create(name, **changed)
        return await self.settled(name)

    def imports(self) -> list:
        return self.apim.requests("/apis/import", "POST")

    def undeploys(self) -> list:
        return self.apim.requests("undeploy-revision", "POST")

    def tokens(self) -> list:
        return self.apim.requests("/oauth2/token", "POST")

    def swaggers(self) -> list:
        return self.apim.requests("/swagger", "GET")

    def requests_order(self) -> list[str]:
        """What was done to APIs, reads left out but for that of the definition."""
        calls = [request.path.rsplit("/", 1)[-1] for request in self.publisher_calls()]
        return [call for call in calls if call in {"import", "swagger", "undeploy-revision"}]

    def publisher_calls(self) -> list:
        return self.apim.requests("/api/am/publisher")

    def archive(self, index: int = -1) -> Archive:
        return Archive(self.apim.upload(self.imports()[index]))

    def turn(self, **switches: str) -> None:
        self.apim.switches.turn(switches)

    async def deployed_revisions(self, api_id: str) -> list[str]:
        """The revisions that API Manager says are deployed to this gateway."""
        found = await self.apim.client.revisions(api_id)
        return [
            each["id"] for each in found if any(info["name"] == GATEWAY for info in each.get("deploymentInfo") or [])
        ]


def ids(row) -> dict:
    """`cp_sync_info` after a success."""
    return json.loads(row.cp_sync_info)
