"""Control plane, store and routers compared: over the real hub, and over a control plane that the tests command."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from controlplane_lab import Site, make_settings, rest_api, until

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.controlplane import drift
from gatewright.deployment import Deployments
from gatewright.deployment.data_plane import Routers
from gatewright.deployment.document_rules import document_rules
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import ServingBoard
from gatewright.model.gateway import Gateway, Listener
from gatewright.policies.registry import installed
from gatewright.store import artifacts, open_store
from gatewright.store.encryption import KeyRing
from gatewright.store.rows import ArtifactRow
from gatewright.wire.archives import write_batch
from gatewright.xds.delivery import Delivery
from gatewright.xds.outcomes import Accepted, Node, Refused
from gatewright.xds.snapshot import Snapshot

BASE = "/api/internal/v1"
T0 = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)
WORDS = "Envoy says no: missing ]"
CANARY = "canary-credential-of-an-upstream"


class Router:
    """Accepts what it is sent, except resources whose bytes hold `refused`."""

    def __init__(self, name, snapshot):
        self.name, self.snapshot = name, snapshot
        self.routers = Routers(Delivery(snapshot))
        self.refused = b"\0nothing"

    def connect(self):
        self.routers.connected(self.name, Node(self.name), "127.0.0.1")
        self.snapshot.subscribe(self._changed)
        self._changed([(resource.type_url, resource.name) for resource in self.snapshot])

    def _changed(self, keys):
        asyncio.get_running_loop().call_soon(self._answer, tuple(keys))

    def _answer(self, keys):
        outcomes = []
        for key in keys:
            resource = self.snapshot.get(key)
            if resource is None:
                outcomes.append(Accepted(key, None))
            elif self.refused in resource.body:
                outcomes.append(Refused(key, resource.version, WORDS))
            else:
                outcomes.append(Accepted(key, resource.version))
        self.routers.outcomes(self.name, outcomes)


def rules_of(secrets, main="*"):
    gateway = Gateway(listeners=(Listener("http", "127.0.0.1", 8080),))
    renderer = Renderer(secrets.value)
    catalogue = installed().catalogue
    defaults = VhostDefaults(main=main)
    rest = RestApiRules(catalogue=catalogue, defaults=defaults, renderer=renderer, gateway=gateway)
    return gateway, [rest, *document_rules(catalogue=catalogue, renderer=renderer)]


@pytest.fixture
async def served(tmp_path):
    """A gateway with one router."""
    store = await open_store(tmp_path / "served.db", keys=KeyRing([("k1", b"k" * 32)]))
    secrets = Secrets(store)
    gateway, rules = rules_of(secrets)
    board, snapshot = ServingBoard(), Snapshot()
    router = Router("r1", snapshot)
    deployments = Deployments(store, rules, board=board, pushes=True)
    rollout = Rollout(
        store,
        rules,
        snapshot,
        board,
        gateway=gateway,
        data_plane=router.routers,
        poll_interval=0.05,
        drain_seconds=0.05,
    )
    await rollout.load()
    router.connect()
    task = asyncio.create_task(rollout.run())
    site = Site(store, deployments, snapshot, secrets, router.routers)
    site.router, site.board = router, board
    yield site
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rollout.close()
    await store.close()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(drift, "SETTLING", 0.0)


async def connected(plane):
    await until(lambda: plane.status().state == "connected" and plane.status().last_reconcile is not None)


async def settled(site, handle, state="served"):
    async def holds():
        row = await site.row(handle)
        return row is not None and site.deployments.status(row.uuid).state == state

    await until(holds)


async def compared(plane, *names):
    result = await plane.drift(names)
    assert "error" not in result, result
    return result


def codes(result):
    return {
        artifact["handle"]: [(each["place"], each["code"]) for each in artifact["differences"]]
        for artifact in result["artifacts"]
    }


# -- with the real hub -------------------------------------------------------------------------------------------------


async def test_what_was_just_deployed_is_the_same_everywhere(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        document = rest_api("orders", context="/orders/$version")
        document["spec"]["unknownMember"] = 1
        document["spec"]["operations"][0]["policies"] = []
        await client.deploy(json.dumps(document), ["edge"])
        await client.deploy(json.dumps(rest_api("invoices")), ["edge"])
        await settled(served, "orders")
        await settled(served, "invoices")
        result = await compared(plane)
        assert result["same"], result
        assert (result["compared"], result["routers"], result["notes"]) == (2, 1, ())
        assert (await compared(plane, "orders"))["compared"] == 1


async def test_fields_that_were_changed_here(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        for handle in ("orders", "untouched"):
            await client.deploy(json.dumps(rest_api(handle)), ["edge"])
            await settled(served, handle)
        changed = rest_api("orders")
        changed["spec"]["upstream"]["main"]["url"] = "http://127.0.0.1:1"
        changed["spec"]["operations"].append({"method": "POST", "path": "/items"})
        changed["spec"]["vhosts"] = {"main": "shop.example"}
        await served.deployments.update("RestApi", "orders", changed, correlation_id="c", actor="alice")
        result = await compared(plane)
        assert (result["same"], result["compared"], result["different"]) == (False, 2, 1)
        (artifact,) = result["artifacts"]
        fields = {each["field"]: (each.get("wanted"), each.get("found")) for each in artifact["differences"]}
        assert fields["spec.upstream.main.url"] == ("http://127.0.0.1:9999", "http://127.0.0.1:1")
        assert fields["spec.operations[POST /items]"] == (None, {"method": "POST", "path": "/items"})
        assert fields["spec.vhosts.main"] == ("*", "shop.example")
        assert {each["code"] for each in artifact["differences"]} == {"FIELD"}
        assert (await compared(plane, "untouched"))["same"]


async def test_missing_and_undeployed_here(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        for handle in ("gone", "off"):
            await client.deploy(json.dumps(rest_api(handle)), ["edge"])
            await settled(served, handle)
        await served.deployments.delete("RestApi", "gone", correlation_id="c", actor="alice")
        undeployed = rest_api("off")
        undeployed["spec"]["deploymentState"] = "undeployed"
        await served.deployments.update("RestApi", "off", undeployed, correlation_id="c", actor="alice")
        await settled(served, "off", "undeployed")
        result = await compared(plane)
        assert codes(result)["gone"] == [("store", "MISSING")]
        assert ("store", "STATE") in codes(result)["off"]
        assert codes(await compared(plane, "gone")) == {"gone": [("store", "MISSING")]}


async def test_what_the_control_plane_does_not_know(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        extra = ArtifactRow(
            uuid="0f3c1c0e-2a75-4f5b-9d6c-0b7f6d2f4a11",
            kind="RestApi",
            handle="extra",
            display_name="extra",
            version="v1",
            document=rest_api("extra"),
            origin="control_plane",
            deployed_at=T0,
            created_at=T0,
            updated_at=T0,
        )
        await served.store.write(lambda connection: artifacts.add(connection, served.store.gateway_id, extra))
        result = await compared(plane, "extra")
        assert ("store", "EXTRA") in codes(result)["extra"]
        assert "does not know it" in result["artifacts"][0]["differences"][0]["message"]


async def test_what_was_made_here_and_was_not_taken(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        await served.deployments.create("RestApi", rest_api("local"), correlation_id="c", actor="alice")
        await served.deployments.create("RestApi", rest_api("alone", project=None), correlation_id="c", actor="alice")

        async def pushed():
            return (await served.row("local")).cp_sync_status == "success"

        await until(pushed)
        await settled(served, "alone")
        result = await compared(plane)
        assert codes(result) == {"alone": [("control_plane", "UNSENT")]}


async def test_a_version_that_a_router_refuses(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        await client.deploy(json.dumps(rest_api("orders")), ["edge"])
        await settled(served, "orders")
        served.router.refused = b"poison"
        broken = rest_api("orders")
        broken["spec"]["operations"].append({"method": "GET", "path": "/poison"})
        await client.deploy(json.dumps(broken), ["edge"])
        await settled(served, "orders", "quarantined")
        (artifact,) = (await compared(plane))["artifacts"]
        (refused,) = artifact["differences"]
        assert (refused["place"], refused["code"]) == ("routers", "REFUSED")
        assert WORDS in refused["message"]
        assert "last good version serves" in refused["message"]
        assert refused["wanted"] != refused["found"]


async def test_an_undeployment_leaves_no_difference(served, client, hub_settings):
    async with served.linked(await hub_settings()) as plane:
        await connected(plane)
        await client.deploy(json.dumps(rest_api("orders")), ["edge"])
        await settled(served, "orders")
        await client.undeploy("orders")
        await settled(served, "orders", "undeployed")
        assert (await compared(plane))["same"]


async def test_without_a_router_that_is_said_and_is_no_difference(site, client, hub_settings):
    async with site.linked(await hub_settings()) as plane:
        await connected(plane)
        await client.deploy(json.dumps(rest_api("orders")), ["edge"])
        await settled(site, "orders", "stored")
        result = await compared(plane)
        assert result["same"]
        assert "no router is connected" in result["notes"][0]


async def test_without_a_connection(served, hub_settings):
    settings = await hub_settings()
    async with served.linked(make_settings(settings.controller.controlplane.host, "")) as plane:
        assert "token" in (await plane.drift())["error"]


# -- with a control plane under command --------------------------------------------------------------------------------


class Platform:
    """Lists and documents of a hostile server."""

    def __init__(self, hostile):
        self.rows: dict[str, dict] = {}
        self.documents: dict[str, bytes] = {}
        self.batches: list[list[str]] = []
        hostile.answers["GET", f"{BASE}/deployments"] = self.list
        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = self.fetch
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = self.exists

    def put(self, artifact, deployment, document, *, state="DEPLOYED", at=T0):
        self.rows[artifact] = {
            "artifactId": artifact,
            "deploymentId": deployment,
            "kind": document["kind"],
            "state": state,
            "deployedAt": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self.documents[deployment] = json.dumps(document).encode()

    def list(self, _request):
        return 200, {"deployments": [*self.rows.values()]}

    def fetch(self, request):
        ids = json.loads(request.body)["deploymentIds"]
        self.batches.append(ids)
        return 200, write_batch({each: ("api-x.yaml", self.documents[each]) for each in ids if each in self.documents})

    def exists(self, request):
        ids = json.loads(request.body)["artifactIds"]
        return 200, {"artifacts": [{"artifactId": each, "exists": each in self.rows} for each in ids]}


@pytest.fixture
def platform(hostile):
    return Platform(hostile)


async def test_documents_come_in_batches_and_only_different_ones_twice(served, hostile_settings, platform):
    for number in range(12):
        platform.put(f"a{number}", f"d{number}", rest_api(f"h{number}"))
    async with served.linked(hostile_settings(sync_batch_size=5)) as plane:
        await connected(plane)
        await settled(served, "h0")
        platform.batches.clear()
        assert (await compared(plane))["same"]
        assert [len(batch) for batch in platform.batches] == [5, 5, 2]
        platform.batches.clear()
        changed = rest_api("h3")
        changed["spec"]["displayName"] = "other"
        platform.documents["d3"] = json.dumps(changed).encode()
        assert codes(await compared(plane)) == {"h3": [("store", "FIELD")]}
        assert [len(batch) for batch in platform.batches] == [5, 5, 2, 1]


async def test_a_difference_that_has_gone_at_the_second_look_is_none(served, hostile, hostile_settings, platform):
    platform.put("a1", "d1", rest_api("orders"))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        await settled(served, "orders")
        later = {"artifactId": "a2", "deploymentId": "d2", "kind": "RestApi", "state": "DEPLOYED"}
        answers = [(200, {"deployments": [*platform.rows.values(), later]})]
        platform.documents["d2"] = json.dumps(rest_api("later")).encode()
        hostile.answers["GET", f"{BASE}/deployments"] = lambda request: (
            answers.pop() if answers else platform.list(request)
        )
        assert (await compared(plane))["same"]
        assert not answers


async def test_another_or_a_later_deployment(served, hostile_settings, platform):
    platform.put("a1", "d1", rest_api("one"))
    platform.put("a2", "d2", rest_api("two"))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        await settled(served, "two")
        platform.put("a1", "d9", rest_api("one"), at=T0 + timedelta(hours=1))
        platform.put("a2", "d2", rest_api("two"), at=T0 + timedelta(hours=1))
        assert codes(await compared(plane)) == {"one": [("store", "DEPLOYMENT")], "two": [("store", "NEWER")]}


async def test_documents_that_cannot_be_had_or_taken(served, hostile_settings, platform):
    for number in range(2):
        platform.put(f"a{number}", f"d{number}", rest_api(f"h{number}"))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        await settled(served, "h1")
        del platform.documents["d0"]
        invalid = rest_api("h1")
        invalid["spec"]["context"] = "no-slash"
        platform.documents["d1"] = json.dumps(invalid).encode()
        platform.put("a2", "d2", {"kind": "WebSubApi"})
        result = await compared(plane)
        assert codes(result) == {"h0": [("control_plane", "NO_DOCUMENT")], "h1": [("store", "UNUSABLE")]}
        assert "spec.context" in str(result["artifacts"])
        assert "1 deployments of kinds" in result["notes"][0]


async def test_a_batch_that_fails_makes_it_incomplete_not_different(served, hostile, hostile_settings, platform):
    platform.put("a1", "d1", rest_api("orders"))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        await settled(served, "orders")
        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = (500, b"")
        result = await compared(plane)
        assert (result["same"], result["different"], result["compared"]) == (False, 0, 0)
        assert "HTTP 500" in result["problems"][0]


async def test_a_list_that_is_refused(served, hostile, hostile_settings, platform):
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        hostile.answers["GET", f"{BASE}/deployments"] = (503, b"")
        assert "HTTP 503" in (await plane.drift())["error"]


async def test_names_that_nothing_has(served, hostile_settings, platform):
    platform.put("a1", "d1", rest_api("orders"))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        await settled(served, "orders")
        result = await compared(plane, "a1", "nobody")
        assert (result["unknown"], result["compared"], result["same"]) == (("nobody",), 1, False)


async def test_defaults_that_are_others_by_now_raise_no_alarm(served, hostile_settings, platform):
    platform.put("a1", "d1", rest_api("orders"))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        await settled(served, "orders")
    _, rules = rules_of(served.secrets, main="new.example")
    deployments = Deployments(served.store, rules, board=served.board, pushes=True)
    later = Site(served.store, deployments, served.snapshot, served.secrets, served.routers)
    async with later.linked(hostile_settings()) as plane:
        await connected(plane)
        assert (await compared(plane))["same"]


async def test_sealed_credentials_are_compared_and_not_shown(served, hostile_settings, platform):
    def provider(value):
        return {
            "apiVersion": "gateway.api-platform.wso2.com/v1",
            "kind": "LlmProvider",
            "metadata": {"name": "acme"},
            "spec": {
                "displayName": "acme",
                "version": "v1.0",
                "template": "acme-llm",
                "upstream": {
                    "url": "https://llm.example",
                    "auth": {"type": "api-key", "header": "X-Key", "value": value},
                },
                "accessControl": {"mode": "allow_all"},
            },
        }

    template = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "LlmProviderTemplate",
        "metadata": {"name": "acme-llm"},
        "spec": {"displayName": "acme-llm"},
    }
    await served.deployments.create("LlmProviderTemplate", template, correlation_id="c", actor="a")
    platform.put("p1", "d1", provider(CANARY))
    async with served.linked(hostile_settings()) as plane:
        await connected(plane)
        row = await served.row("acme", "LlmProvider")
        assert CANARY not in json.dumps(row.document)
        assert (await compared(plane, "acme"))["same"]
        platform.documents["d1"] = json.dumps(provider("canary-credential-number-two")).encode()
        result = await compared(plane, "acme")
        (field,) = result["artifacts"][0]["differences"]
        assert field["field"] == "spec.upstream.auth.value"
        assert "canary" not in json.dumps(result)
