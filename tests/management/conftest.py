"""The management API over a real store: callers in the application itself, and a real server on a free port."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import pytest
from pydantic import SecretStr

from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition
from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Deployments
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.serving import ServingBoard
from gatewright.management.api_keys import ApiKeys
from gatewright.management.identity import BasicAuthenticator, User
from gatewright.management.mux import Mux
from gatewright.management.ports import HttpServer, bind
from gatewright.management.rest_apis import RestApis
from gatewright.management.serving import Serving
from gatewright.management.subscription_plans import SubscriptionPlans
from gatewright.management.subscriptions import Subscriptions
from gatewright.model.gateway import Gateway, Listener
from gatewright.store import open_store

BASE = "/api/management/v1"
PEOPLE = {"Admin": {"admin"}, "Boss": {"admin"}, "dev": {"developer"}, "carl": {"consumer"}, "clara": {"consumer"}}
"""User → roles; the password is the name with `-pass`."""

LIMITER = {
    "type": "object",
    "required": ["limit"],
    "properties": {"limit": {"type": "integer"}, "header": {"type": "string"}},
}
DEFINITIONS = (
    PolicyDefinition("limiter", "v1.0.0", parameters=LIMITER),
    PolicyDefinition("limiter", "v2.0.3", parameters=LIMITER),
    PolicyDefinition("adder", "v1.4.0", managed_by="organization"),
)


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(tmp_path / "gateway.db")
    yield opened
    await opened.close()


@pytest.fixture
def catalogue():
    return PolicyCatalogue(DEFINITIONS)


@pytest.fixture
def deployments(store, catalogue):
    rules = RestApiRules(
        catalogue=catalogue,
        defaults=VhostDefaults(),
        renderer=Renderer(lambda _handle: None, {"PRESENT": "http://present.internal:1"}),
        gateway=Gateway(listeners=(Listener("http", "127.0.0.1", 8080),)),
    )
    return Deployments(store, [rules], board=ServingBoard(), pushes=False)


@pytest.fixture
def authenticator():
    return BasicAuthenticator(
        User(name, SecretStr(f"{name}-pass"), hashed=False, roles=frozenset(roles)) for name, roles in PEOPLE.items()
    )


@pytest.fixture
def operations(deployments):
    return [
        *RestApis(deployments).operations(),
        *ApiKeys(deployments, kind="RestApi", collection="rest-apis").operations(),
        *SubscriptionPlans(deployments).operations(),
        *Subscriptions(deployments).operations(),
        *Serving(deployments).operations(),
    ]


@pytest.fixture
def app(operations, authenticator):
    return Mux(BASE, operations, authenticator)


@pytest.fixture
def signed_in(app):
    """Clients of the application by user; None: nobody. Paths are relative to the base path."""

    def client(user, *, base=BASE, target=None):
        auth = httpx2.BasicAuth(user, f"{user}-pass") if user else None
        transport = httpx2.ASGITransport(app=target or app, client=("127.0.0.1", 50_000))
        return httpx2.AsyncClient(transport=transport, base_url=f"http://gateway{base}", auth=auth)

    return client


@pytest.fixture
def admin(signed_in):
    return signed_in("Admin")


@pytest.fixture
def serve():
    """Serves an application on a free port of loopback for the time of a block; gives the port."""

    @asynccontextmanager
    async def serving(target):
        server = HttpServer(target, bind("127.0.0.1", 0, "the test"), shutdown_timeout_s=1)
        await server.start()
        try:
            yield server.port
        finally:
            await server.stop()

    return serving


@pytest.fixture
async def port(serve, app):
    async with serve(app) as number:
        yield number


@pytest.fixture
async def remote(port):
    """A client of the real server, as administrator, at the root."""
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", auth=httpx2.BasicAuth("Admin", "Admin-pass"), trust_env=False
    ) as client:
        yield client


@pytest.fixture
def rest_api():
    def make(handle="orders", **spec):
        return {
            "apiVersion": "gateway.api-platform.wso2.com/v1",
            "kind": "RestApi",
            "metadata": {"name": handle},
            "spec": {
                "displayName": handle,
                "version": "v1.0",
                "context": f"/{handle}",
                "upstream": {"main": {"url": "http://127.0.0.1:9999"}},
                "operations": [{"method": "GET", "path": "/items"}],
                **spec,
            },
        }

    return make


@pytest.fixture
def post(admin):
    """Create an API as administrator; gives the answer."""

    async def create(document, **options):
        return await admin.post("/rest-apis", json=document, **options)

    return create


@pytest.fixture
def raw():
    """Send bytes to a port of loopback and read until the server closes."""

    async def exchange(port, *parts, pause=0.0):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            return await reader.read()
        finally:
            writer.close()

    return exchange


@pytest.fixture
def errors():
    """The problems in a refusal as (field, message)."""

    def read(response):
        assert response.status_code == 400, response.text
        body = json.loads(response.content)
        assert (body["status"], body["message"]) == ("error", "Configuration validation failed")
        return [(item["field"], item["message"]) for item in body["errors"]]

    return read
