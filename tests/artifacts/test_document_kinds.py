"""Rules and texts of LlmProviderTemplate, LlmProvider, LlmProxy and Mcp, field by field."""

import contextlib
import copy

import pytest
import yaml

from gatewright.artifacts.document_kinds import parse_kind, validate
from gatewright.artifacts.llm_provider import PROVIDER
from gatewright.artifacts.llm_proxy import PROXY
from gatewright.artifacts.llm_template import TEMPLATE
from gatewright.artifacts.mcp import MCP
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument
from gatewright.artifacts.templates import Renderer, TemplateError

SPECS = {
    TEMPLATE.kind: {"displayName": "T"},
    PROVIDER.kind: {
        "displayName": "P",
        "template": "openai",
        "upstream": {"url": "https://a"},
        "accessControl": {"mode": "allow_all"},
    },
    PROXY.kind: {"displayName": "X", "provider": {"id": "acme"}},
    MCP.kind: {"displayName": "M", "version": "v1", "context": "/m", "upstream": {"url": "http://m"}},
}
KINDS = {kind.kind: kind for kind in (TEMPLATE, PROVIDER, PROXY, MCP)}


def document(kind, changes=None, *, name="acme"):
    """The smallest valid document of a kind with members replaced by path; None removes."""
    made = {"kind": kind.kind, "metadata": {"name": name}, "spec": copy.deepcopy(SPECS[kind.kind])}
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        target = made
        for parent in parents:
            target = target.setdefault(parent, {})
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
    return made


@pytest.fixture
def check(catalogue):
    def problems(kind, changes=None, **options):
        try:
            validate(
                document(kind, changes, **options), kind, catalogue=catalogue, renderer=Renderer({"s": "hidden"}.get)
            )
        except InvalidArtifact as refused:
            return [(problem.field, problem.message) for problem in refused.problems]
        return []

    return problems


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_smallest_documents_are_valid(kind, check):
    assert check(kind) == []


@pytest.mark.parametrize("kind", [TEMPLATE, PROVIDER, PROXY], ids=lambda kind: kind.kind)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "metadata.name is required"),
        ("a" * 254, "metadata.name must not exceed 253 characters"),
        ("A", ("metadata.name must consist of lowercase alphanumeric characters, hyphens, or dots, and must start and"
              " end with an alphanumeric character")),
        ("a.-b", ("metadata.name must consist of lowercase alphanumeric characters, hyphens, or dots, and must start"
                 " and end with an alphanumeric character")),
    ],
)  # fmt: skip
def test_handles_of_llm_kinds(kind, name, message, check):
    assert check(kind, name=name) == [("metadata.name", message)]


@pytest.mark.parametrize("kind", [PROVIDER, PROXY, MCP], ids=lambda kind: kind.kind)
def test_labels(kind, check):
    found = check(kind, {"metadata.labels": {"a b": "x"}})
    assert [field for field, _ in found] == ["metadata.labels"]


def test_labels_of_templates_are_free(check):
    assert check(TEMPLATE, {"metadata.labels": {"a b": "x"}}) == []


@pytest.mark.parametrize("kind", [TEMPLATE, PROVIDER, PROXY], ids=lambda kind: kind.kind)
def test_kind_and_display_name(kind, check):
    assert check(kind, {"kind": "Other", "spec.displayName": None}) == [
        ("kind", f"Kind must be '{kind.kind}'"),
        ("spec.displayName", "spec.displayName is required"),
    ]
    assert check(kind, {"spec.displayName": "d" * 254}) == [
        ("spec.displayName", "spec.displayName must not exceed 253 characters")
    ]


@pytest.mark.parametrize(
    ("resource", "valid"),
    [
        ("/", True), ("/a", True), ("/a/*/b", True), ("/v2/{mode}/x.y~z", True), ("a", False), ("/a b", False),
        ("/a/", False), ("//", False), ("/{a b}", False), ("/a*", False), ("", False),
    ],
)  # fmt: skip
def test_resources_of_a_template(resource, valid, check):
    found = check(TEMPLATE, {"spec.resourceMappings": {"resources": [{"resource": resource}]}})
    wrong = [
        (
            "spec.resourceMappings.resources[0].resource",
            "resource must be an absolute path starting with '/' and contain no spaces",
        )
    ]
    assert found == ([] if valid else wrong)


