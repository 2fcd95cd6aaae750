"""LLM providers, LLM proxies, their templates and MCP proxies over the management API, on a real store."""

import json
import sqlite3

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.deployment import Deployments
from gatewright.deployment.builtin_templates import PACKAGED, install_templates
from gatewright.deployment.document_rules import document_rules
from gatewright.deployment.serving import ServingBoard
from gatewright.management.api_keys import ApiKeys
from gatewright.management.llm_provider_templates import LlmProviderTemplates
from gatewright.management.llm_providers import LlmProviders
from gatewright.management.llm_proxies import LlmProxies
from gatewright.management.mcp_proxies import McpProxies
from gatewright.store import open_store
from gatewright.store.encryption import KeyRing

CANARY = "canary-credential-7d1f"
YAML = {"content-type": "application/yaml"}
COLLECTIONS = ("llm-providers", "llm-proxies", "mcp-proxies")


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(tmp_path / "gateway.db", keys=KeyRing([("k1", b"k" * 32)]))
    yield opened
    await opened.close()


@pytest.fixture
async def deployments(store, catalogue):
    secrets = {"acme-key": "the value of a secret"}
    made = Deployments(
        store,
        document_rules(catalogue=catalogue, renderer=Renderer(secrets.get, {})),
        board=ServingBoard(),
        pushes=False,
    )
    assert await install_templates(made, PACKAGED) == 7
    return made


@pytest.fixture
def operations(deployments):
    return [
        *LlmProviderTemplates(deployments).operations(),
        *LlmProviders(deployments).operations(),
        *LlmProxies(deployments).operations(),
        *McpProxies(deployments).operations(),
        *ApiKeys(deployments, kind="LlmProvider", collection="llm-providers").operations(),
        *ApiKeys(deployments, kind="LlmProxy", collection="llm-proxies").operations(),
    ]


def document(kind, handle, **spec):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": kind,
        "metadata": {"name": handle},
        "spec": {"displayName": f"Name of {handle}", **spec},
    }


def template(handle="acme-llm", **spec):
    return document("LlmProviderTemplate", handle, **spec)


def provider(handle="acme", **spec):
    wanted = {
        "version": "v1.0",
        "context": f"/{handle}",
        "template": "openai",
        "upstream": {
            "url": "https://llm.example/v2",
            "auth": {"type": "api-key", "header": "X-Key", "value": CANARY},
        },
        "accessControl": {"mode": "allow_all"},
    } | spec
    return document("LlmProvider", handle, **{name: item for name, item in wanted.items() if item is not None})


def proxy(handle="helpdesk", **spec):
    return document(
        "LlmProxy",
        handle,
        **{"version": "v2.0", "context": f"/{handle}", "provider": {"id": "acme"}} | spec,
    )


def mcp(handle="tools", **spec):
    wanted = {
        "version": "v1.0",
        "context": f"/{handle}",
        "upstream": {"url": "http://mcp.example:3001"},
    } | spec
    return document("Mcp", handle, **{name: item for name, item in wanted.items() if item is not None})


@pytest.fixture
def send(admin):
    """POST a document of any of the kinds, or PUT it when a handle is given."""
    collections = {
        "LlmProviderTemplate": "llm-provider-templates",
        "LlmProvider": "llm-providers",
        "LlmProxy": "llm-proxies",
        "Mcp": "mcp-proxies",
    }

    async def request(body, handle=None):
        path = f"/{collections[body['kind']]}" + (f"/{handle}" if handle else "")
        return await admin.request("PUT" if handle else "POST", path, json=body)

    return request


def refusal(response, status=400):
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"status", "message"}
    assert body["status"] == "error"
    return body["message"]


