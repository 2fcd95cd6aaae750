"""The REST calls of gateways: answers, error bodies, and that nobody sees another's data."""

import io
import json
import tarfile
import zipfile

import httpx2
import pytest
from hub_lab import DOCUMENT, Lab, LabMaker

from gatewright.wire import imports
from gatewright.wire.identifiers import derived_uuid
from gatewright.wire.times import Timestamp

REF = "orders-v1.0"
BATCH = {"accept": "application/x-tar+gzip"}


async def test_calls_without_a_valid_token_are_refused_in_the_internal_shape(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.rest("") as nobody, lab.rest("wrong") as stranger, lab.rest(token) as known:
        for path in ("/deployments", "/apis/x", "/secrets", "/subscription-plans", "/apis/api-keys"):
            answer = await nobody.get(path)
            assert answer.status_code == 401
            assert answer.json() == {
                "code": 401, "message": "Unauthorized",
                "description": "API key is required. Provide 'api-key' header.",
            }  # fmt: skip
            assert (await stranger.get(path)).json()["description"] == "Invalid or expired API key"
        assert (await known.get("/deployments")).status_code == 200
        assert (await known.get("/nowhere")).json()["code"] == 404
        assert (await known.delete("/deployments")).json()["code"] == 405


async def test_a_definition_is_a_zip_with_one_deflated_entry(lab: Lab) -> None:
    token = await lab.gateway()
    artifact = (await lab.client.deploy(DOCUMENT, ["edge"])).artifact
    async with lab.rest(token) as rest:
        answer = await rest.get(f"/apis/{artifact.id}", headers={"accept": "application/zip"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="api-{artifact.id}.zip"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == f"api-{artifact.id}.yaml"
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        assert archive.read(entry).decode() == DOCUMENT


@pytest.mark.conforms("CP-111")
async def test_without_an_active_deployment_there_is_no_definition(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.gateway("other")
    artifact = (await lab.client.deploy(DOCUMENT, ["other"])).artifact
    nothing = "No active deployment found for this API on this gateway"
    async with lab.rest(token) as rest:
        answer = await rest.get(f"/apis/{artifact.id}")
        assert answer.json() == {"code": 404, "message": "Not Found", "description": nothing}
        assert answer.status_code == 404
        assert (await rest.get("/apis/unknown")).json()["description"] == "API not found"
        assert (await rest.get("/llm-providers/x")).json()["description"] == "LLM provider not found"
        assert (await rest.get("/llm-proxies/x")).json()["description"] == "LLM proxy not found"
        assert (await rest.get("/mcp-proxies/x")).json()["description"] == "MCP proxy not found"
        await lab.client.deploy_again(REF, ["edge"])
        assert (await rest.get(f"/apis/{artifact.id}")).status_code == 200
        await lab.client.undeploy(REF, ["edge"])
        assert (await rest.get(f"/apis/{artifact.id}")).json()["description"] == nothing


async def test_the_current_content_is_answered_whatever_event_asked(lab: Lab) -> None:
    token = await lab.gateway()
    artifact = (await lab.client.deploy(DOCUMENT, ["edge"])).artifact
    await lab.client.deploy(DOCUMENT.replace("/items", "/things"), ["edge"])
    async with lab.rest(token) as rest:
        with zipfile.ZipFile(io.BytesIO((await rest.get(f"/apis/{artifact.id}")).content)) as archive:
            assert b"/things" in archive.read(archive.namelist()[0])


@pytest.mark.conforms("CP-107")
async def test_the_deployment_list_holds_what_is_wanted_here(lab: Lab) -> None:
    token = await lab.gateway()
    first = await lab.client.deploy(DOCUMENT, ["edge"])
    lab.clock.advance(1)
    other = await lab.client.deploy(DOCUMENT.replace("orders", "users").replace("Orders", "Users"), ["edge"])
    lab.clock.advance(1)
    await lab.client.undeploy(REF)
    async with lab.rest(token) as rest:
        await _push(rest, "made-here")
        rows = (await rest.get("/deployments")).json()["deployments"]
        assert [(row["artifactId"], row["kind"], row["state"]) for row in rows] == [
            (first.artifact.id, "RestApi", "UNDEPLOYED"),
            (other.artifact.id, "RestApi", "DEPLOYED"),
        ]
        for row in rows:
            assert row["etag"] == derived_uuid(row["deploymentId"], Timestamp.parse(row["deployedAt"]))
        since = (await rest.get("/deployments", params={"since": rows[1]["deployedAt"]})).json()["deployments"]
        assert [row["artifactId"] for row in since] == [first.artifact.id]
        refused = await rest.get("/deployments?since=yesterday")
        assert refused.status_code == 400
        assert refused.json()["description"].startswith("Invalid 'since' parameter. Expected ISO 8601 format")


@pytest.mark.conforms("CP-108")
async def test_batches(lab: Lab) -> None:
    token = await lab.gateway()
    await lab.gateway("other")
    mine = (await lab.client.deploy(DOCUMENT, ["edge"])).deployments[0]
    foreign = (await lab.client.deploy_again(REF, ["other"])).deployments
    foreign_id = next(row.deployment_id for row in foreign if row.gateway == "other")
    async with lab.rest(token) as rest:
        wanted = {"deploymentIds": [mine.deployment_id, foreign_id, "unknown"]}
        for accept in ("application/json", "*/*", "application/x-tar+gzip, */*"):
            refused = await rest.post("/deployments/fetch-batch", json=wanted, headers={"accept": accept})
            assert refused.status_code == 406
            text = "This endpoint only supports Accept: application/x-tar+gzip"
            assert refused.json()["description"] == text
        empty = await rest.post("/deployments/fetch-batch", json={"deploymentIds": []}, headers=BATCH)
        assert empty.status_code == 400
        assert empty.json()["description"] == "At least one deployment ID is required"
        for body in (b"{", b'{"deploymentIds":5}', b"[]", b'{"deploymentIds":[1]}'):
            bad = await rest.post("/deployments/fetch-batch", content=body, headers=BATCH)
            assert bad.status_code == 400
            assert bad.json()["description"].startswith("Invalid request body")
        answer = await rest.post("/deployments/fetch-batch", json=wanted, headers=BATCH)
        nothing = await rest.post("/deployments/fetch-batch", json={"deploymentIds": ["unknown"]}, headers=BATCH)
    gateway = await lab.client.gateway("edge")
    assert answer.headers["content-disposition"] == (f'attachment; filename="deployments-batch-{gateway.uuid}.tar.gz"')
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
        assert archive.getnames() == [f"{mine.deployment_id}/api-{mine.artifact_id}.yaml"]
        content = archive.extractfile(archive.getnames()[0])
        assert content is not None
        assert content.read().decode() == DOCUMENT
    with tarfile.open(fileobj=io.BytesIO(nothing.content), mode="r:gz") as archive:
        assert archive.getnames() == []


@pytest.mark.conforms("CP-109")
async def test_existence_is_answered_for_every_id_in_order(lab: Lab) -> None:
    token = await lab.gateway()
    artifact = (await lab.client.deploy(DOCUMENT)).artifact
    asked = ["unknown", artifact.id, "", artifact.id, "x" * 300]
    async with lab.rest(token) as rest:
        answer = await rest.post("/artifacts/exists", json={"artifactIds": asked})
        assert answer.json()["artifacts"] == [
            {"artifactId": each, "exists": each == artifact.id} for each in asked
        ]  # fmt: skip
        assert (await rest.post("/artifacts/exists", json={"artifactIds": []})).json() == {"artifacts": []}
        assert (await rest.post("/artifacts/exists", content=b"nonsense")).status_code == 400


@pytest.mark.conforms("CP-112")
async def test_a_token_opens_its_own_gateway_only(lab: Lab) -> None:
    mine, foreign = await lab.gateway("mine"), await lab.gateway("foreign")
    deployed = await lab.client.deploy(DOCUMENT, ["foreign"])
    await lab.client.create_key(REF, "some-key")
    async with lab.rest(foreign) as theirs:
        assert len((await theirs.get("/apis/api-keys")).json()) == 1
        assert (await theirs.get(f"/apis/{deployed.artifact.id}/subscriptions")).json() == []
    async with lab.rest(mine) as rest:
        assert (await rest.get("/deployments")).json() == {"deployments": []}
        assert (await rest.get(f"/apis/{deployed.artifact.id}")).status_code == 404
        assert (await rest.get("/apis/api-keys")).json() == []
        assert (await rest.get(f"/apis/{deployed.artifact.id}/subscriptions")).status_code == 403
        body = {"deploymentIds": [deployed.deployments[0].deployment_id]}
        batch = await rest.post("/deployments/fetch-batch", json=body, headers=BATCH)
        with tarfile.open(fileobj=io.BytesIO(batch.content), mode="r:gz") as archive:
            assert archive.getnames() == []


async def test_what_the_hub_does_not_hold_is_answered_as_by_an_empty_platform(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.rest(token) as rest:
        assert (await rest.get("/subscription-plans")).json() == []
        assert (await rest.get("/secrets?includeValues=true")).json() == {"list": [], "count": 0}
        assert (await rest.get("/secrets?updatedAfter=never")).status_code == 400
        missing = await rest.get("/secrets/backend-key/value")
        assert (missing.status_code, missing.json()["description"]) == (404, "Secret not found")
        unknown = await rest.get("/apis/unknown/subscriptions")
        assert (unknown.status_code, unknown.json()["description"]) == (404, "API not found")
        for collection in ("apis", "websub-apis", "webbroker-apis", "llm-providers", "llm-proxies"):
            assert (await rest.get(f"/{collection}/api-keys")).json() == []


@pytest.mark.conforms("CP-118", "CP-119")
async def test_a_manifest_updates_the_token_s_gateway_whatever_the_path_says(lab: Lab) -> None:
    token = await lab.gateway()
    body = {
        "version": "1.3.7", "functionalityType": "regular",
        "policies": [
            {"name": "Set-Headers", "version": "v1", "parameters": {"type": "object"}, "managedBy": "wso2"},
            {"name": "own", "version": "v1", "parameters": {"type": "object"}, "managedBy": "customer"},
            {"name": "odd", "version": "v1", "managedBy": "nobody"},
        ],
    }  # fmt: skip
    assert await lab.client.manifest("edge") == {}
    async with lab.rest(token) as rest:
        answer = await rest.post("/gateways/somebody-else/manifest", json=body)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await lab.client.gateway("edge")).version == "1.3.7"
        assert (await lab.client.manifest("edge"))["policies"] == [
            {"name": "set-headers", "version": "v1", "managedBy": "wso2"},
            {"name": "own", "version": "v1", "parameters": {"type": "object"}, "managedBy": "organization"},
        ]
        assert (await rest.post("/gateways/x/manifest", content=b"nonsense")).status_code == 400
        assert (await rest.post("/gateways/x/manifest", json={})).status_code == 204
        assert (await lab.client.gateway("edge")).version == "1.0.0"


@pytest.mark.conforms("CP-118")
async def test_a_mismatch_is_refused_when_verification_is_on(make_lab: LabMaker) -> None:
    async with make_lab(verify_gateway_version=True, verify_functionality=True) as lab:
        await lab.client.register("edge", version="1.1")
        token = (await lab.client.issue_token("edge")).token
        async with lab.rest(token) as rest:
            answer = await rest.post("/gateways/x/manifest", json={"version": "1.2.0"})
            assert answer.status_code == 409
            assert answer.json()["description"].endswith(" (registered=1.1, reported=1.2)")
            answer = await rest.post("/gateways/x/manifest", json={"version": "1.1.5", "functionalityType": "event"})
            assert answer.status_code == 409
            assert (await rest.post("/gateways/x/manifest", json={"version": "1.1.5"})).status_code == 204
        assert (await lab.client.gateway("edge")).version == "1.1.5"


@pytest.mark.conforms("CP-120")
async def test_gateways_before_1_2_get_documents_of_the_older_version(lab: Lab) -> None:
    token = await lab.gateway()
    deployed = await lab.client.deploy(DOCUMENT, ["edge"])

    async def documents(version: str) -> set[str]:
        async with lab.rest(token) as rest:
            await rest.post("/gateways/x/manifest", json={"version": version})
            one = await rest.get(f"/apis/{deployed.artifact.id}")
            body = {"deploymentIds": [deployed.deployments[0].deployment_id]}
            many = await rest.post("/deployments/fetch-batch", json=body, headers=BATCH)
        with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
            single = archive.read(archive.namelist()[0]).decode()
        with tarfile.open(fileobj=io.BytesIO(many.content), mode="r:gz") as tar:
            content = tar.extractfile(tar.getnames()[0])
            assert content is not None
            batched = content.read().decode()
        return {single, batched}

    older = DOCUMENT.replace("wso2.com/v1", "wso2.com/v1alpha1")
    for version in ("1.1.9", "1.0.0", "v1.1", "0.9", "1"):
        assert await documents(version) == {older}, version
    for version in ("1.2.0", "2.0", "1.10.1", "nightly", "2026.08.01"):
        assert await documents(version) == {DOCUMENT}, version


@pytest.mark.parametrize("path", ["/deployments/fetch-batch", "/artifacts/exists", "/gateways/x/manifest"])
async def test_oversized_bodies_are_refused(lab: Lab, path: str) -> None:
    token = await lab.gateway()
    async with lab.rest(token) as rest:
        answer = await rest.post(path, content=b'{"x":"' + b"a" * 9_000_000 + b'"}', headers=BATCH)
        assert answer.status_code == 413
        assert answer.json()["code"] == 413


async def _push(rest: httpx2.AsyncClient, name: str) -> None:
    configuration = {
        "kind": "RestApi",
        "metadata": {"name": name, "annotations": {"gateway.api-platform.wso2.com/project-id": "default"}},
        "spec": {"displayName": name, "version": "v1.0"},
    }
    now = Timestamp.parse("2026-08-01T10:00:00Z")
    entry = imports.entry("local", configuration, "deployed", created_at=now, updated_at=now, deployed_at=now)
    body = imports.encode_import([entry])
    answer = await rest.post(
        "/artifacts/import-gateway-artifacts", content=body.content, headers={"content-type": body.content_type}
    )
    assert json.loads(answer.content)["failed"] == 0
