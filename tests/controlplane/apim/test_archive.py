"""The archive that the publisher imports, read by plain zip and YAML and held against the import rules."""

import uuid
import zipfile
from datetime import UTC, datetime
from io import BytesIO

import pytest
import yaml
from apim_lab import Archive
from controlplane_lab import rest_api

from gatewright.controlplane.apim.archive import Unexportable, export, pack
from gatewright.controlplane.apim.hub_policies import hub_version, policy_id
from gatewright.controlplane.apim.kept import PIECE, properties, restored
from gatewright.controlplane.apim.rendering import rendered
from gatewright.controlplane.apim.yaml_writing import to_yaml
from gatewright.store.rows import ArtifactRow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = "0190a000-0000-7000-8000-000000000001"
WEATHER = {
    "apiVersion": "gateway.api-platform.wso2.com/v1",
    "kind": "RestApi",
    "metadata": {"name": "city-weather"},
    "spec": {
        "displayName": "City Weather",
        "version": "v2.1",
        "context": "/city-weather/$version",
        "upstream": {"main": {"url": "http://weather-backend:9080/base"}},
        "policies": [
            {"name": "api-key-auth", "version": "v1", "params": {"key": "X-API-Key", "in": "header"}},
            {"name": "rate-limit", "version": "v0.2"},
        ],
        "operations": [
            {"method": "get", "path": "/now/{city}/{day}"},
            {
                "method": "POST",
                "path": "/alerts",
                "policies": [{"name": "cors", "version": "v1", "params": {"n": 2**40}}],
            },
            {"method": "GET", "path": "/now/{city}/{day}"},
        ],
    },
}  # fmt: skip
CONSTANTS = {
    "type": "HTTP",
    "transport": ["http", "https"],
    "provider": "admin",
    "tags": [],
    "policies": ["Unlimited"],
    "securityScheme": ["oauth_basic_auth_api_key_mandatory"],
    "visibility": "PUBLIC",
    "visibleRoles": [],
    "visibleTenants": [],
    "visibleOrganizations": ["none"],
    "mediationPolicies": [],
    "responseCachingEnabled": False,
    "cacheTimeout": 300,
    "hasThumbnail": False,
    "isDefaultVersion": False,
    "isRevision": False,
    "enableSchemaValidation": False,
    "revisionId": 0,
    "additionalPropertiesMap": {},
    "gatewayType": "APIPlatform",
    "gatewayVendor": "wso2",
    "endpointImplementationType": "ENDPOINT",
    "initiatedFromGateway": True,
}
OPERATION = {
    "id": "",
    "authType": "Application & Application User",
    "throttlingPolicy": "Unlimited",
    "scopes": [],
    "usedProductIds": [],
    "payloadSchema": None,
    "uriMapping": None,
    "operationPolicies": {"request": [], "response": [], "fault": []},
}


def row_of(document, **changed) -> ArtifactRow:
    spec = document["spec"]
    return ArtifactRow(
        uuid=LOCAL, kind="RestApi", handle=document["metadata"]["name"], display_name=spec["displayName"],
        version=spec["version"], document=document, created_at=NOW, updated_at=NOW, **changed,
    )  # fmt: skip


def packed(document, swagger=None, environment=None, **changed) -> Archive:
    made = export(row_of(document, **changed), gateway_name="prod-gateway", environment=environment or {})
    assert not isinstance(made, Unexportable), made
    return Archive(pack(made, swagger))


def with_spec(**changed):
    return {**WEATHER, "spec": {**WEATHER["spec"], **changed}}