# -- templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("MG-090", "MG-094", "MG-109")
async def test_a_fresh_gateway_has_the_templates_that_it_brings_along(admin):
    body = (await admin.get("/llm-provider-templates")).json()
    assert (body["status"], body["count"]) == ("success", 7)
    found = {item["metadata"]["name"]: item for item in body["templates"]}
    assert set(found) == {
        "openai", "azure-openai", "azureai-foundry", "anthropic", "gemini", "mistralai", "awsbedrock"
    }  # fmt: skip
    for handle, item in found.items():
        assert (item["spec"]["managedBy"], item["spec"]["version"]) == ("wso2", "v1.0")
        assert item["spec"]["groupId"] == f"wso2-{handle}"
        assert set(item["status"]) == {"id", "createdAt", "updatedAt"}
    assert found["gemini"]["spec"]["requestModel"] == {
        "location": "pathParam",
        "identifier": r"(?<=models/)[a-zA-Z0-9.\-]+",
    }


@pytest.mark.conforms("MG-095")
async def test_a_restart_reverts_edits_of_what_the_gateway_brings_along(admin, send, deployments):
    before = (await admin.get("/llm-provider-templates/openai")).json()["spec"]
    edited = template("openai", groupId="wso2-openai", promptTokens={"location": "header", "identifier": "x"})
    assert (await send(edited, "openai")).status_code == 200
    assert (await admin.delete("/llm-provider-templates/gemini")).status_code == 200
    assert await install_templates(deployments, PACKAGED) == 2
    assert (await admin.get("/llm-provider-templates/openai")).json()["spec"] == before
    assert (await admin.get("/llm-provider-templates/gemini")).status_code == 200
    assert await install_templates(deployments, PACKAGED) == 0


async def test_a_template_of_the_operator_that_is_broken_leaves_the_others_alone(deployments, tmp_path, admin):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "a.yaml").write_text("kind: [")
    (folder / "b.json").write_text(json.dumps(template("own")))
    (folder / "c.yml").write_text(json.dumps(template("other", promptTokens={"location": "nowhere"})))
    assert await install_templates(deployments, folder) == 1
    assert (await admin.get("/llm-provider-templates/own")).status_code == 200


@pytest.mark.conforms("MG-091")
async def test_defaults_of_a_template_are_written_out(send, admin):
    created = await send(template(promptTokens={"location": "payload", "identifier": "$.in"}))
    assert created.status_code == 201
    spec = created.json()["spec"]
    assert (spec["groupId"], spec["version"], spec["managedBy"]) == ("acme-llm", "v1.0", "organization")
    assert (await admin.get("/llm-provider-templates/acme-llm")).json() == created.json()


@pytest.mark.conforms("MG-092")
async def test_a_location_that_does_not_exist(send):
    wrong = template(promptTokens={"location": "cookie", "identifier": "x"})
    assert refusal(await send(wrong)) == (
        "template configuration invalid: 1 error(s): 1. spec.promptTokens.location:"
        " Location must be 'payload' or 'header' or 'queryParam' or 'pathParam'"
    )


@pytest.mark.conforms("MG-093")
async def test_identity_of_templates(send, admin):
    await send(template())
    assert refusal(await send(template()), 409) == (
        "configuration already exists: template with handle 'acme-llm' already exists"
    )
    for changed, words in (
        (template("other"), "cannot change template handle from 'acme-llm' to 'other'; use create/delete instead"),
        (template(groupId="g2"), "cannot change template groupId from 'acme-llm' to 'g2'; groupId is immutable"),
        (template(version="v2.0"), "cannot change template version from 'v1.0' to 'v2.0'; version is immutable"),
    ):
        assert refusal(await send(changed, "acme-llm")) == f"template configuration invalid: {words}"
    for method, body in (("GET", None), ("DELETE", None), ("PUT", {"kind": 5})):
        answer = await admin.request(method, "/llm-provider-templates/nope", json=body)
        assert refusal(answer, 404) == "Template with id 'nope' not found"


async def test_templates_may_share_a_display_name(send, admin):
    first = template("one") | {"spec": {"displayName": "Same"}}
    second = template("two") | {"spec": {"displayName": "Same"}}
    assert (await send(first)).status_code == (await send(second)).status_code == 201
    found = (await admin.get("/llm-provider-templates?displayName=Same")).json()["templates"]
    assert [item["metadata"]["name"] for item in found] == ["two", "one"]