def test_the_order_of_a_templates_problems(check):
    bad = {"location": "body", "identifier": ""}
    names = ["promptTokens", "completionTokens", "totalTokens", "requestModel", "responseModel", "remainingTokens"]
    found = check(
        TEMPLATE, {f"spec.{name}": bad for name in reversed(names)} | {"spec.resourceMappings": {"resources": []}}
    )
    expected = [f"spec.{name}.{part}" for name in names for part in ("location", "identifier")]
    assert [field for field, _ in found] == [*expected, "spec.resourceMappings.resources"]
    assert found[1][1] == "Identifier is required"
    assert found[-1][1] == "resources must be non-empty"


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"spec.version": "1.2.3.4"}, "spec.version", "Provider version format is invalid (expected vX.Y.Z)"),
        ({"spec.template": "  "}, "spec.template", "Template reference is required"),
        ({"spec.upstream": None}, "spec.upstream", "Must specify either 'url' or 'ref'"),
        ({"spec.upstream": {"url": " "}}, "spec.upstream", "Must specify either 'url' or 'ref'"),
        ({"spec.upstream.ref": "b"}, "spec.upstream", "Specify exactly one of 'url' or 'ref'"),
        ({"spec.upstream.url": "ftp://a"}, "spec.upstream.url", "Upstream URL must use http or https scheme"),
        ({"spec.upstream.url": "https://"}, "spec.upstream.url", "Upstream URL must include a host"),
        ({"spec.upstream.url": "http://["}, "spec.upstream.url",
         "Upstream URL is malformed: parse \"http://[\": missing ']' in host"),
        ({"spec.upstream": {"ref": "b"}}, "spec.upstream.ref",
         "Referenced upstream definition 'b' not found in upstreamDefinitions"),
        ({"spec.upstream.auth": {"value": "x"}}, "spec.upstream.auth.type", "Auth type is required"),
        ({"spec.upstream.auth": {"type": "basic"}}, "spec.upstream.auth.type",
         "Auth type must be one of 'api-key', 'other', 'none'"),
        ({"spec.upstream.auth": {"type": "api-key", "value": "x"}}, "spec.upstream.auth.header",
         "Auth header is required when api-key auth type is set"),
        ({"spec.accessControl.mode": "allow"}, "spec.accessControl.mode",
         "Access control mode must be either 'allow_all' or 'deny_all'"),
        ({"spec.accessControl.exceptions": [{"methods": ["GET"]}]}, "spec.accessControl.exceptions[0].path",
         "Exception path is required"),
        ({"spec.accessControl.exceptions": [{"path": "/a"}]}, "spec.accessControl.exceptions[0].methods",
         "At least one method is required for exception"),
        ({"spec.upstreamDefinitions": [{"name": "b"}]}, "spec.upstreamDefinitions[0].upstreams",
         "At least one upstream target is required"),
    ],
)  # fmt: skip
def test_rules_of_a_provider(changes, field, message, check):
    assert check(PROVIDER, changes) == [(field, message)]


@pytest.mark.parametrize("kind", [PROVIDER, PROXY, MCP], ids=lambda kind: kind.kind)
def test_resilience(kind, check):
    assert [field for field, _ in check(kind, {"spec.resilience": {"timeout": "30"}})] == ["spec.resilience.timeout"]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"spec.provider": None}, "spec.provider.id", "Provider is required"),
        ({"spec.provider.id": "A_"}, "spec.provider.id",
         ("spec.provider.id must consist of lowercase alphanumeric characters, hyphens, or dots, and must start and end"
         " with an alphanumeric character")),
        ({"spec.version": "x"}, "spec.version", "Proxy version format is invalid (expected vX.Y.Z)"),
        ({"spec.context": "/_gateway-health/x"}, "spec.context",
         "path conflicts with the reserved gateway health-check namespace (/_gateway-health)"),
        ({"spec.additionalProviders": [{"as": "b"}]}, "spec.additionalProviders[0].id", "Provider is required"),
        ({"spec.additionalProviders": [{"id": "acme"}]}, "spec.additionalProviders[0]",
         "duplicate upstream name 'acme' in additionalProviders"),
        ({"spec.additionalProviders": [{"id": "b", "transformer": {"version": "v1"}}]},
         "spec.additionalProviders[0].transformer.type", "Transformer type is required"),
        ({"spec.additionalProviders": [{"id": "b", "transformer": {"type": "t"}}]},
         "spec.additionalProviders[0].transformer.version", "Transformer version is required"),
        ({"spec.additionalProviders": [{"id": "b", "auth": {"type": "x"}}]},
         "spec.additionalProviders[0].auth.type", "Auth type must be one of 'api-key', 'other', 'none'"),
    ],
)  # fmt: skip
def test_rules_of_a_proxy(changes, field, message, check):
    assert check(PROXY, changes) == [(field, message)]