@pytest.mark.conforms("AP-035", "AP-036", "AP-037", "AP-038", "AP-042")
def test_three_files_with_every_constant():
    archive = packed(WEATHER)
    assert archive.names == [
        f"City Weather-v2.1/{name}" for name in ("api.yaml", "deployment_environments.yaml", "Definitions/swagger.yaml")
    ]
    with zipfile.ZipFile(BytesIO(archive.content)) as opened:
        assert opened.testzip() is None
        assert {entry.compress_type for entry in opened.infolist()} == {zipfile.ZIP_DEFLATED}
    top = archive.tree("/api.yaml")
    assert (top["type"], top["version"], set(top)) == ("api", "v4.7.0", {"type", "version", "data"})
    api = archive.api
    assert {name: api[name] for name in CONSTANTS} == CONSTANTS
    assert (api["name"], api["version"], api["context"]) == ("City Weather", "v2.1", "/city-weather/v2.1")
    here = {"url": "http://weather-backend:9080/base"}
    assert api["endpointConfig"] == {
        "endpoint_type": "http", "production_endpoints": here, "sandbox_endpoints": here,
    }  # fmt: skip
    left_out = {"id", "displayName", "description", "lifeCycleStatus", "scopes", "corsConfiguration"}
    assert not left_out & set(api)
    environments = archive.tree("deployment_environments.yaml")
    assert environments["version"] == "v4.3.0"
    assert environments["data"] == [{"deploymentEnvironment": "prod-gateway", "displayOnDevportal": True}]


@pytest.mark.conforms("AP-039", "AP-040", "AP-041")
def test_operations_and_policies_in_their_order():
    api = packed(WEATHER).api
    assert [(item["verb"], item["target"]) for item in api["operations"]] == [
        ("GET", "/now/{city}/{day}"), ("POST", "/alerts"), ("GET", "/now/{city}/{day}"),
    ]  # fmt: skip
    assert all({name: item[name] for name in OPERATION} == OPERATION for item in api["operations"])
    assert api["apiHubPolicies"] == [
        {
            "policyName": "api-key-auth", "policyId": "05608028-0fed-56f2-a22c-d4074532a12e", "policyVersion": "1.0",
            "policyType": None, "parameters": {"key": "X-API-Key", "in": "header"},
        },
        {
            "policyName": "rate-limit", "policyId": "2a20a31a-0794-5b64-b32a-cde5dc7c7260", "policyVersion": "0.2",
            "policyType": None, "parameters": {},
        },
    ]  # fmt: skip
    (cors,) = api["operations"][1]["operationHubPolicies"]
    assert (cors["policyId"], cors["parameters"]) == ("fd23c51c-ad48-502d-8ac3-506e59753eb7", {"n": 2**40})


@pytest.mark.conforms("AP-040")
@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("jwt-auth", "v1", "3419e00a-b63f-5a4a-b4db-4769e96934cf"),
        ("basic-auth", "v1", "2c6edcc7-552f-50f0-bd7b-5fadeda0ec68"),
        ("set-headers", "v1", "ef1cd5d5-b8fd-5941-b3d1-50635eeacf67"),
        ("basic-ratelimit", "v1.0", "66883eb4-e136-5bac-8df6-6bc41318c6f9"),
        ("log-message", "1", "ab5e5c1e-98fd-5a20-862c-86a20bec8ef4"),
    ],
)
def test_policy_ids_are_those_of_the_hub(name, version, wanted):
    assert policy_id(name, hub_version(version)) == wanted


def test_versions_of_policies():
    versions = {"v1": "1.0", "v0.2": "0.2", "v1.2.3": "1.2.3", "2": "2.0", "": "1.0"}
    assert {version: hub_version(version) for version in versions} == versions


@pytest.mark.conforms("AP-043")
def test_the_definition_is_made_from_the_operations():
    swagger = packed(WEATHER).tree("swagger.yaml")
    assert swagger["openapi"] == "3.0.0"
    assert swagger["info"] == {"title": "City Weather", "version": "v2.1"}
    assert swagger["servers"] == [{"url": "http://weather-backend:9080/base"}]
    text = {"type": "string"}
    assert swagger["paths"]["/now/{city}/{day}"]["get"] == {
        "responses": {"200": {"description": "Successful response"}},
        "parameters": [{"name": name, "in": "path", "required": True, "schema": text} for name in ("city", "day")],
    }
    assert "parameters" not in swagger["paths"]["/alerts"]["post"]


@pytest.mark.conforms("AP-044")
def test_an_api_without_operations():
    archive = packed(with_spec(operations=[], policies=None))
    assert (archive.api["operations"], archive.api["apiHubPolicies"]) == ([], [])
    assert archive.tree("swagger.yaml")["paths"] == {}


def test_a_definition_of_api_manager_is_taken_over_byte_for_byte():
    body = b'{"openapi": "3.0.1",   "info": {}}'
    archive = packed(WEATHER, swagger=body)
    assert archive.files["City Weather-v2.1/Definitions/swagger.yaml"] == body