async def test_a_broken_expression_in_a_template(send):
    message = refusal(await send(template(promptTokens={"location": "payload", "identifier": '{{ secret "no" }}'})))
    assert message.startswith("template configuration invalid: failed to render configuration: ")
    assert 'failed to resolve secret "no"' in message


async def test_templates_are_for_administrators(signed_in):
    assert (await signed_in("dev").get("/llm-provider-templates")).status_code == 403


# -- providers ---------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("MG-099")
@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_credentials_are_in_no_answer_and_not_readable_in_the_database(
    collection, send, admin, store, tmp_path, capsys
):
    auth = {"type": "api-key", "header": "X-Key", "value": CANARY}
    await send(provider())
    made = {
        "llm-providers": provider("second"),
        "llm-proxies": proxy(
            provider={"id": "acme", "auth": auth}, additionalProviders=[{"id": "acme", "as": "b", "auth": auth}]
        ),
        "mcp-proxies": mcp(upstream={"url": "http://mcp.example", "auth": auth, "Auth": auth}),
    }[collection]
    created = await send(made)
    assert created.status_code == 201, created.text
    handle = created.json()["metadata"]["name"]
    answers = [created, await send(made, handle), await admin.get(f"/{collection}/{handle}")]
    answers.append(await admin.get(f"/{collection}"))
    for answer in answers:
        assert answer.status_code in {200, 201}
        assert CANARY not in answer.text
        assert '"value"' not in answer.text
        assert '"header":"X-Key"' in answer.text
    files = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))
    assert CANARY.encode() not in files
    assert b"enc:aesgcm:v1:k1:" in files
    shown = capsys.readouterr()
    assert CANARY not in shown.out + shown.err


@pytest.mark.conforms("MG-100")
async def test_an_update_inherits_the_credential(send, deployments):
    await send(provider())

    async def stored():
        row = await deployments.get("LlmProvider", "acme")
        return deployments.with_credentials(row).document["spec"]["upstream"].get("auth")

    url = "https://llm.example/v2"
    kept = {"type": "api-key", "header": "X-Key", "value": CANARY}
    for upstream, expected in (
        ({"url": url}, kept),
        ({"url": url, "auth": {"type": "api-key", "header": "X-New"}}, kept | {"header": "X-New"}),
        ({"url": url, "auth": {"type": "api-key", "header": "X-Key", "value": ""}}, kept),
        ({"url": url, "auth": {"type": "api-key", "header": "X-Key", "value": "b"}}, kept | {"value": "b"}),
        ({"url": url, "auth": {"type": "other"}}, {"type": "other"}),
        ({"url": url, "auth": {"type": "none", "value": "left over"}}, {"type": "none"}),
        ({"url": url}, None),
    ):
        answer = await send(provider(upstream=upstream), "acme")
        assert answer.status_code == 200, answer.text
        assert await stored() == expected


async def test_another_type_without_a_value_inherits_nothing(send):
    await send(provider(upstream={"url": "https://a", "auth": {"type": "other", "value": CANARY}}))
    changed = provider(upstream={"url": "https://a", "auth": {"type": "api-key", "header": "X"}})
    assert refusal(await send(changed, "acme")) == (
        "provider validation failed with 1 error(s): 1. spec.upstream.auth.value:"
        " Auth value is required when api-key auth type is set"
    )


async def test_a_reference_to_a_secret_survives_an_update_and_stays_readable_in_the_database(send, store, tmp_path):
    reference = '{{ secret "acme-key" }}'
    auth = {"type": "api-key", "header": "X-Key", "value": reference}
    await send(provider(upstream={"url": "https://a", "auth": auth}))
    await send(provider(upstream={"url": "https://b"}), "acme")
    connection = sqlite3.connect(tmp_path / "gateway.db")
    (text,) = connection.execute(
        "SELECT d.configuration FROM llm_providers d JOIN artifacts a USING (gateway_id, uuid)"
        " WHERE a.kind = 'LlmProvider' AND a.handle = 'acme'"
    ).fetchone()
    connection.close()
    assert json.loads(text)["spec"]["upstream"] == {"url": "https://b", "auth": auth}


