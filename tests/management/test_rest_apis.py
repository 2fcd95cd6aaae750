"""`/rest-apis` through the application, over a real store."""

import asyncio
import json
import re
import uuid
from datetime import UTC, datetime

import pytest
import yaml

PIN = "0198f1d2-6c3a-7d2e-9a51-5f1c6f0a9b10"
ARTIFACT_ID = "gateway.api-platform.wso2.com/artifact-id"


@pytest.mark.conforms("MG-037")
async def test_a_minimal_api(post):
    document = {
        "kind": "RestApi",
        "metadata": {"name": "ping"},
        "spec": {
            "displayName": "Ping",
            "version": "v1.0",
            "context": "/ping",
            "upstream": {"main": {"url": "http://echo:3000"}},
            "operations": [{"method": "GET", "path": "/"}],
        },
    }
    before = datetime.now(UTC)
    response = await post(document)
    assert response.status_code == 201
    status = response.json()["status"]
    assert (status["id"], status["state"]) == ("ping", "deployed")
    for name in ("createdAt", "updatedAt", "deployedAt"):
        assert abs((datetime.fromisoformat(status[name]) - before).total_seconds()) < 60
        assert status[name].endswith("Z")
    assert re.fullmatch(r"[^.]+(\.\d{1,3})?Z", status["deployedAt"])
    assert set(status) == {"id", "state", "createdAt", "updatedAt", "deployedAt"}


@pytest.mark.conforms("MG-038")
async def test_virtual_hosts_are_filled_in_at_creation(post, rest_api):
    assert (await post(rest_api())).json()["spec"]["vhosts"] == {"main": "*", "sandbox": "sandbox-*"}


@pytest.mark.conforms("MG-039")
async def test_virtual_hosts_are_not_filled_in_later(post, admin, rest_api):
    await post(rest_api())
    assert "vhosts" not in (await admin.put("/rest-apis/orders", json=rest_api())).json()["spec"]
    assert "vhosts" not in (await admin.get("/rest-apis/orders")).json()["spec"]


@pytest.mark.conforms("MG-040")
async def test_the_default_virtual_host_by_name(post, rest_api):
    response = await post(rest_api(vhosts={"main": "_gateway_default_"}))
    assert response.json()["spec"]["vhosts"] == {"main": "*"}


@pytest.mark.conforms("MG-028", "MG-170")
@pytest.mark.parametrize("content_type", ["application/yaml", "application/x-yaml", "text/yaml", "application/json"])
async def test_content_types(admin, rest_api, content_type):
    write = json.dumps if content_type == "application/json" else yaml.safe_dump
    response = await admin.post(
        "/rest-apis", content=write(rest_api()).encode(), headers={"content-type": content_type}
    )
    assert response.status_code == 201, response.text


@pytest.mark.conforms("MG-029")
@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json; charset=utf-8"}, {"content-type": "x"}])
async def test_any_other_content_type_takes_both_syntaxes(admin, rest_api, write, headers):
    response = await admin.post("/rest-apis", content=write(rest_api()).encode(), headers=headers)
    assert response.status_code == 201, response.text


