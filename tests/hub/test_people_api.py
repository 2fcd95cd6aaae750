"""The hub's own API: gateways, artifacts, deployments, events, waiting and watching."""

import asyncio

import httpx2
import pytest
from hub_lab import DOCUMENT, PATIENCE, Lab

from gatewright.hub import openapi
from gatewright.hub.client import HubClientError
from gatewright.hub.views import Change

REF = "orders-v1.0"


async def test_gateways_are_registered_listed_and_deleted(lab: Lab) -> None:
    made = await lab.client.register("edge", "Edge gateway", description="d", endpoints=[" https://x "], version="1.02")
    assert (made.id, made.display_name, made.functionality_type) == ("edge", "Edge gateway", "regular")
    assert (made.endpoints, made.version) == (("https://x",), "1.2")
    named = await lab.client.register("", "My Second Gateway!")
    assert named.id == "my-second-gateway"
    assert [gateway.id for gateway in await lab.client.gateways()] == ["edge", "my-second-gateway"]
    assert await lab.client.gateway("edge") == made
    with pytest.raises(HubClientError) as taken:
        await lab.client.register("edge")
    assert (taken.value.status, taken.value.code) == (409, "GATEWAY_NAME_CONFLICT")
    await lab.client.deploy(DOCUMENT, ["edge"])
    await lab.client.delete_gateway("edge")
    assert await lab.client.deployments() == []
    with pytest.raises(HubClientError) as gone:
        await lab.client.gateway("edge")
    assert gone.value.code == "GATEWAY_NOT_FOUND"


async def test_a_bad_registration_names_every_broken_rule(lab: Lab) -> None:
    with pytest.raises(HubClientError) as refusal:
        await lab.client.register("-X-", "n" * 200, endpoints=[""], functionality_type="odd", version="latest")
    for member in ("id:", "displayName:", "endpoints:", "functionalityType:", "version:"):
        assert member in str(refusal.value)
    assert await lab.client.gateways() == []


async def test_deploying_again_replaces_the_document_of_the_same_artifact(lab: Lab) -> None:
    await lab.gateway()
    first = await lab.client.deploy(DOCUMENT, ["edge"])
    second = await lab.client.deploy(DOCUMENT.replace("/items", "/things"), ["edge"])
    assert first.artifact.id == second.artifact.id
    assert first.deployments[0].deployment_id != second.deployments[0].deployment_id
    assert "/things" in (await lab.client.artifact(REF)).document
    assert (await lab.client.artifact(first.artifact.id)).handle == REF
    (listed,) = await lab.client.artifacts(origin="control_plane", kind="RestApi")
    assert (listed.handle, listed.document) == (REF, "")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "must be a mapping"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: [b", "at line 2, column 1"),
        (b"{" * 5000, "neither YAML nor JSON"),
        (b"a: &a [*a]\nkind: Odd", "kind: must be one of RestApi"),
        (b"- 1", "must be a mapping"),
        (b"kind: Mcp", "metadata.name: .*spec.upstream: .*spec.context: "),
        (b"kind: RestApi", "metadata.name: .*spec.displayName: .*spec.context: .*spec.operations: "),
        (b"kind: RestApi\nmetadata: {name: a b}\nspec: []", "metadata.name"),
        (b"date: 2026-99-99\nkind: RestApi", "cannot be read"),
        (b"a: 1\n---\nb: 2", "neither YAML nor JSON"),
    ],
)
async def test_bad_documents_are_refused_with_the_place(lab: Lab, document: bytes, message: str) -> None:
    with pytest.raises(HubClientError, match=message) as refusal:
        await lab.client.deploy(document)
    assert refusal.value.status == 400
    assert await lab.client.artifacts() == []


async def test_what_is_said_of_a_gateway_is_changed_and_its_connection_stays(lab: Lab) -> None:
    token = await lab.gateway()
    before = await lab.client.gateway("edge")
    async with lab.peer(token):
        changed = await lab.client.change_gateway(
            "edge", "Edge of the shop", endpoints=[" https://edge.example "], isCritical=True, version="1.1"
        )
        assert (changed.display_name, changed.endpoints, changed.is_critical, changed.connections) == (
            "Edge of the shop", ("https://edge.example",), True, 1,
        )  # fmt: skip
        assert (changed.uuid, changed.version, changed.functionality_type, changed.created_at) == (
            before.uuid, before.version, before.functionality_type, before.created_at,
        )  # fmt: skip
        assert changed.updated_at > before.updated_at
    for ref, body in (("edge", {"id": "other"}), ("edge", {"endpoints": [""]}), ("nowhere", {})):
        with pytest.raises(HubClientError) as refused:
            await lab.client.change_gateway(ref, "Any", **body)
        assert refused.value.code == ("VALIDATION_FAILED" if body else "GATEWAY_NOT_FOUND")


async def test_oversized_documents_and_unknown_gateways_change_nothing(lab: Lab) -> None:
    with pytest.raises(HubClientError) as large:
        await lab.client.deploy(DOCUMENT + "#" * 5_000_000)
    assert (large.value.status, large.value.code) == (413, "BODY_TOO_LARGE")
    with pytest.raises(HubClientError) as unknown:
        await lab.client.deploy(DOCUMENT, ["nowhere"])
    assert unknown.value.code == "GATEWAY_NOT_FOUND"
    assert await lab.client.artifacts() == []