@pytest.mark.conforms("MG-096")
async def test_a_provider_needs_its_template(send):
    assert refusal(await send(provider(template="nope"))) == (
        "failed to transform LLM provider to API configuration: failed to retrieve template 'nope':"
        " configuration not found: handle=nope"
    )


@pytest.mark.conforms("MG-097", "MG-102")
async def test_problems_of_a_provider_are_one_message(send):
    assert refusal(await send(provider(template=None, accessControl=None))) == (
        "provider validation failed with 2 error(s): 1. spec.template: Template reference is required; 2."
        " spec.accessControl.mode: Access control mode must be either 'allow_all' or 'deny_all'"
    )


@pytest.mark.conforms("MG-098")
async def test_identity_of_providers(send, admin):
    assert (await send(provider())).status_code == 201
    assert refusal(await send(provider())) == (
        "configuration already exists: configuration with name 'Name of acme' and version 'v1.0' already exists"
    )
    assert refusal(await send(provider(displayName="Other"))) == (
        "configuration already exists: configuration with handle 'acme' already exists"
    )
    assert "failed to look up LLM provider" in refusal(await send(provider("nope"), "nope"))
    assert "failed to look up LLM provider" in refusal(await admin.put("/llm-providers/nope", content=b"]"))
    missing = await admin.get("/llm-providers/nope")
    assert refusal(missing, 404) == "LLM provider configuration with handle 'nope' not found"
    deleted = await admin.delete("/llm-providers/nope")
    assert "configuration not found: handle=nope" in refusal(deleted, 404)


@pytest.mark.conforms("MG-101")
async def test_old_and_new_lists_of_policies_exclude_each_other(send):
    both = provider(
        policies=[{"name": "adder", "version": "v1", "paths": []}],
        globalPolicies=[{"name": "limiter", "version": "v2", "params": {"limit": 1}}],
    )
    assert "spec.policies: The deprecated 'policies' field cannot be used together" in refusal(await send(both))


@pytest.mark.conforms("MG-103")
@pytest.mark.parametrize("context", ["/_gateway-health", "/a/../_gateway-health/x", "_gateway-health"])
async def test_the_gateways_own_namespace(send, context):
    assert "spec.context: path conflicts with the reserved" in refusal(await send(provider(context=context)))


async def test_policies_of_a_provider(send):
    wrong = provider(
        globalPolicies=[{"name": "limiter", "version": "v2", "params": {"limit": "many"}}],
        operationPolicies=[{"name": "nope", "version": "v1", "paths": [{"path": "/a", "methods": ["GET"]}]}],
    )
    assert refusal(await send(wrong)) == (
        "provider policy validation failed with 2 error(s): 1. spec.globalPolicies[0].params.limit: Invalid type."
        " Expected: integer, given: string; 2. spec.operationPolicies[0].version: policy 'nope' major version 'v1' not"
        " found in loaded policy definitions"
    )


async def test_an_unreadable_provider(admin):
    answer = await admin.post("/llm-providers", content=b"{", headers={"content-type": "application/json"})
    assert refusal(answer).startswith("failed to parse provider configuration: failed to parse JSON: ")
    answer = await admin.post("/llm-providers", content=b"spec: [1]", headers=YAML)
    assert refusal(answer) == (
        "failed to parse provider configuration: failed to unmarshal YAML into *management.LLMProviderConfiguration:"
        " cannot unmarshal array into field spec of type object"
    )