@pytest.mark.conforms("MG-030")
async def test_broken_json(admin):
    response = await admin.post("/rest-apis", content=b'{"kind":', headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["message"].startswith("failed to parse configuration: failed to parse JSON: ")
    assert "errors" not in response.json()


@pytest.mark.conforms("MG-031")
async def test_broken_yaml(admin):
    response = await admin.post("/rest-apis", content=b"a: [1", headers={"content-type": "application/yaml"})
    assert response.status_code == 400
    assert response.json()["message"].startswith("failed to parse configuration: failed to unmarshal YAML: ")


async def test_an_update_says_it_with_a_capital(admin):
    response = await admin.put("/rest-apis/x", content=b"a: [1", headers={"content-type": "application/yaml"})
    assert response.json()["message"].startswith("Failed to parse configuration: ")


async def test_a_wrong_type_is_a_parse_error_that_names_its_place(admin, rest_api):
    document = rest_api(version=1.0)
    as_json = await admin.post("/rest-apis", json=document)
    assert as_json.status_code == 400
    assert as_json.json()["message"].startswith("failed to parse configuration: failed to parse JSON: ")
    assert "version" in as_json.json()["message"]
    as_yaml = await admin.post(
        "/rest-apis", content=yaml.safe_dump(document).encode(), headers={"content-type": "application/yaml"}
    )
    assert as_yaml.status_code == 400
    assert as_yaml.json()["message"].startswith(
        "failed to parse configuration: failed to unmarshal JSON into RestAPI: failed to parse JSON: "
    )
    assert "version" in as_yaml.json()["message"]


@pytest.mark.conforms("MG-032")
async def test_unknown_members(post, rest_api):
    document = rest_api(strange=1)
    document["spec"]["upstream"]["main"]["extra"] = {"kept": [1, 2]}
    spec = (await post(document)).json()["spec"]
    assert "strange" not in spec
    assert spec["upstream"]["main"]["extra"] == {"kept": [1, 2]}


@pytest.mark.conforms("MG-033")
async def test_a_status_that_is_sent_is_not_reflected(post, admin, rest_api):
    response = await post({**rest_api(), "status": {"id": "mine", "state": "undeployed", "x": 1}})
    assert response.json()["status"]["id"] == "orders"
    assert "x" not in (await admin.get("/rest-apis/orders")).json()["status"]


@pytest.mark.conforms("MG-034")
async def test_any_api_version(post, admin, rest_api):
    response = await post({**rest_api(), "apiVersion": "example.org/v9"})
    assert (response.status_code, response.json()["apiVersion"]) == (201, "example.org/v9")


@pytest.mark.conforms("MG-041")
async def test_a_missing_name(post, rest_api, errors):
    document = rest_api()
    del document["metadata"]["name"]
    assert errors(await post(document)) == [("metadata.name", "Metadata name is required")]


@pytest.mark.conforms("MG-042")
async def test_a_wrong_kind(post, rest_api, errors):
    assert errors(await post({**rest_api(), "kind": "Mcp"})) == [("kind", "Unsupported kind (must be 'RestApi')")]


@pytest.mark.conforms("MG-058")
async def test_all_problems_at_once_in_their_order(post, rest_api, errors):
    document = rest_api(
        displayName="#",
        version="x",
        context="no-slash",
        upstream={"main": {}},
        policies=[{"name": "p", "version": "v1"}],
    )
    document["spec"]["operations"] = [{"method": "FETCH", "path": "/{a"}]
    document["metadata"]["labels"] = {"a b": "c"}
    assert [field for field, _ in errors(await post({**document, "kind": "X"}))] == [
        "kind",
        "spec.displayName",
        "spec.version",
        "spec.context",
        "spec.upstream.main",
        "spec.operations[0].method",
        "spec.operations[0].path",
        "spec.policies[0].version",
        "metadata.labels",
    ]


@pytest.mark.conforms("MG-059")
async def test_name_and_version_are_taken(post, rest_api):
    await post(rest_api("a", displayName="Orders"))
    response = await post(rest_api("b", displayName="Orders"))
    assert (response.status_code, response.json()) == (
        409,
        {
            "message": (
                "configuration already exists: configuration with name 'Orders' and version 'v1.0' already exists"
            ),
            "status": "error",
        },
    )


@pytest.mark.conforms("MG-060")
async def test_the_handle_is_taken(post, rest_api):
    await post(rest_api("a", displayName="Orders"))
    response = await post(rest_api("a", displayName="Other"))
    assert response.status_code == 409
    assert response.json()["message"] == "configuration already exists: configuration with handle 'a' already exists"


@pytest.mark.conforms("MG-061")
async def test_equal_contexts(post, rest_api):
    for handle in ("a", "b"):
        assert (await post(rest_api(handle, context="/same"))).status_code == 201


@pytest.mark.conforms("MG-063")
async def test_an_unknown_handle(admin, rest_api):
    expected = (404, {"message": "RestAPI with handle 'orders' not found", "status": "error"})
    for response in (
        await admin.get("/rest-apis/orders"),
        await admin.put("/rest-apis/orders", json=rest_api()),
        await admin.delete("/rest-apis/orders"),
    ):
        assert (response.status_code, response.json()) == expected


@pytest.mark.conforms("MG-064")
async def test_another_name_than_the_path(post, admin, rest_api):
    await post(rest_api())
    response = await admin.put("/rest-apis/orders", json=rest_api("bills"))
    assert response.status_code == 400
    assert response.json()["message"] == "handle mismatch: path has 'orders' but YAML metadata.name has 'bills'"


@pytest.mark.conforms("MG-065")
async def test_a_broken_body_for_an_unknown_handle(admin):
    response = await admin.put("/rest-apis/x", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400


@pytest.mark.conforms("MG-066")
async def test_an_update_onto_another_api(post, admin, rest_api):
    await post(rest_api("a"))
    await post(rest_api("b"))
    response = await admin.put("/rest-apis/b", json=rest_api("b", displayName="a"))
    assert response.status_code == 409
    assert "name 'a' and version 'v1.0'" in response.json()["message"]


@pytest.mark.conforms("MG-067")
async def test_an_update_replaces(post, admin, rest_api):
    await post(rest_api(policies=[{"name": "adder", "version": "v1"}]))
    response = await admin.put("/rest-apis/orders", json=rest_api())
    assert response.status_code == 200
    assert "policies" not in (await admin.get("/rest-apis/orders")).json()["spec"]


@pytest.mark.conforms("MG-068")
async def test_times_over_an_update(post, admin, rest_api):
    first = (await post(rest_api())).json()["status"]
    second = (await admin.put("/rest-apis/orders", json=rest_api())).json()["status"]
    stored = (await admin.get("/rest-apis/orders")).json()["status"]
    assert second["createdAt"] == stored["createdAt"] == first["createdAt"]
    assert datetime.fromisoformat(second["updatedAt"]) > datetime.fromisoformat(first["updatedAt"])


@pytest.mark.conforms("MG-070")
async def test_undeploying_and_deploying_again(post, admin, rest_api):
    await post(rest_api())
    key = (await admin.post("/rest-apis/orders/api-keys", json={"name": "till-7"})).json()
    down = await admin.put("/rest-apis/orders", json=rest_api(deploymentState="undeployed"))
    assert (down.status_code, down.json()["status"]["state"]) == (200, "undeployed")
    assert "deployedAt" in down.json()["status"]
    assert [each["name"] for each in (await admin.get("/rest-apis/orders/api-keys")).json()["apiKeys"]] == [
        key["apiKey"]["name"]
    ]
    assert (await admin.get("/rest-apis?status=undeployed")).json()["count"] == 1
    up = await admin.put("/rest-apis/orders", json=rest_api())
    assert up.json()["status"]["state"] == "deployed"


@pytest.mark.conforms("MG-071")
async def test_creation_deploys_whatever_it_says(post, rest_api):
    response = await post(rest_api(deploymentState="undeployed"))
    assert response.status_code == 201
    assert response.json()["status"]["state"] == "deployed"
    assert response.json()["spec"]["deploymentState"] == "undeployed"


@pytest.mark.conforms("MG-072")
async def test_deleting(post, admin, rest_api):
    await post(rest_api())
    response = await admin.delete("/rest-apis/orders")
    assert (response.status_code, response.json()) == (
        200,
        {"id": "orders", "message": "RestAPI deleted successfully", "status": "success"},
    )
    assert (await admin.delete("/rest-apis/orders")).status_code == 404


@pytest.mark.conforms("MG-074")
async def test_filters_combine(post, admin, rest_api):
    await post(rest_api("a", displayName="Orders", version="v1.0", context="/o/$version"))
    await post(rest_api("b", displayName="Orders", version="v2.0", context="/o/$version"))
    await post(rest_api("c", displayName="Bills", version="v1.0", context="/c"))

    async def found(query):
        body = (await admin.get(f"/rest-apis?{query}")).json()
        assert body["count"] == len(body["apis"])
        return {item["metadata"]["name"] for item in body["apis"]}

    assert await found("displayName=Orders") == {"a", "b"}
    assert await found("displayName=Orders&version=v2.0") == {"b"}
    assert await found("version=v1.0&status=deployed") == {"a", "c"}
    assert await found("version=v1.0&context=/o/v1.0") == {"a"}
    assert await found("displayName=&version=") == {"a", "b", "c"}
    assert await found("displayName=orders") == set()
    none = await admin.get("/rest-apis?displayName=Bills&version=v2.0")
    assert none.json() == {"apis": [], "count": 0, "status": "success"}


async def test_the_command_line_of_the_original_finds_one_api_by_name(post, admin, rest_api):
    """It sends `name`, and insists on a single hit."""
    await post(rest_api("a", displayName="Orders"))
    await post(rest_api("b", displayName="Bills"))
    body = (await admin.get("/rest-apis?name=Orders&version=v1.0")).json()
    assert [item["metadata"]["name"] for item in body["apis"]] == ["a"]
    assert (await admin.get("/rest-apis?name=b&version=v1.0")).json()["count"] == 1


@pytest.mark.conforms("MG-075")
async def test_the_version_in_the_context(post, admin, rest_api):
    await post(rest_api(context="/x/$version"))
    assert (await admin.get("/rest-apis?context=/x/v1.0")).json()["apis"][0]["spec"]["context"] == "/x/v1.0"
    assert (await admin.get("/rest-apis?context=/x/$version")).json()["count"] == 0
    assert (await admin.get("/rest-apis/orders")).json()["spec"]["context"] == "/x/$version"


@pytest.mark.conforms("MG-076")
async def test_an_unknown_status(post, admin, rest_api):
    await post(rest_api())
    response = await admin.get("/rest-apis?status=bogus")
    assert (response.status_code, response.json()) == (200, {"apis": [], "count": 0, "status": "success"})


@pytest.mark.conforms("MG-077")
async def test_newest_first(post, admin, rest_api):
    for handle in ("b", "c", "a"):
        await post(rest_api(handle))
    listed = [item["metadata"]["name"] for item in (await admin.get("/rest-apis")).json()["apis"]]
    assert listed == ["a", "c", "b"]


async def test_a_long_list_is_complete(post, admin, rest_api):
    await asyncio.gather(*[post(rest_api(f"a{number}")) for number in range(60)])
    assert (await admin.get("/rest-apis")).json()["count"] == 60


@pytest.mark.conforms("MG-078")
async def test_a_pinned_uuid(post, admin, deployments, rest_api):
    document = rest_api()
    document["metadata"]["annotations"] = {ARTIFACT_ID: PIN}
    assert (await post(document)).status_code == 201
    assert (await deployments.get_by_id(PIN)).handle == "orders"
    document["spec"]["context"] = "/moved"
    assert (await post(document)).status_code == 201
    body = (await admin.get("/rest-apis")).json()
    assert [item["spec"]["context"] for item in body["apis"]] == ["/moved"]


async def test_a_pin_that_is_no_uuid_is_told_as_a_problem_of_the_document(post, rest_api, errors):
    document = rest_api()
    document["metadata"]["annotations"] = {ARTIFACT_ID: "seven"}
    ((field, _),) = errors(await post(document))
    assert field == f"metadata.annotations.{ARTIFACT_ID}"


@pytest.mark.conforms("MG-079")
@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("limiter", "v1.0.0", "must be major-only"),
        ("limiter", "latest", "invalid version format"),
        ("nothing", "v1", "not found in loaded policy definitions"),
        ("limiter", "v7", "not found in loaded policy definitions"),
    ],
)
async def test_policy_versions(post, rest_api, errors, name, version, text):
    ((field, message),) = errors(
        await post(rest_api(policies=[{"name": name, "version": version, "params": {"limit": 1}}]))
    )
    assert field == "spec.policies[0].version"
    assert text in message