def test_without_a_provider_the_rest_of_a_proxy_is_not_looked_at(check):
    found = check(PROXY, {"spec.provider": None, "spec.additionalProviders": [{}], "spec.resilience": {"timeout": "x"}})
    assert len(found) == 1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"kind": "Other"}, "kind", "Unsupported configuration kind (only 'Mcp' is supported)"),
        ({"metadata.name": ""}, "metadata.name", "Metadata name is required"),
        ({"spec.displayName": None}, "spec.displayName", "MCP proxy displayName is required"),
        ({"spec.displayName": "#"}, "spec.displayName",
         ("MCP proxy displayName must be URL-friendly (only letters, numbers, spaces, hyphens, underscores, and dots"
         " allowed)")),
        ({"spec.version": None}, "spec.version", "Version is required"),
        ({"spec.version": "latest"}, "spec.version",
         "Version must follow semantic versioning pattern (e.g., v1.0, v2.1.3)"),
        ({"spec.context": "m"}, "spec.context", "Context must start with /"),
        ({"spec.context": "/m/"}, "spec.context", "Context cannot end with / (except for root context)"),
        ({"spec.context": "/" + "m" * 200}, "spec.context", "Context must be 1-200 characters"),
        ({"spec.upstream.url": "http://["}, "spec.upstream.url",
         "Invalid URL format: parse \"http://[\": missing ']' in host"),
        ({"spec.upstream.auth": {"header": "X", "value": "x"}}, "spec.upstream.auth.type", "Auth type is required"),
        ({"spec.upstream.auth": {"type": "api-key", "value": "x"}}, "spec.upstream.auth.header",
         "Auth header is required"),
    ],
)  # fmt: skip
def test_rules_of_an_mcp_proxy(changes, field, message, check):
    assert check(MCP, changes) == [(field, message)]


def test_a_virtual_host_stands_in_for_the_context_of_an_mcp_proxy(check):
    assert check(MCP, {"spec.context": None, "spec.vhost": "mcp.example"}) == []


def test_expressions_are_rendered_for_the_check_and_stored_as_written(catalogue):
    made = document(PROVIDER, {"spec.upstream.url": '{{ env "URL" | default "https://b" }}'})
    valid = validate(made, PROVIDER, catalogue=catalogue, renderer=Renderer(lambda _: None))
    assert valid.document["spec"]["upstream"] == made["spec"]["upstream"]
    assert valid.rendered["spec"]["upstream"]["url"] == "https://b"
    assert "https" not in repr(valid)


def test_values_of_secrets_are_masked_in_texts(check):
    found = check(PROVIDER, {"spec.upstream": {"ref": '{{ secret "s" }}'}})
    assert "hidden" not in found[0][1]


def test_an_unknown_secret(catalogue):
    made = document(MCP, {"spec.upstream.url": '{{ secret "no" }}'})
    with pytest.raises(TemplateError) as refused:
        validate(made, MCP, catalogue=catalogue, renderer=Renderer(lambda _: None))
    assert refused.value.message == 'failed to resolve secret "no": configuration not found: id=no'


@pytest.mark.parametrize("content_type", ["application/json", "application/yaml", "text/plain"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_hostile_values_never_break_the_check(kind, content_type, catalogue):
    for value in (None, 5, [], {}, "x", [[]], [{}], {"a": 1}, True, [None], {"resources": 5}):
        for member in kind.shape.read(document(kind))["spec"] | {"upstream": 0, "auth": 0, "provider": 0}:
            body = yaml.safe_dump(document(kind) | {"spec": SPECS[kind.kind] | {member: value}}).encode()
            with contextlib.suppress(InvalidArtifact):
                made = parse_kind(body, content_type, kind)
                validate(made, kind, catalogue=catalogue, renderer=Renderer(lambda _: None))


def test_literal_scalars_only_live_until_the_shape_is_read():
    body = b"kind: Mcp\nspec: {version: 1.10, tools: [{name: 007, inputSchema: true}], resources: [{size: 5}],"
    body += b" prompts: [{arguments: [{required: true}]}], policies: [{params: {a: 1, b: [2025-06-18, no]}}]}"
    spec = parse_kind(body, "text/yaml", MCP)["spec"]
    assert spec["version"] == "1.10"
    assert spec["tools"] == [{"name": "007", "inputSchema": "true"}]
    assert spec["resources"] == [{"size": 5}]
    assert spec["prompts"] == [{"arguments": [{"required": True}]}]
    assert spec["policies"] == [{"params": {"a": 1, "b": ["2025-06-18T00:00:00Z", "no"]}}]


@pytest.mark.parametrize(
    ("content_type", "prefix"),
    [
        ("application/json", "failed to parse JSON: json: cannot unmarshal array into field spec of type object"),
        (
            "application/yaml",
            (
                "failed to unmarshal YAML into *management.MCPProxyConfiguration:"
                " cannot unmarshal array into field spec of type object"
            ),
        ),
    ],
)
def test_wrong_types(content_type, prefix):
    with pytest.raises(MalformedDocument) as refused:
        parse_kind(b'{"spec": []}', content_type, MCP)
    assert refused.value.message == prefix