async def test_yaml_scalars_are_texts_where_texts_are_wanted(admin):
    text = """
kind: LlmProvider
metadata: { name: acme }
spec:
  displayName: 2025-06-18
  version: 1.10
  template: openai
  upstream: { url: "https://a" }
  accessControl: { mode: allow_all }
  globalPolicies:
    - { name: limiter, version: v2, params: { limit: 5 } }
"""
    created = await admin.post("/llm-providers", content=text, headers=YAML)
    assert created.status_code == 201, created.text
    spec = created.json()["spec"]
    assert (spec["displayName"], spec["version"]) == ("2025-06-18", "1.10")
    assert spec["globalPolicies"][0]["params"] == {"limit": 5}


async def test_roles_of_providers(signed_in, send):
    await send(provider())
    developer = signed_in("dev")
    assert (await developer.get("/llm-providers/acme")).status_code == 200
    assert (await developer.post("/llm-providers", json=provider("b"))).status_code == 403


@pytest.mark.parametrize("made", [provider("acme"), proxy(), mcp()], ids=lambda made: made["kind"])
async def test_undeployed_and_deployed_again(made, send):
    if made["kind"] == "LlmProxy":
        await send(provider())
    handle = made["metadata"]["name"]
    off = made | {"spec": made["spec"] | {"deploymentState": "undeployed"}}
    created = await send(off)
    assert created.json()["status"]["state"] == "deployed"
    assert (await send(off, handle)).json()["status"]["state"] == "undeployed"
    again = (await send(made, handle)).json()
    assert again["status"]["state"] == "deployed"
    assert again["status"]["createdAt"] == created.json()["status"]["createdAt"]


async def test_filters(send, admin):
    for handle, vhost in (("one", "a.example"), ("two", "b.example")):
        await send(provider(handle, vhost=vhost))

    async def handles(query):
        return [item["metadata"]["name"] for item in (await admin.get(f"/llm-providers?{query}")).json()["providers"]]

    assert await handles("") == ["two", "one"]
    assert await handles("vhost=a.example") == ["one"]
    assert await handles("context=/two&version=v1.0") == ["two"]
    assert await handles("displayName=Name of one") == ["one"]
    assert await handles("status=undeployed") == []
    assert await handles("vhost=&version=") == ["two", "one"]


# -- proxies -----------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("MG-104")
async def test_a_provider_that_is_in_use_stays_with_its_keys(send, admin):
    await send(provider())
    await admin.post("/llm-providers/acme/api-keys", json={"name": "till-7"})
    await send(proxy())
    assert refusal(await admin.delete("/llm-providers/acme"), 500) == (
        "LLM provider 'acme' cannot be deleted: it is the provider of LLM proxy 'helpdesk'"
    )
    renamed = provider("renamed", context="/acme")
    assert "cannot be renamed" in refusal(await send(renamed, "acme"))
    assert (await admin.get("/llm-providers/acme/api-keys")).json()["totalCount"] == 1
    assert (await admin.delete("/llm-proxies/helpdesk")).status_code == 200
    assert (await admin.delete("/llm-providers/acme")).json() == {
        "id": "acme",
        "message": "LLM provider deleted successfully",
        "status": "success",
    }


async def test_a_proxy_that_moves_to_another_provider_sets_the_first_free(send, admin):
    for handle in ("acme", "other"):
        await send(provider(handle))
    await send(proxy(additionalProviders=[{"id": "other"}]))
    assert (await admin.delete("/llm-providers/other")).status_code == 200
    await send(provider("other"))
    assert (await send(proxy(provider={"id": "other"}), "helpdesk")).status_code == 200
    assert (await admin.delete("/llm-providers/acme")).status_code == 200
    assert (await admin.delete("/llm-providers/other")).status_code == 500


@pytest.mark.conforms("MG-105")
async def test_identity_of_proxies(send):
    assert refusal(await send(proxy()), 404).startswith("LLM proxy configuration not found")
    await send(provider())
    unknown = refusal(await send(proxy(additionalProviders=[{"id": "nope"}])), 404)
    assert unknown == "LLM proxy configuration not found: there is no LlmProvider with the handle 'nope'"
    assert "with handle" not in unknown
    assert (await send(proxy())).status_code == 201
    assert refusal(await send(proxy()), 409).startswith("configuration already exists: ")


