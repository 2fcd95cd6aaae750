"""From document to stored form and typed API."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gatewright.artifacts.durations import Resilience
from gatewright.artifacts.metadata import ARTIFACT_ID_ANNOTATION, PROJECT_ID_ANNOTATION
from gatewright.artifacts.parsing import parse_document
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.restapi import HeaderMatch, RestApi
from gatewright.artifacts.restapi_validation import ValidRestApi, parse_restapi, validate_restapi
from gatewright.artifacts.templates import Renderer, TemplateError
from gatewright.artifacts.upstreams import UpstreamDefinition, UpstreamSlot, UpstreamTarget
from gatewright.artifacts.vhosts import VhostDefaults, Vhosts

EXAMPLE = b"""
apiVersion: gateway.api-platform.wso2.com/v1
kind: RestApi
metadata:
  name: inventory-v1.0
  labels:
    team: warehouse
  annotations:
    gateway.api-platform.wso2.com/project-id: 0196f2aa-5f1e-7c39-9c39-1f6f6d7a0001
spec:
  displayName: Inventory API
  version: v1.0
  context: /inventory/$version
  subscriptionPlans: [Bronze, Gold]
  upstreamDefinitions:
    - name: stock-backend
      basePath: /stock/api
      timeout:
        connect: 2s
      upstreams:
        - url: http://stock.internal:8080
          weight: 20
  upstream:
    main:
      ref: stock-backend
      hostRewrite: manual
    sandbox:
      url: http://stock-sandbox.internal:8080
  resilience:
    timeout: 20s
  policies:
    - name: quota
      version: v1
      executionCondition: "request.Method == 'GET'"
      params:
        limit: 10
  operations:
    - method: GET
      path: /items
    - match:
        method: POST
        path:
          value: /items
        headers:
          - name: X-Channel
            value: pos
      resilience:
        timeout: 5s
        idleTimeout: 0s
    - match: {method: GET, path: {value: /all, type: PathPrefix}}
