"""Only REST APIs are synced to an API Manager."""

import pytest
from controlplane_lab import rest_api


def document(kind: str, handle: str, **spec) -> dict:
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": kind,
        "metadata": {"name": handle},
        "spec": {"displayName": handle, "version": "v1.0", **spec},
    }


@pytest.mark.conforms("AP-048")
async def test_other_kinds_stay_here(shop):
    deployments = shop.site.deployments
    template = document("LlmProviderTemplate", "template")
    del template["spec"]["version"]
    upstream = {"url": "http://127.0.0.1:9"}
    access = {"mode": "allow_all"}
    for content in (
        template,
        document("LlmProvider", "provider", template="template", upstream=upstream, accessControl=access),
        document("LlmProxy", "proxy", provider={"id": "provider"}, context="/proxy"),
        document("Mcp", "tools", context="/tools", upstream=upstream),
    ):
        await deployments.create(content["kind"], content, correlation_id="c", actor="a")
    # What comes after them is there; nothing of them is.
    await shop.synced("orders")
    assert [api["name"] for api in await shop.apim.client.apis()] == ["orders"]
    assert len(shop.imports()) == 1
    named = {request.query[0] for request in shop.publisher_calls() if request.query and request.method == "GET"}
    assert not [query for query in named if any(name in str(query) for name in ("provider", "proxy", "tools"))]
    await deployments.delete("Mcp", "tools", correlation_id="c", actor="a")
    await shop.change("orders", rest_api("orders", context="/changed"))
    await shop.settled("orders")
    assert len(shop.imports()) == 2
    assert not shop.undeploys()