async def test_a_proxy_needs_the_template_of_its_provider(send, admin):
    await send(template())
    await send(provider(template="acme-llm"))
    assert (await admin.delete("/llm-provider-templates/acme-llm")).status_code == 200
    assert (await send(proxy())).status_code == 404


@pytest.mark.conforms("MG-106")
async def test_an_unknown_proxy(admin):
    for method in ("GET", "DELETE", "PUT"):
        answer = await admin.request(method, "/llm-proxies/nope")
        assert refusal(answer, 404) == "LLM proxy configuration with handle 'nope' not found"


@pytest.mark.conforms("MG-107", "MG-108")
async def test_additional_providers(send):
    made = proxy(
        additionalProviders=[
            {"id": "one", "as": "same"},
            {"id": "two", "as": "same", "transformer": {"type": "x", "version": "v1.0.0"}},
            {"id": "acme", "as": "not this name"},
        ]
    )
    message = refusal(await send(made))
    assert message.startswith("proxy configuration invalid: 3 error(s): 1. spec.additionalProviders[1]: ")
    assert "duplicate upstream name 'same' in additionalProviders" in message
    assert (
        "spec.additionalProviders[1].transformer.version: Transformer version must be major-only (e.g. v1)" in message
    )
    assert "[2].as must contain only letters, numbers, hyphens, or underscores" in message


async def test_entries_of_a_proxy_inherit_by_provider_and_not_by_place(send, deployments):
    for handle in ("acme", "one", "two"):
        await send(provider(handle))

    def entry(handle, value=None):
        auth = {"type": "api-key", "header": "X", **({"value": value} if value else {})}
        return {"id": handle, "auth": auth}

    await send(proxy(provider=entry("acme", "of acme"), additionalProviders=[entry("one", "1"), entry("two", "2")]))
    await send(proxy(provider=entry("acme"), additionalProviders=[entry("two"), entry("one")]), "helpdesk")
    row = deployments.with_credentials(await deployments.get("LlmProxy", "helpdesk"))
    spec = row.document["spec"]
    assert spec["provider"]["auth"]["value"] == "of acme"
    assert [item["auth"]["value"] for item in spec["additionalProviders"]] == ["2", "1"]
    moved = proxy(provider=entry("one"))
    assert "spec.provider.auth.value: Auth value is required" in refusal(await send(moved, "helpdesk"))


@pytest.mark.conforms("MG-109")
async def test_lists_have_their_own_names(send, admin):
    await send(provider())
    await send(proxy())
    await send(mcp())
    for collection, member in (
        ("llm-providers", "providers"),
        ("llm-proxies", "proxies"),
        ("mcp-proxies", "mcpProxies"),
    ):
        body = (await admin.get(f"/{collection}")).json()
        assert set(body) == {"status", "count", member}
        assert (body["status"], body["count"], len(body[member])) == ("success", 1, 1)


async def test_a_proxy_may_be_renamed(send, admin):
    await send(provider())
    await send(proxy())
    await send(proxy("taken", displayName="Taken"))
    renamed = proxy("desk", displayName="Desk")
    assert (await send(renamed, "helpdesk")).json()["status"]["id"] == "desk"
    assert (await admin.get("/llm-proxies/helpdesk")).status_code == 404
    conflict = refusal(await send(proxy("taken", displayName="Desk"), "desk"), 500)
    assert conflict.startswith("Failed to update LLM proxy configuration: configuration already exists: ")