@pytest.mark.conforms("MG-081")
async def test_a_policy_parameter_of_the_wrong_type(post, rest_api, errors):
    policies = [{"name": "limiter", "version": "v1", "params": {"limit": {"a": 1}}}]
    ((field, message),) = errors(await post(rest_api(policies=policies)))
    assert field == "spec.policies[0].params.limit"
    assert message.startswith("Invalid type. Expected: integer")


@pytest.mark.conforms("MG-082")
async def test_required_parameters_without_any(post, rest_api, errors):
    assert errors(await post(rest_api(policies=[{"name": "limiter", "version": "v1"}]))) == [
        ("spec.policies[0].params", "limit is required")
    ]


@pytest.mark.conforms("MG-083")
async def test_a_number_as_text(post, rest_api):
    response = await post(rest_api(policies=[{"name": "limiter", "version": "v1", "params": {"limit": "10"}}]))
    assert response.status_code == 201


@pytest.mark.conforms("MG-084")
async def test_expressions_are_rendered_for_validation_and_returned_as_written(post, admin, rest_api, errors):
    url = '{{ env "ABSENT" | default "http://a:1" }}'
    response = await post(rest_api(upstream={"main": {"url": url}}))
    assert response.json()["spec"]["upstream"]["main"]["url"] == url
    assert (await admin.get("/rest-apis/orders")).json()["spec"]["upstream"]["main"]["url"] == url
    bad = '{{ env "ABSENT" | default "ftp://a:1" }}'
    assert errors(await post(rest_api("b", upstream={"main": {"url": bad}}))) == [
        ("spec.upstream.main.url", "Upstream URL must use http or https scheme")
    ]