def test_equal_input_gives_equal_bytes():
    assert packed(WEATHER).content == packed(WEATHER).content
    assert packed(WEATHER).content != packed(with_spec(context="/other")).content


def test_a_sandbox_upstream_is_sent_as_such():
    upstream = {"main": {"url": "http://main"}, "sandbox": {"url": "http://sandbox"}}
    config = packed(with_spec(upstream=upstream)).api["endpointConfig"]
    assert (config["production_endpoints"], config["sandbox_endpoints"]) == (
        {"url": "http://main"}, {"url": "http://sandbox"},
    )  # fmt: skip


def test_the_marks_of_this_gateway():
    properties = packed(WEATHER, deployment_id="d1").api["additionalProperties"]
    values = {item["name"]: item["value"] for item in properties}
    assert (values["deployment_id"], values["gatewright_gateway"], values["gatewright_api"]) == (
        "d1", "prod-gateway", LOCAL,
    )  # fmt: skip
    assert len(values["gatewright_content"]) == 64
    assert all(item["display"] is False for item in properties)
    assert all(len(item["value"]) <= 900 and len(item["name"]) <= 80 for item in properties)


def test_no_upstream_url_is_told():
    made = export(row_of(with_spec(upstream={"main": {"ref": "pool"}})), gateway_name="g", environment={})
    assert isinstance(made, Unexportable)
    assert made.reason.startswith("failed to generate API YAML: failed to build API data: no upstream URL configured")


# -- templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("AP-099")
def test_the_environment_goes_in_and_secrets_stay_expressions():
    document = with_spec(
        upstream={"main": {"url": 'http://{{ env "BACKEND" | lower }}:9080'}},
        policies=[
            {
                "name": "set-headers",
                "version": "v1",
                "params": {
                    "a": '{{ env "TEAM" }}-{{ secret "token" }}',
                    "b": '{{ secret "token" | upper }}',
                    "c": '{{ env "PASSWORD" | redact }}',
                    "d": '{{ if secret "token" }}yes{{ end }}',
                    "e": '{{ secret (env "WHICH") }}',
                },
            }
        ],
    )
    api = packed(
        document, environment={"BACKEND": "WEATHER", "TEAM": "ops", "PASSWORD": "hunter22", "WHICH": "key"}
    ).api
    assert api["endpointConfig"]["production_endpoints"]["url"] == "http://weather:9080"
    assert api["apiHubPolicies"][0]["parameters"] == {
        "a": 'ops-{{ secret "token" }}',
        "b": '{{ secret "token" | upper }}',
        "c": '{{ env "PASSWORD" | redact }}',
        "d": '{{ if secret "token" }}yes{{ end }}',
        "e": '{{ secret "key" }}',
    }
    assert b"hunter22" not in yaml.safe_dump(api).encode()


def test_a_template_that_fails_is_told():
    broken = with_spec(upstream={"main": {"url": '{{ required "no backend" (env "BACKEND") }}'}})
    made = export(row_of(broken), gateway_name="g", environment={})
    assert isinstance(made, Unexportable)
    assert "no backend" in made.reason


def test_what_has_no_template_is_left_alone():
    assert rendered(WEATHER, {}) == WEATHER


# -- what API Manager has no place for ---------------------------------------------------------------------------------

CONDITIONAL = with_spec(
    policies=[
        {"name": "cors", "version": "v1"},
        {"name": "cors", "version": "v1", "executionCondition": "request.path == '/x'"},
    ],
    operations=[
        {
            "match": {
                "method": "GET",
                "path": {"value": "/a", "type": "PathPrefix"},
                "headers": [{"name": "x-v", "value": "2", "type": "Exact"}],
            }
        },
        {
            "method": "GET",
            "path": "/a",
            "policies": [{"name": "log-message", "version": "v1", "executionCondition": "true"}],
        },
    ],
)


@pytest.mark.conforms("AP-100")
def test_conditions_and_matchers_travel_in_properties():
    api = packed(CONDITIONAL).api
    assert [(item["verb"], item["target"]) for item in api["operations"]] == [("GET", "/a"), ("GET", "/a")]
    kept = [item for item in api["additionalProperties"] if item["name"].startswith("gatewright_kept")]
    assert [item["name"] for item in kept] == ["gatewright_kept_1"]
    tree = yaml.safe_load(kept[0]["value"])
    assert tree["policies"] == {"1": "request.path == '/x'"}
    assert tree["operations"]["0"]["match"]["path"] == {"value": "/a", "type": "PathPrefix"}