# -- MCP ---------------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("MG-111", "MG-116")
async def test_an_mcp_proxy_comes_and_goes(send, admin):
    tools = [{"name": "find", "description": "Find", "inputSchema": '{"type":"object"}'}]
    created = await send(mcp(tools=tools, specVersion="2025-06-18"))
    assert created.status_code == 201
    assert created.json()["spec"]["tools"] == tools
    taken = refusal(await send(mcp()), 409)
    assert taken.endswith("configuration with name 'Name of tools' and version 'v1.0' already exists")
    assert (await admin.delete("/mcp-proxies/tools")).json() == {
        "id": "tools",
        "message": "MCP proxy configuration deleted successfully",
        "status": "success",
    }
    assert refusal(await admin.delete("/mcp-proxies/tools"), 404).startswith("MCP proxy configuration with handle")


@pytest.mark.conforms("MG-112", "MG-113", "MG-114")
async def test_problems_of_an_mcp_proxy_are_one_message(send):
    wrong = mcp(specVersion="2024-11-05", context=None, policies=[{"name": "nope", "version": "v1"}])
    assert refusal(await send(wrong)) == (
        "configuration validation failed with 3 error(s): 1. spec.specVersion: Unsupported MCP spec version"
        " (supported versions: 2025-06-18, 2025-11-25); 2. spec.vhost: Vhost is required when context is not specified;"
        " 3. spec.policies[0].version: policy 'nope' major version 'v1' not found in loaded policy definitions"
    )


@pytest.mark.conforms("MG-115")
async def test_an_unknown_mcp_proxy(send, admin):
    assert refusal(await send(mcp("nope"), "nope"), 404) == "MCP configuration with handle 'nope' not found"
    missing = await admin.get("/mcp-proxies/nope")
    assert refusal(missing, 404) == "MCP proxy configuration with handle 'nope' not found"


@pytest.mark.conforms("MG-117")
async def test_the_schema_of_a_tool_is_a_text(send):
    wrong = mcp(tools=[{"name": "find", "description": "Find", "inputSchema": {"type": "object"}}])
    assert "inputSchema" in refusal(await send(wrong))


async def test_authentication_of_an_mcp_proxy(send):
    def with_auth(**auth):
        return mcp(upstream={"url": "http://a", "auth": auth})

    message = refusal(await send(with_auth(type="bearer", header="Authorization", value="token")))
    assert message.endswith("Bearer token value must start with 'Bearer ' or 'bearer '")
    assert "2. spec.upstream.auth.value: Auth value is required" in refusal(await send(with_auth(type="other")))
    assert (await send(with_auth(type="none"))).status_code == 201


@pytest.mark.conforms("MG-062")
async def test_kinds_do_not_share_handles(send):
    assert (await send(provider("same"))).status_code == 201
    assert (await send(proxy("same", provider={"id": "same"}))).status_code == 201
    assert (await send(mcp("same"))).status_code == 201


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("MG-133")
async def test_keys_of_providers_and_proxies(send, admin):
    await send(provider())
    await send(proxy())
    for path in ("/llm-providers/acme", "/llm-proxies/helpdesk"):
        created = await admin.post(f"{path}/api-keys", json={"name": "till-7"})
        assert created.status_code == 201
        assert created.json()["apiKey"]["apiKey"].startswith("apip_")
        assert (await admin.get(f"{path}/api-keys")).json()["totalCount"] == 1
        assert (await admin.post(f"{path}/api-keys/till-7/regenerate", json={})).status_code == 200
        assert (await admin.delete(f"{path}/api-keys/till-7")).status_code == 200
    assert (await admin.get("/mcp-proxies/tools/api-keys")).status_code == 404


async def test_what_is_missing_is_named_by_kind(admin, send):
    parent = await admin.post("/llm-providers/nope/api-keys", json={"name": "till-7"})
    assert refusal(parent, 404) == "configuration not found: API configuration handle 'nope' not found"
    parent = await admin.post("/llm-proxies/nope/api-keys", json={"name": "till-7"})
    assert refusal(parent, 404) == "LLM proxy 'nope' not found"
    await send(provider())
    await send(proxy())
    for path in ("nope", "helpdesk"):
        key = await admin.post(f"/llm-proxies/{path}/api-keys/k-1/regenerate", json={})
        assert refusal(key, 404) == "LLM proxy or API key 'k-1' not found"