@pytest.mark.conforms("MG-085", "MG-086")
@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('{{ secret "missing" }}', 'failed to resolve secret "missing": configuration not found: id=missing'),
        ("{{ nofunc }}", 'function "nofunc" not defined'),
    ],
)
async def test_expressions_that_cannot_be_rendered(post, admin, rest_api, expression, message):
    await post(rest_api())
    bad = {"main": {"url": expression}}
    for response in (
        await post(rest_api("other", upstream=bad)),
        await admin.put("/rest-apis/orders", json=rest_api(upstream=bad)),
    ):
        assert (response.status_code, response.json()) == (400, {"message": message, "status": "error"})
    assert (await admin.get("/rest-apis")).json()["count"] == 1


@pytest.mark.conforms("MG-087")
async def test_a_variable_that_is_required(post, rest_api):
    needed = await post(rest_api(upstream={"main": {"url": '{{ env "NOPE" | required "need it" }}'}}))
    assert needed.status_code == 400
    assert "required value missing: need it" in needed.json()["message"]
    assert needed.json()["message"].startswith(
        'Failed to render configuration: failed to render config "orders" (kind=RestApi): '
    )


@pytest.mark.conforms("MG-089")
async def test_expressions_in_metadata_are_text(post, rest_api):
    document = rest_api()
    document["metadata"]["annotations"] = {"a": "{{ nofunc }}"}
    response = await post(document)
    assert response.json()["metadata"]["annotations"] == {"a": "{{ nofunc }}"}