def test_long_ones_are_cut_into_pieces_and_endless_ones_left_out():
    long = with_spec(policies=[{"name": "cors", "version": "v1", "executionCondition": "a" * 2000}])
    pieces = properties(long)
    assert pieces is not None
    assert [len(value) <= PIECE for _, value in pieces] == [True, True, True]
    assert "a" * 2000 in "".join(value for _, value in pieces)
    endless = with_spec(policies=[{"name": "cors", "version": "v1", "executionCondition": "a" * 100_000}])
    assert properties(endless) is None
    assert not [item for item in packed(endless).api["additionalProperties"] if "kept" in item["name"]]


def test_what_comes_back_gets_its_conditions_and_matchers_again():
    received = with_spec(
        policies=[{"name": "cors", "version": "v1", "params": {"x": 1}}, {"name": "cors", "version": "v1"}],
        operations=[
            {"method": "GET", "path": "/a", "policies": None},
            {"method": "GET", "path": "/a", "policies": [{"name": "log-message", "version": "v1"}]},
            {"method": "POST", "path": "/new"},
        ],
    )
    back = restored(received, CONDITIONAL)["spec"]
    assert back["policies"] == [
        {"name": "cors", "version": "v1", "params": {"x": 1}},
        {"name": "cors", "version": "v1", "executionCondition": "request.path == '/x'"},
    ]
    assert back["operations"][0]["match"] == CONDITIONAL["spec"]["operations"][0]["match"]
    assert "path" not in back["operations"][0]
    assert back["operations"][1]["policies"][0]["executionCondition"] == "true"
    assert back["operations"][2] == {"method": "POST", "path": "/new"}
    untouched = with_spec(
        policies=[{"name": "jwt-auth", "version": "v1"}], operations=[{"method": "PUT", "path": "/a"}]
    )
    assert restored(untouched, CONDITIONAL) == untouched


def test_the_sandbox_that_an_import_invents_does_not_come_back():
    twice = {
        "main": {"url": "http://weather-backend:9080/base"},
        "sandbox": {"url": "http://weather-backend:9080/base"},
    }
    assert restored(with_spec(upstream=twice), WEATHER)["spec"]["upstream"] == WEATHER["spec"]["upstream"]
    assert restored(with_spec(upstream=twice), with_spec(upstream=twice))["spec"]["upstream"] == twice
    other = {**twice, "sandbox": {"url": "http://sandbox"}}
    assert restored(with_spec(upstream=other), WEATHER)["spec"]["upstream"] == other


@pytest.mark.parametrize("wrong", [{"operations": 1}, {"operations": ["x"]}, {"policies": {}}, {"upstream": "x"},
                                   {"operations": [{"match": "x", "policies": [1]}]}])  # fmt: skip
def test_what_is_malformed_is_left_to_its_reader(wrong):
    assert restored(with_spec(**wrong), CONDITIONAL)["spec"] == {**WEATHER["spec"], **wrong} | {
        name: value for name, value in restored(with_spec(**wrong), CONDITIONAL)["spec"].items() if name not in wrong
    }


# -- YAML --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["1.0", "1e3", "0x1F", "0o17", "yes", "No", "~", "null", "2026-01-01", "12:30", "=", "<<", "", " a", "a: b",
             "a #b", "{x}", "- a", "ü", "a\nb", ".inf", "+1", "'", '"', "Application & Application User", "/a/{b}"],
)  # fmt: skip
def test_texts_stay_texts_for_every_reader(text):
    written = to_yaml({"value": text, "list": [text]})
    assert yaml.safe_load(written) == {"value": text, "list": [text]}
    # What could be anything but a text for some version of YAML is quoted.
    line = written.decode().splitlines()[-1]
    assert line.startswith(('value: "', "value: /")) or text in {"Application & Application User", "a #b"}


def test_the_uuid_vectors_are_of_version_five():
    assert uuid.UUID(policy_id("api-key-auth", "1.0")).version == 5


def test_rest_api_of_the_lab_is_exportable():
    assert packed(rest_api("orders")).api["name"] == "orders"
