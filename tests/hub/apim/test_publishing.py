"""What Publisher and DevPortal users do at a stand-in API Manager, and what gateways hear of it."""

import hashlib
import io
import json
import tarfile
import uuid
import zipfile
from datetime import datetime

import pytest
import yaml

from gatewright.hub.apim.client import ApiManagerClientError
from support.apim import anonymous, connected, publisher, running, upload
from support.projects import api_data, project


@pytest.fixture
async def site(apim):
    """A stand-in with a gateway that is connected, and one API that it imported."""
    registered = await apim.client.register_gateway("prod-gateway")
    async with publisher(apim) as http, connected(apim, registered["registrationToken"]) as gateway:
        http.headers["api-key"] = registered["registrationToken"]
        made = (await upload(http, project("prod-gateway"))).json()
        yield apim, http, gateway, made


def derived(api_id: str, gateway_id: str, revision_id: str) -> str:
    """A UUID of version 3 over the bare name."""
    digest = bytearray(hashlib.md5(f"{api_id}:{gateway_id}:{revision_id}".encode()).digest())
    digest[6] = digest[6] & 0x0F | 0x30
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


async def document(http, api_id: str) -> dict:
    """The definition as a gateway fetches it."""
    answer = await http.get(f"/internal/data/v1/apis/{api_id}", headers={"accept": "application/zip"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="api.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["api.yaml"]
        return yaml.safe_load(archive.read("api.yaml"))


async def test_an_edit_reaches_the_gateway_when_it_is_deployed(site):
    apim, http, gateway, made = site
    before = await apim.client.api(made["id"])
    operations = [*before["operations"], {"target": "/tides", "verb": "GET"}]
    edited = await apim.client.edit_api(made["id"], description="edited there", operations=operations)
    assert int(edited["lastUpdatedTime"]) > int(before["lastUpdatedTime"])
    assert len((await document(http, made["id"]))["spec"]["operations"]) == 2
    revision = await apim.client.create_revision(made["id"], "by hand")
    await apim.client.deploy(made["id"], revision, ["prod-gateway"])
    event = await gateway.message()
    assert (event["type"], event["userId"]) == ("api.deployed", "admin")
    deployment_id = derived(made["id"], gateway.ack["gatewayId"], revision)
    assert event["payload"]["apiId"] == made["id"]
    assert event["payload"]["deploymentId"] == deployment_id
    assert event["correlationId"] == f"deploy:{deployment_id}"
    spec = (await document(http, made["id"]))["spec"]
    assert [operation["path"] for operation in spec["operations"]] == ["/now/{city}", "/alerts", "/tides"]
    assert "/tides" in (await apim.client.swagger(made["id"]))["paths"]


async def test_the_definition_has_the_quirks_of_the_original(site):
    apim, http, _gateway, made = site
    policies = [
        {"policyName": "cors", "policyId": "p", "policyVersion": "0.2", "parameters": {}},
        {"policyName": "odd", "policyId": "p", "policyVersion": "latest", "parameters": {"a": 1}},
    ]
    config = {"endpoint_type": "http", "production_endpoints": [{"url": "http://first"}, {"url": "http://second"}]}
    await apim.client.publish_change(
        made["id"], ["prod-gateway"], apiHubPolicies=policies, endpointConfig=config, operations=[]
    )
    tree = await document(http, made["id"])
    assert tree["apiVersion"] == "gateway.api-platform.wso2.com/v1alpha1"
    assert (tree["kind"], tree["metadata"]) == ("RestApi", {"name": "city-weather-v2-1"})
    assert tree["spec"] == {
        "displayName": "City Weather",
        "version": "v2.1",
        "context": "/city-weather/v2.1",
        "upstream": {"main": {"url": "http://first", "ref": None}, "sandbox": None},
        "policies": [
            {"name": "cors", "version": "v0", "executionCondition": None, "params": None},
            {"name": "odd", "version": "v1", "executionCondition": None, "params": {"a": 1}},
        ],
        "operations": [{"method": "GET", "path": "/*", "policies": []}],
    }


async def test_undeploying_and_deploying_again(site):
    apim, http, gateway, made = site
    path = f"/api/am/publisher/v4/apis/{made['id']}/undeploy-revision"
    body = [{"displayOnDevportal": False, "name": "prod-gateway"}]
    answer = await http.post(path, params={"revisionId": made["revision"]}, json=body)
    assert (answer.status_code, answer.json()) == (201, [])
    undeployed = await gateway.message()
    assert undeployed["type"] == "api.undeployed"
    assert undeployed["payload"]["deploymentId"] == derived(made["id"], gateway.ack["gatewayId"], made["revision"])
    again = await http.post(path, params={"revisionId": made["revision"]}, json=body)
    assert again.status_code == 404
    missing = await http.get(f"/internal/data/v1/apis/{made['id']}", headers={"accept": "application/zip"})
    assert missing.status_code == 404
    assert (await http.get("/internal/data/v1/deployments")).json() == {"deployments": []}
    await apim.client.deploy(made["id"], made["revision"], ["prod-gateway"])
    deployed = await gateway.message()
    assert deployed["payload"]["deploymentId"] == undeployed["payload"]["deploymentId"]
    told = [datetime.fromisoformat(event["payload"]["performedAt"]) for event in (undeployed, deployed)]
    assert told[0] < told[1]
    for unknown in ("no-such-api", made["id"]):
        refused = await http.post(
            f"/api/am/publisher/v4/apis/{unknown}/undeploy-revision", params={"revisionId": "no-such"}, json=body
        )
        assert refused.status_code == 404
    assert (await http.post(path, params={"revisionId": made["revision"]}, json=[])).status_code == 400


async def test_deleting_tells_every_gateway_that_had_it(site):
    apim, http, gateway, made = site
    await apim.client.register_gateway("never-had-it")
    await apim.client.undeploy(made["id"], made["revision"], ["prod-gateway"])
    assert (await gateway.message())["type"] == "api.undeployed"
    await apim.client.delete_api(made["id"])
    event = await gateway.message()
    assert (event["type"], event["payload"]) == ("api.deleted", {"apiId": made["id"]})
    assert await apim.client.apis() == []
    assert await apim.client.events("never-had-it") == []
    again = (await upload(http, project("prod-gateway"))).json()
    assert again["id"] != made["id"]


async def test_a_gateway_with_deployments_cannot_be_removed(site):
    apim, _http, gateway, made = site
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.delete_gateway(gateway.ack["gatewayId"])
    assert refused.value.status == 409
    await apim.client.undeploy(made["id"], made["revision"], ["prod-gateway"])
    await apim.client.delete_gateway(gateway.ack["gatewayId"])


async def test_the_life_of_an_api(site):
    apim, http, _gateway, made = site
    before = await apim.client.api(made["id"])
    assert (before["visibility"], before["accessControl"], before["keyManagers"]) == ("PUBLIC", "NONE", ["all"])
    for action, state in (("Publish", "PUBLISHED"), ("Deprecate", "DEPRECATED"), ("Retire", "RETIRED")):
        await apim.client.change_lifecycle(made["id"], action)
        assert (await apim.client.api(made["id"]))["lifeCycleStatus"] == state
    after = await apim.client.api(made["id"])
    differences = {name for name in after if after[name] != before[name]}
    assert differences == {"lifeCycleStatus", "lastUpdatedTime", "lastUpdatedTimestamp"}
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.change_lifecycle(made["id"], "Publish")
    assert refused.value.status == 400
    latest = (await upload(http, project("prod-gateway"))).json()["revision"]
    [deployed] = await apim.client.revisions(made["id"], "deployed:true")
    assert deployed["id"] == made["revision"] != latest


async def test_an_api_that_is_made_there(site):
    apim, _http, gateway, _made = site
    body = {key: value for key, value in api_data("Made There", "1.0").items() if key != "initiatedFromGateway"}
    api = await apim.client.create_api(body)
    assert (api["initiatedFromGateway"], api["lifeCycleStatus"]) == (False, "CREATED")
    revision = await apim.client.create_revision(api["id"])
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.call(
            "POST",
            f"/api/am/publisher/v4/apis/{api['id']}/deploy-revision",
            params={"revisionId": revision},
            json=[{"name": "prod-gateway", "vhost": "elsewhere"}],
        )
    assert (refused.value.status, "900512" in str(refused.value)) == (400, True)
    await apim.client.deploy(api["id"], revision, ["prod-gateway"])
    assert (await gateway.message())["payload"]["apiId"] == api["id"]
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.create_api(body)
    assert refused.value.status == 409
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.edit_api(api["id"], version="2.0")
    assert refused.value.status == 400


async def test_the_definition_can_be_edited(site):
    apim, http, _gateway, made = site
    definition = await apim.client.swagger(made["id"])
    definition["paths"]["/alerts"]["post"]["description"] = "raise an alert"
    await apim.client.call(
        "PUT",
        f"/api/am/publisher/v4/apis/{made['id']}/swagger",
        files={"apiDefinition": (None, json.dumps(definition))},
    )
    answer = await http.get(f"/api/am/publisher/v4/apis/{made['id']}/swagger")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == definition
    assert (await http.get("/api/am/publisher/v4/apis/no-such/swagger")).status_code == 404


async def test_keys_go_to_every_gateway_as_hashes(site):
    apim, http, gateway, made = site
    other = await apim.client.register_gateway("other")
    plain = await apim.client.create_key(made["id"], "mobile-key", seconds=3600)
    event = await gateway.message()
    assert (event["type"], event["userId"]) == ("apikey.created", "admin")
    payload = event["payload"]
    assert json.loads(payload["apiKeyHashes"]) == {"sha256": hashlib.sha256(plain.encode()).hexdigest()}
    assert payload["maskedApiKey"] == f"****{plain[-4:]}"
    assert (payload["apiId"], payload["name"]) == (made["id"], "mobile-key")
    assert {"uuid", "expiresAt"} < set(payload)
    assert plain not in str(event)
    second = await apim.client.regenerate_key(made["id"], "mobile-key")
    event = await gateway.message()
    assert event["type"] == "apikey.updated"
    assert event["payload"]["keyName"] == "mobile-key"
    sha256 = hashlib.sha256(second.encode()).hexdigest()
    assert json.loads(event["payload"]["apiKeyHashes"]) == {"sha256": sha256}
    [row] = (await http.get("/internal/data/v1/apis/api-keys")).json()
    assert (row["name"], row["status"], row["artifactUuid"]) == ("mobile-key", "active", made["id"])
    assert row["apiKeyHashes"] == {"sha256": sha256}
    async with anonymous(apim) as elsewhere:
        headers = {"api-key": other["registrationToken"]}
        assert (await elsewhere.get("/internal/data/v1/apis/api-keys", headers=headers)).json() == []
    await apim.client.revoke_key(made["id"], "mobile-key")
    event = await gateway.message()
    assert (event["type"], event["payload"]) == ("apikey.revoked", {"apiId": made["id"], "keyName": "mobile-key"})
    assert (await http.get("/internal/data/v1/apis/api-keys")).json() == []
    assert await apim.client.keys(made["id"]) == []
    assert len(await apim.client.events("other")) == 3
    with pytest.raises(ApiManagerClientError) as refused:
        await apim.client.create_key(made["id"], "Not A Name")
    assert refused.value.status == 400


async def test_acknowledgements_show_at_the_deployment(site):
    apim, _http, gateway, made = site
    revision = await apim.client.publish_change(made["id"], ["prod-gateway"])
    event = await gateway.message()
    await gateway.acknowledge(event, status="failed", errorCode="GATEWAY_PROCESSING_ERROR")
    await gateway.acknowledge(event, resourceType="something")
    await gateway.socket.send("nonsense")
    await gateway.acknowledge(event)
    while len(found := await apim.client.acknowledgements()) < 2:
        pass
    assert [each["status"] for each in found] == ["failed", "success"]
    assert found[0]["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    assert found[1]["deploymentId"] == event["payload"]["deploymentId"]
    assert found[1]["performedAt"] == event["payload"]["performedAt"]
    [deployed] = await apim.client.revisions(made["id"], "deployed:true")
    assert deployed["id"] == revision
    assert deployed["deploymentInfo"][0]["deployedGatewayCount"] == 1


@pytest.mark.conforms("AP-095")
async def test_events_wait_for_a_gateway_that_is_away(tmp_path):
    async with running(tmp_path / "apim") as apim, publisher(apim) as http:
        registered = await apim.client.register_gateway("prod-gateway")
        made = (await upload(http, project("prod-gateway"))).json()
        first = await apim.client.publish_change(made["id"], ["prod-gateway"])
        await apim.client.undeploy(made["id"], first, ["prod-gateway"])
    async with running(tmp_path / "apim") as apim:
        async with connected(apim, registered["registrationToken"]) as gateway:
            replayed = [await gateway.message(), await gateway.message()]
        assert [each["type"] for each in replayed] == ["api.deployed", "api.undeployed"]
        assert {each["payload"]["apiId"] for each in replayed} == {made["id"]}
        # Nothing said that it read them: they come again, as API Manager may deliver everything twice.
        async with connected(apim, registered["registrationToken"]) as gateway:
            assert [await gateway.message(), await gateway.message()] == replayed


async def test_an_older_gateway_may_fetch_in_batches(site):
    apim, http, gateway, made = site
    [row] = (await http.get("/internal/data/v1/deployments")).json()["deployments"]
    deployment_id = derived(made["id"], gateway.ack["gatewayId"], made["revision"])
    assert (row["deploymentId"], row["artifactId"], row["state"]) == (deployment_id, made["id"], "deployed")
    path = "/internal/data/v1/deployments/fetch-batch"
    assert (await http.post(path, json={"deploymentIds": []})).text == "deploymentIds required"
    answer = await http.post(path, json={"deploymentIds": ["unknown", deployment_id]})
    assert answer.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        [name] = archive.getnames()
        assert name == f"{deployment_id}/api-{made['id']}.yaml"
        assert yaml.safe_load(archive.extractfile(name).read()) == await document(http, made["id"])
    assert [each["name"] for each in await apim.client.apis()] == ["City Weather"]