async def test_a_correlation_id_used_twice_loses_nothing(post, admin, deployments, rest_api):
    headers = {"x-correlation-id": "same"}
    first = await post(rest_api("a"), headers=headers)
    second = await post(rest_api("b"), headers=headers)
    changes = [response.headers["x-gatewright-change"] for response in (first, second)]
    assert len(set(changes)) == 2
    assert (await admin.get("/rest-apis")).json()["count"] == 2


async def test_members_are_written_in_alphabetical_order(post, rest_api):
    body = (await post(rest_api())).content
    assert list(json.loads(body)) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert body.endswith(b"}\n")


async def test_an_answer_names_the_change_and_the_change_can_be_asked_for(post, admin, rest_api):
    change = (await post(rest_api())).headers["x-gatewright-change"]
    response = await admin.get(f"/serving/{change}?timeout=0")
    assert response.status_code == 200
    assert response.json()["state"] in {"timeout", "stored"}
    for path in ("/serving/nonsense", f"/serving/{change}?timeout=soon", f"/serving/{change}?timeout=nan"):
        assert (await admin.get(path)).status_code == 400


async def test_while_the_database_is_away_nothing_is_lost_and_the_answer_says_so(post, admin, store, rest_api):
    await post(rest_api())
    await store.close()
    answers = [
        await post(rest_api("b")),
        await admin.get("/rest-apis"),
        await admin.get("/rest-apis/orders"),
        await admin.put("/rest-apis/orders", json=rest_api()),
        await admin.delete("/rest-apis/orders"),
        await admin.post("/rest-apis/orders/api-keys", json={}),
        await admin.get("/rest-apis/orders/api-keys"),
        await admin.put("/rest-apis/orders/api-keys/a", json={"apiKey": "x" * 40}),
        await admin.post("/rest-apis/orders/api-keys/a/regenerate", json={}),
        await admin.delete("/rest-apis/orders/api-keys/a"),
    ]
    for response in answers:
        assert response.status_code == 503, response.text
        assert response.json()["status"] == "error"
        assert "the store is closed" in response.json()["message"]
    assert uuid.UUID(answers[0].headers["x-correlation-id"])
