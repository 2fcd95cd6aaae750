"""Providers that are deleted at the hub, and made anew under their handle, while the gateway misses it."""

import json

import pytest
from controlplane_lab import until


def document(kind, handle, **spec):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": kind,
        "metadata": {"name": handle},
        "spec": {"displayName": handle, "version": "v1.0", **spec},
    }


def provider(handle="acme"):
    access, upstream = {"mode": "allow_all"}, {"url": "https://llm.example"}
    return document("LlmProvider", handle, template="acme-llm", upstream=upstream, accessControl=access)


def proxy(*, provider="acme"):
    return document("LlmProxy", "helpdesk", provider={"id": provider})


@pytest.fixture
async def settings(site, client, hub_settings):
    """Of a gateway that has the provider of the hub."""
    made = await hub_settings()
    template = document("LlmProviderTemplate", "acme-llm")
    await site.deployments.create("LlmProviderTemplate", template, correlation_id="c", actor="a")
    await client.deploy(json.dumps(provider()), ["edge"])
    async with site.linked(made):
        await until(lambda: site.row("acme", "LlmProvider"))
    return made


async def heard(site, made, wanted):
    """The gateway has stored this event, and none of those before it."""
    applied = await site.deployments.apply_deploy(
        made.artifact.id,
        wanted,
        deployment_id=made.deployments[0].deployment_id,
        performed_at=None,
        correlation_id="c",
    )
    assert applied.row is not None


async def reconciled(plane):
    await until(lambda: plane.status().last_reconcile)
    return plane.status().last_reconcile


async def test_a_provider_that_a_proxy_keeps_is_succeeded(site, client, settings):
    old = await site.row("acme", "LlmProvider")
    await client.delete_artifact("acme")
    new = await client.deploy(json.dumps(provider()), ["edge"])
    await heard(site, await client.deploy(json.dumps(proxy()), ["edge"]), proxy())
    assert (await site.deployments.apply_delete(old.uuid, correlation_id="c")).code == "IN_USE"
    async with site.linked(settings) as plane:
        report = await reconciled(plane)
        assert report.errors == ()
        assert (await site.row("acme", "LlmProvider")).uuid == new.artifact.id
        assert await site.deployments.resolve(old.uuid) is None
        assert await site.row("helpdesk", "LlmProxy") is not None

        async def believed():
            (told,) = await client.deployments(artifact="acme")
            return told.status == "DEPLOYED"

        # The event may have been answered `failed` before the reconcile.
        await until(believed, 60)
        await client.delete_artifact("helpdesk")
        await client.delete_artifact("acme")

        async def nothing_left():
            return not await site.deployments.list("LlmProvider") and not await site.deployments.list("LlmProxy")

        await until(nothing_left, 60)


async def test_a_provider_goes_when_its_proxy_has_been_moved(site, client, settings):
    made = await client.deploy(json.dumps(proxy()), ["edge"])
    await heard(site, made, proxy())
    await client.deploy(json.dumps(provider("other")), ["edge"])
    await client.deploy(json.dumps(proxy(provider="other")), ["edge"])
    await client.delete_artifact("acme")
    async with site.linked(settings) as plane:
        report = await reconciled(plane)
        assert report.errors == ()
        assert [row.handle for row in await site.deployments.list("LlmProvider")] == ["other"]
        assert (await site.row("helpdesk", "LlmProxy")).document["spec"]["provider"]["id"] == "other"
