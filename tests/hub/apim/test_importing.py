"""What a stand-in API Manager takes from an archive, and what it refuses."""

import io
import json
import zipfile

import pytest

from support.apim import publisher, running, upload
from support.projects import api_data, archive, definition, documents, project


@pytest.fixture
async def site(apim):
    """A stand-in with one gateway, and a gateway's way to its Publisher."""
    await apim.client.register_gateway("prod-gateway")
    async with publisher(apim) as http:
        yield apim, http


async def test_a_first_import_creates_and_deploys(site):
    apim, http = site
    answer = await upload(http, project("prod-gateway"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert sorted(answer.json()) == ["id", "revision"]
    api = await apim.client.api(answer.json()["id"])
    assert (api["name"], api["version"], api["context"]) == ("City Weather", "v2.1", "/city-weather/v2.1")
    assert (api["provider"], api["lifeCycleStatus"], api["initiatedFromGateway"]) == ("admin", "CREATED", True)
    assert api["apiHubPolicies"] == api_data()["apiHubPolicies"]
    [revision] = await apim.client.revisions(api["id"])
    assert revision["id"] == answer.json()["revision"]
    assert [each["name"] for each in revision["deploymentInfo"]] == ["prod-gateway"]
    assert await apim.client.swagger(api["id"]) == definition(api_data())


async def test_a_second_import_updates_the_same_api(site):
    apim, http = site
    first = (await upload(http, project("prod-gateway"))).json()
    await apim.client.change_lifecycle(first["id"], "Publish")
    second = (await upload(http, project("prod-gateway", description="new"))).json()
    assert second["id"] == first["id"]
    assert second["revision"] != first["revision"]
    api = await apim.client.api(first["id"])
    assert (api["description"], api["lifeCycleStatus"]) == ("new", "PUBLISHED")
    deployed = await apim.client.revisions(first["id"], "deployed:true")
    assert [each["id"] for each in deployed] == [second["revision"]]


@pytest.mark.conforms("AP-092")
async def test_the_sixth_import_keeps_five_revisions(site):
    apim, http = site
    made = [(await upload(http, project("prod-gateway"))).json()["revision"] for _ in range(6)]
    api_id = (await apim.client.apis())[0]["id"]
    kept = await apim.client.revisions(api_id)
    assert [each["id"] for each in kept] == made[1:]
    assert [each["displayName"] for each in kept] == [f"Revision {number}" for number in range(2, 7)]
    refused = await upload(http, project("prod-gateway"), rotateRevision="false")
    assert refused.status_code == 400
    assert "Maximum number of revisions" in refused.json()["description"]
    assert [each["id"] for each in await apim.client.revisions(api_id)] == made[1:]


@pytest.mark.conforms("AP-093")
async def test_an_unknown_environment_is_refused_and_nothing_is_made(site):
    apim, http = site
    for wrong in (project("staging"), project("prod-gateway", "staging"), project("")):
        answer = await upload(http, wrong)
        assert answer.status_code in {400, 404}
    answer = await upload(http, project("staging"))
    assert answer.json()["message"] == "GATEWAY_ENVIRONMENT_NOT_FOUND"
    assert await apim.client.apis() == []


@pytest.mark.conforms("AP-094")
async def test_another_accept_is_answered_with_text(site):
    apim, http = site
    for accept in ("*/*", "application/json, */*"):
        http.headers["accept"] = accept
        answer = await upload(http, project("prod-gateway"))
        assert (answer.status_code, answer.text) == (200, "API imported successfully.")
    assert len(await apim.client.apis()) == 1


async def test_the_four_query_parameters(site):
    apim, http = site
    for missing in ("preserveProvider", "overwrite", "dryRun", "rotateRevision"):
        assert (await upload(http, project("prod-gateway"), **{missing: ""})).status_code == 400
    assert (await upload(http, project("prod-gateway"), dryRun="true")).status_code == 200
    assert await apim.client.apis() == []
    assert (await upload(http, project("prod-gateway"))).status_code == 200
    assert (await upload(http, project("prod-gateway"), overwrite="false")).status_code == 409


async def test_the_part_must_be_a_file_of_that_name(site):
    _apim, http = site
    query = {"preserveProvider": "false", "overwrite": "true", "dryRun": "false", "rotateRevision": "true"}
    path = "/api/am/publisher/v4/apis/import"
    wrong = await http.post(path, params=query, files={"archive": ("x.zip", project("prod-gateway"))})
    assert wrong.status_code == 400
    assert (await http.post(path, params=query, data={"file": "text"})).status_code == 415
    assert (await http.post(path, params=query, content=project("prod-gateway"))).status_code == 415


async def test_each_document_must_be_there_and_readable(site):
    apim, http = site
    whole = documents(api_data(), "prod-gateway")
    for name in whole:
        without = {each: content for each, content in whole.items() if each != name}
        for wrong in (without, {**whole, name: b"a: [1"}, {**whole, name: b"\xff\xfe\x00"}, {**whole, name: b"[]"}):
            answer = await upload(http, archive(wrong))
            assert answer.status_code == 400
            assert sorted(answer.json()) == ["code", "description", "error", "message", "moreInfo"]
    assert await apim.client.apis() == []


async def test_data_that_no_api_can_have(site):
    apim, http = site
    whole = documents(api_data(), "prod-gateway")
    name = next(each for each in whole if each.endswith("api.yaml"))
    for changed in (
        {"name": ""},
        {"version": 1.0},
        {"context": ""},
        {"context": "no-slash"},
        {"gatewayType": "wso2/synapse"},
        {"endpointConfig": {}},
        {"operations": [{"target": "/x", "verb": ""}]},
        {"operations": [{"target": "x", "verb": "GET"}]},
        {"apiHubPolicies": [{"policyName": "cors", "policyId": " ", "policyVersion": "1.0"}]},
        {"operations": [{"target": "/x", "verb": "GET", "operationHubPolicies": [{"policyName": "cors"}]}]},
    ):
        tree = {"type": "api", "version": "v4.7.0", "data": api_data() | changed}
        answer = await upload(http, archive({**whole, name: json.dumps(tree).encode()}))
        assert answer.status_code == 400, changed
    assert await apim.client.apis() == []


async def test_a_blank_policy_id_is_named(site):
    _apim, http = site
    policies = [{"policyName": "cors", "policyId": "", "policyVersion": "1.0", "parameters": {}}]
    answer = await upload(http, project("prod-gateway", apiHubPolicies=policies))
    assert "External policy identifier cannot be empty" in answer.json()["description"]


async def test_an_invalid_definition_is_refused(site):
    apim, http = site
    whole = documents(api_data(), "prod-gateway")
    name = next(each for each in whole if each.endswith("swagger.yaml"))
    for wrong in (
        {"info": {"title": "x", "version": "v1"}, "paths": {}},
        {"openapi": "3.0.0", "info": {"title": "x"}, "paths": {}},
        {"openapi": "3.0.0", "info": {"title": "x", "version": "v1"}, "paths": {"x": {}}},
        {"openapi": "3.0.0", "info": {"title": "x", "version": "v1"}, "paths": {"/x": {"fetch": {}}}},
        {"openapi": "3.0.0", "info": {"title": "x", "version": "v1"}, "paths": {"/x": {"get": {}}}},
        {
            "openapi": "3.0.0",
            "info": {"title": "x", "version": "v1"},
            "paths": {"/{id}": {"get": {"responses": {"200": {"description": "OK"}}}}},
        },
    ):
        answer = await upload(http, archive({**whole, name: json.dumps(wrong).encode()}))
        assert answer.status_code == 400, wrong
        assert "Invalid OpenAPI definition" in answer.json()["description"]
    assert await apim.client.apis() == []


async def test_hostile_archives_change_nothing(site):
    apim, http = site
    whole = documents(api_data(), "prod-gateway")
    name = next(each for each in whole if each.endswith("/api.yaml"))
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n".encode() for n in range(9)
    )
    merging = b"a: &a {k: v}\n" + b"".join(
        f"{chr(98 + n)}: &{chr(98 + n)}\n  <<: [{','.join(['*' + chr(97 + n)] * 10)}]\n".encode() for n in range(12)
    )
    hostile = {
        "merging": archive({**whole, name: merging}),
        "no zip": b"PK\x03\x04 nonsense",
        "empty": b"",
        "leaves": archive({**whole, "../../etc/passwd": b"x"}),
        "absolute": archive({**whole, "/etc/passwd": b"x"}),
        "many": archive({**whole, **{f"x/{number}": b"" for number in range(1001)}}),
        "expands": archive({**whole, name: b"a: b\n" + b" " * 9_000_000}),
        "aliases": archive({**whole, name: bomb}),
        "itself": archive({**whole, name: b"&a [*a]"}),
        "deep": archive({**whole, name: b"[" * 5000 + b"]" * 5000}),
        "truncated": project("prod-gateway")[:-40],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for each, content in whole.items():
            file.writestr(each, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr(name, whole[name])
    hostile["twice"] = buffer.getvalue()
    for what, content in hostile.items():
        answer = await upload(http, content)
        assert answer.status_code in {400, 413}, what
    assert await apim.client.apis() == []


async def test_an_archive_has_a_largest_size(tmp_path):
    async with running(tmp_path / "apim", max_archive_bytes=100_000) as apim, publisher(apim) as http:
        assert (await upload(http, b"x" * 100_001)).status_code == 413
        assert (await upload(http, b"x" * 400_000)).status_code == 413


async def test_yaml_style_and_folder_do_not_matter(site):
    apim, http = site
    text = b"""
data:
    name: 'City Weather'
    version: "1.0"
    context: /w/1.0
    endpointConfig: {endpoint_type: http, production_endpoints: {url: "http://b"}}
    since: 2026-01-01
type: api
version: v4.7.0
"""
    whole = {
        "a/b c-1/api.yaml": text,
        "a/b c-1/deployment_environments.yaml": b"type: deployment_environments\nversion: v4.3.0\ndata:\n"
        b"  - {deploymentEnvironment: prod-gateway, displayOnDevportal: true}\n",
        "a/b c-1/Definitions/swagger.yaml": b"openapi: 3.0.0\ninfo: {title: x, version: '1.0'}\npaths:\n  /x:\n"
        b"    get: {responses: {200: {description: OK}}}\n",
    }
    answer = await upload(http, archive(whole))
    assert answer.status_code == 200, answer.text
    api = await apim.client.api(answer.json()["id"])
    assert (api["version"], api["since"]) == ("1.0", "2026-01-01")
    swagger = await apim.client.swagger(answer.json()["id"])
    assert swagger["paths"]["/x"]["get"]["responses"] == {"200": {"description": "OK"}}


async def test_names_versions_and_contexts(site):
    apim, http = site
    first = (await upload(http, project("prod-gateway"))).json()["id"]
    second = (await upload(http, project("prod-gateway", version="v3", context="/city-weather/v3"))).json()["id"]
    assert first != second
    taken = await upload(http, project("prod-gateway", name="Renamed", context="/city-weather/v3"))
    assert taken.status_code == 409
    apim.switches.turn({"duplicate_context": "allowed"})
    renamed = await upload(http, project("prod-gateway", name="Renamed", context="/city-weather/v3"))
    assert renamed.status_code == 200
    assert [each["name"] for each in await apim.client.apis()] == ["City Weather", "City Weather", "Renamed"]
    assert [each["version"] for each in await apim.client.apis('name:"City Weather" version:v3')] == ["v3"]
    assert [each["name"] for each in await apim.client.apis("name:renamed")] == ["Renamed"]
    assert [each["name"] for each in await apim.client.apis("name:City Weather version:v2.1")] == ["City Weather"]


async def test_an_api_of_another_provider_is_not_overwritten(site):
    apim, http = site
    await apim.client.add_user("ops", "ops-pw", "Internal/devops", "Internal/creator")
    await upload(http, project("prod-gateway"))
    client = await apim.client.register_client("of-ops")
    form = {"grant_type": "password", "username": "ops", "password": "ops-pw", "scope": "apim:api_import_export"}
    answer = await http.post("/oauth2/token", data=form, auth=(client["clientId"], client["clientSecret"]))
    http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
    refused = await upload(http, project("prod-gateway"))
    assert refused.status_code == 403
    assert "different provider" in refused.json()["description"]


async def test_the_archive_can_be_looked_at(site):
    apim, http = site
    content = project("prod-gateway")
    await upload(http, content)
    [request] = apim.requests("/apis/import")
    assert (request.method, request.status) == ("POST", 200)
    assert request.body["fileName"] == "local-id.zip"
    assert request.body["contentType"] == "application/octet-stream"
    assert request.body["entries"] == list(documents(api_data(), "prod-gateway"))
    assert apim.upload(request) == content
    assert await apim.client.upload(request.seq) == content