"""


@pytest.fixture
def validate(catalogue: PolicyCatalogue) -> Callable[..., ValidRestApi]:
    def call(document: Any, **options: Any) -> ValidRestApi:
        return validate_restapi(document, **({"catalogue": catalogue, "defaults": VhostDefaults()} | options))

    return call


def test_the_reference_example_is_typed_completely(validate: Callable[..., ValidRestApi]) -> None:
    valid = validate(parse_document(EXAMPLE, "application/yaml"))
    api = valid.api
    assert valid.warnings == ()
    assert (api.kind, api.handle, api.display_name, api.version) == (
        "RestApi",
        "inventory-v1.0",
        "Inventory API",
        "v1.0",
    )
    assert (api.context, api.context_template) == ("/inventory/v1.0", "/inventory/$version")
    assert api.labels == {"team": "warehouse"}
    assert api.metadata.project_id == api.annotations[PROJECT_ID_ANNOTATION]
    assert api.vhosts == Vhosts(main=("*",), sandbox="sandbox-*")
    assert api.main == UpstreamSlot(ref="stock-backend", host_rewrite="manual")
    assert api.sandbox == UpstreamSlot(url="http://stock-sandbox.internal:8080")
    assert api.definition(" stock-backend ") == UpstreamDefinition(
        name="stock-backend",
        base_path="/stock/api",
        connect_timeout_ms=2000,
        targets=(UpstreamTarget("http://stock.internal:8080", 20),),
    )
    assert api.definition("other") is None
    assert api.resilience == Resilience(timeout_ms=20_000)
    assert api.subscription_plans == ("Bronze", "Gold")
    (policy,) = api.policies
    assert (policy.name, policy.version, policy.resolved, policy.params) == ("quota", "v1", "v1.2.3", {"limit": 10})
    assert policy.execution_condition == "request.Method == 'GET'"
    simple, match, prefix = api.operations
    assert (simple.method, simple.path, simple.match_type, simple.field) == (
        "GET",
        "/items",
        None,
        "spec.operations[0]",
    )
    assert (match.method, match.path, match.match_type) == ("POST", "/items", "Exact")
    assert match.headers == (HeaderMatch("X-Channel", "pos", "Exact"),)
    assert match.resilience == Resilience(timeout_ms=5000, idle_timeout_ms=0)
    assert prefix.match_type == "PathPrefix"
    assert not api.undeployed


def test_the_stored_form_equals_what_was_written(validate: Callable[..., ValidRestApi]) -> None:
    document = parse_document(EXAMPLE, "text/yaml")
    before = copy.deepcopy(document)
    valid = validate(document)
    assert valid.document == before
    assert document == before, "the caller's document must not change"
    assert validate(valid.document).document == valid.document


@pytest.mark.parametrize("state", ["undeployed", "deployed", "", "whatever"])
def test_deployment_state(document: dict[str, Any], validate: Callable[..., ValidRestApi], state: str) -> None:
    document["spec"]["deploymentState"] = state
    valid = validate(document)
    assert valid.api.undeployed == (state == "undeployed")
    assert valid.document["spec"]["deploymentState"] == state


def test_unknown_members_vanish_except_in_upstreams_and_status_is_ignored(
    document: dict[str, Any], validate: Callable[..., ValidRestApi]
) -> None:
    document |= {"status": {"state": "deployed"}, "extra": 1}
    document["spec"]["extra"] = {"a": 1}
    document["spec"]["operations"][0]["extra"] = 1
    document["spec"]["upstream"]["main"] |= {"auth": {"value": "x"}, "URL": 5, "nothing": None}
    stored = validate(document).document
    assert "status" not in stored
    assert "extra" not in stored
    assert "extra" not in stored["spec"]
    assert stored["spec"]["operations"] == [{"method": "GET", "path": "/"}]
    assert stored["spec"]["upstream"]["main"] == {
        "url": "http://echo:3000",
        "auth": {"value": "x"},
        "URL": 5,
        "nothing": None,
    }


def test_a_foreign_api_version_is_kept(document: dict[str, Any], validate: Callable[..., ValidRestApi]) -> None:
    document["apiVersion"] = "example.org/v9"
    assert validate(document).document["apiVersion"] == "example.org/v9"


def test_member_names_match_in_any_letter_case(document: dict[str, Any], validate: Callable[..., ValidRestApi]) -> None:
    document["Spec"] = document.pop("spec")
    document["Spec"]["DISPLAYNAME"] = document["Spec"].pop("displayName")
    assert validate(document).document["spec"]["displayName"] == "Ping"


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("version", 1.0, "spec.version"),
        ("operations", {"a": 1}, "spec.operations"),
        ("operations", [{}, 5], "spec.operations[1]"),
        ("policies", [{"params": []}], "spec.policies[0].params"),
        ("upstream", {"main": {"url": 1}}, "spec.upstream.main.url"),
        ("upstreamDefinitions", [{"upstreams": [{"weight": 1.5}]}], "spec.upstreamDefinitions[0].upstreams[0].weight"),
        ("upstreamDefinitions", [{"upstreams": [{"weight": True}]}], "spec.upstreamDefinitions[0].upstreams[0].weight"),
        ("subscriptionPlans", "Gold", "spec.subscriptionPlans"),
    ],
)
def test_a_wrong_type_is_malformed_and_named(
    document: dict[str, Any], validate: Callable[..., ValidRestApi], member: str, value: Any, field: str
) -> None:
    document["spec"][member] = value
    with pytest.raises(MalformedDocument) as refused:
        validate(document)
    assert refused.value.message.startswith("failed to parse JSON: json: cannot unmarshal ")
    assert f"into field {field} of type " in refused.value.message
    assert refused.value.problems[0].field == field


@pytest.mark.parametrize(
    ("content_type", "prefix"),
    [
        ("application/json", "failed to parse JSON: json: cannot unmarshal number"),
        (
            "application/yaml",
            "failed to unmarshal JSON into RestAPI: failed to parse JSON: json: cannot unmarshal number",
        ),
        ("", "failed to parse as YAML or JSON"),
    ],
)
def test_the_text_of_a_wrong_type_follows_the_content_type(content_type: str, prefix: str) -> None:
    with pytest.raises(MalformedDocument) as refused:
        parse_restapi(b'{"spec": {"version": 1.0}}', content_type)
    assert refused.value.message.startswith(prefix)


def test_null_means_absent_and_nothing_at_all_is_only_incomplete(validate: Callable[..., ValidRestApi]) -> None:
    for empty in ({}, {"kind": None, "metadata": None, "spec": None}):
        with pytest.raises(InvalidArtifact) as refused:
            validate(empty)
        assert [p.field for p in refused.value.problems] == [
            "kind",
            "spec.displayName",
            "spec.version",
            "spec.context",
            "spec.upstream.main",
            "spec.operations",
            "metadata.name",
        ]


@pytest.mark.parametrize("document", [None, 5, "x", [], [{}]])
def test_what_is_no_object_is_malformed(validate: Callable[..., ValidRestApi], document: Any) -> None:
    with pytest.raises(MalformedDocument):
        validate(document)


def test_virtual_hosts_are_written_out_only_on_demand(
    document: dict[str, Any], validate: Callable[..., ValidRestApi]
) -> None:
    defaults = VhostDefaults(main="gw.example.org", sandbox="")
    plain = validate(document, defaults=defaults)
    assert "vhosts" not in plain.document["spec"]
    assert plain.api.vhosts == Vhosts(main=("gw.example.org",))
    created = validate(document, defaults=defaults, materialise_vhosts=True)
    assert created.document["spec"]["vhosts"] == {"main": "gw.example.org"}


@pytest.mark.conforms("MG-084")
def test_expressions_are_checked_rendered_and_stored_unrendered(
    document: dict[str, Any], validate: Callable[..., ValidRestApi]
) -> None:
    text = '{{ env "X" | default "http://a:1" }}'
    document["spec"]["upstream"]["main"]["url"] = text
    valid = validate(document, renderer=Renderer(lambda _: None))
    assert valid.api.main.url == "http://a:1"
    assert valid.document["spec"]["upstream"]["main"]["url"] == text
    with pytest.raises(InvalidArtifact) as refused:
        validate(document, renderer=Renderer(lambda _: None, {"X": "ftp://a"}))
    assert [p.message for p in refused.value.problems] == ["Upstream URL must use http or https scheme"]


@pytest.mark.conforms("MG-089")
def test_expressions_in_metadata_stay_text(document: dict[str, Any], validate: Callable[..., ValidRestApi]) -> None:
    document["metadata"]["annotations"] = {"a": '{{ secret "x" }}'}
    document["spec"]["context"] = '/{{ env "X" | default "y" }}'
    api = validate(document, renderer=Renderer(lambda _: None)).api
    assert api.annotations == {"a": '{{ secret "x" }}'}
    assert api.context == "/y"


def test_secret_values_stay_out_of_problems_and_representations(
    document: dict[str, Any], validate: Callable[..., ValidRestApi]
) -> None:
    renderer = Renderer({"k": "hunter2"}.get)
    document["spec"]["operations"][0]["method"] = '{{ secret "k" }}'
    with pytest.raises(InvalidArtifact) as refused:
        validate(document, renderer=renderer)
    assert "hunter2" not in str(refused.value)
    assert refused.value.problems[0].message.startswith("Invalid HTTP method '******'")
    document["spec"]["operations"][0] = {
        "method": "GET",
        "path": "/",
        "policies": [{"name": "free", "version": "v0", "params": {"p": '{{ secret "k" }}'}}],
    }
    valid = validate(document, renderer=renderer)
    assert valid.sensitive == {"hunter2"}
    assert valid.api.operations[0].policies[0].params == {"p": "hunter2"}
    assert "hunter2" not in repr(valid)
    assert "hunter2" not in repr(valid.api)


def test_rendered_texts_become_the_declared_types(
    document: dict[str, Any], validate: Callable[..., ValidRestApi]
) -> None:
    document["spec"]["policies"] = [
        {"name": "quota", "version": "v1", "params": {"limit": '{{ env "L" }}', "strict": '{{ env "S" }}'}}
    ]
    renderer = Renderer(lambda _: None, {"L": "10", "S": "true"})
    assert validate(document, renderer=renderer).api.policies[0].params == {"limit": 10, "strict": True}


def test_a_failing_expression_names_the_place(document: dict[str, Any], validate: Callable[..., ValidRestApi]) -> None:
    document["spec"]["upstream"]["main"]["url"] = '{{ env "NOPE" | required "need it" }}'
    with pytest.raises(TemplateError) as refused:
        validate(document, renderer=Renderer(lambda _: None))
    assert refused.value.message.startswith(
        'Failed to render configuration: failed to render config "ping" (kind=RestApi): failed to render spec '
        'templates: field "upstream": field "main": field "url": template execution error: template: artifact:'
    )
    assert refused.value.message.endswith("required value missing: need it")
    assert refused.value.problems[0].field == "spec.upstream.main.url"


def test_typing_without_catalogue(document: dict[str, Any]) -> None:
    document["metadata"]["annotations"] = {ARTIFACT_ID_ANNOTATION: "0196f2aa-5f1e-7c39-9c39-1f6f6d7a0001"}
    document["metadata"]["labels"] = {"project-id": "p"}
    document["spec"]["policies"] = [{"name": "unknown", "version": " v7 "}]
    api = RestApi.from_document(document)
    assert api.metadata.artifact_id == "0196f2aa-5f1e-7c39-9c39-1f6f6d7a0001"
    assert api.metadata.project_id == "p"
    assert (api.policies[0].version, api.policies[0].resolved) == ("v7", "")
    del document["metadata"]
    with pytest.raises(InvalidArtifact, match=r"metadata\.name: Metadata name is required"):
        RestApi.from_document(document)