async def test_undeploying_what_is_not_deployed_is_refused(lab: Lab) -> None:
    await lab.gateway()
    await lab.client.deploy(DOCUMENT)
    for gateways in ([], ["edge"]):
        with pytest.raises(HubClientError) as refusal:
            await lab.client.undeploy(REF, gateways)
        assert (refusal.value.status, refusal.value.code) == (409, "DEPLOYMENT_NOT_ACTIVE")
    with pytest.raises(HubClientError, match="name at least one gateway"):
        await lab.client.deploy_again(REF, [])


async def test_waiting_ends_when_the_gateway_has_spoken(lab: Lab) -> None:
    async with lab.peer(await lab.gateway()) as peer:
        await lab.client.deploy(DOCUMENT, ["edge"])
        waiting = asyncio.create_task(lab.client.deployments(artifact=REF, gateway="edge", wait=PATIENCE))
        event = await peer.event()
        assert not waiting.done()
        await peer.acknowledge(event, "failed", errorCode="GATEWAY_PROCESSING_ERROR")
        (row,) = await waiting
        assert (row.status, row.reason) == ("FAILED", "GATEWAY_PROCESSING_ERROR")
        await lab.client.deploy(DOCUMENT, ["edge"])
        (row,) = await lab.client.deployments(wait=0.05)
        assert row.status == "DEPLOYING"


async def test_the_event_log_tells_what_was_sent_but_no_credentials(lab: Lab) -> None:
    await lab.gateway()
    await lab.client.deploy(DOCUMENT, ["edge"])
    await lab.client.create_key(REF, "some-key")
    deployed, created = await lab.client.events(gateway="edge")
    assert (deployed.type, deployed.action, deployed.gateway) == ("api.deployed", "CREATE", "edge")
    assert set(deployed.payload) == {"apiId", "deploymentId", "performedAt"}
    assert (created.type, created.payload) == ("apikey.created", None)
    assert await lab.client.events(after=deployed.seq) == [created]
    assert await lab.client.events(limit=1) == [deployed]


async def test_a_watch_begins_with_the_present_and_goes_on_with_changes(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.client.deploy(DOCUMENT, ["edge"])
    seen: list[Change] = []
    watch = lab.client.watch()

    async def following(wanted: int) -> list[Change]:
        async with asyncio.timeout(PATIENCE):
            return [await anext(watch) for _ in range(wanted)]

    seen = await following(3)
    assert seen[0].gateway is not None
    assert not seen[0].gateway.is_active
    assert seen[1].deployment is not None
    assert seen[1].deployment.status == "DEPLOYING"
    assert seen[2].synced
    async with lab.peer(token) as peer:
        (connected,) = await following(1)
        assert connected.gateway is not None
        assert connected.gateway.is_active
        await peer.acknowledge(await peer.event())
        (settled,) = await following(1)
        assert settled.deployment is not None
        assert settled.deployment.status == "DEPLOYED"
        await lab.client.delete_artifact(REF)
        (removed,) = await following(1)
        assert removed.removed == f"artifact/{REF}"
    (left,) = await following(1)
    assert left.gateway is not None
    assert not left.gateway.is_active
    await watch.aclose()


async def test_a_watch_ends_with_the_hub(lab: Lab) -> None:
    async def watch() -> list[Change]:
        return [change async for change in lab.client.watch()]

    watching = asyncio.create_task(watch())
    await lab.client.register("edge")
    await lab.client.gateways()
    await lab.hub.stop()
    async with asyncio.timeout(PATIENCE):
        changes = await watching
    assert any(change.synced for change in changes)


async def test_an_openapi_document_becomes_a_deployable_api(lab: Lab) -> None:
    await lab.gateway()
    document = await lab.client.convert_openapi(
        openapi.petstore(), handle="pets", context="/pets", upstream="http://127.0.0.1:9000", project="default"
    )
    deployed = await lab.client.deploy(document, ["edge"])
    assert (deployed.artifact.handle, deployed.artifact.version) == ("pets", "v1.0")
    with pytest.raises(HubClientError, match=r"must be 3\.x") as refusal:
        await lab.client.convert_openapi(b"title: nothing")
    assert refusal.value.status == 400


async def test_odd_parameters_are_refused(lab: Lab) -> None:
    headers = {"authorization": f"Bearer {lab.hub.admin_token_file.read_text().strip()}"}
    async with httpx2.AsyncClient(
        base_url=f"https://127.0.0.1:{lab.hub.port}/api/hub/v1", verify=lab.trust, headers=headers
    ) as http:
        for path in ("/events?after=x", "/events?limit=-1", "/events?after=1e300", "/deployments?wait=nan"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_FAILED"), path
        assert (await http.post("/gateways", content=b"{nonsense")).status_code == 400
        assert (await http.post("/gateways", json={"displayName": 5})).json()["message"] == (
            "Invalid request body: Expected `str`, got `int` $.displayName"
        )
        assert (await http.get("/nowhere")).json() == {
            "status": "error", "code": "NOT_FOUND", "message": "Not Found.",
        }  # fmt: skip
