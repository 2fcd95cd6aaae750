"""An artifact that the control plane has no more makes room for a new one with its identity."""

from datetime import UTC, datetime, timedelta

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.deployment import Deployments
from gatewright.deployment.document_rules import document_rules
from gatewright.deployment.results import Applied, Refused
from gatewright.policies.registry import installed
from gatewright.store import changes, llm_proxies, open_store
from gatewright.store.encryption import KeyRing

OLD = "7a0f2c1e-8daf-4638-b295-14898312759f"
NEW = "90bd0f4e-3d2b-4e17-9a35-0d7f7f3f6c11"
PROXY = "c2a1c5f4-92f0-4f0c-8d0f-3d1f6a2f8e55"
T0 = datetime(2026, 8, 1, 10, 15, 30, tzinfo=UTC)
LATER = T0 + timedelta(seconds=1)


@pytest.fixture
async def store(place):
    opened = await open_store(place, keys=KeyRing([("k1", b"k" * 32)]))
    yield opened
    await opened.close()


@pytest.fixture
async def deployments(store, rules, clock, board):
    kinds = [rules, *document_rules(catalogue=installed().catalogue, renderer=Renderer(lambda _handle: None))]
    made = Deployments(store, kinds, board=board, pushes=True, clock=clock)
    await made.create("LlmProviderTemplate", document("LlmProviderTemplate", "acme-llm"), correlation_id="c", actor="a")
    return made


def document(kind, handle, *, name="", **spec):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": kind,
        "metadata": {"name": handle},
        "spec": {"displayName": name or handle, "version": "v1.0", **spec},
    }


def provider(handle="acme", *, name="", auth=None):
    upstream = {"url": "https://llm.example"} | ({"auth": auth} if auth else {})
    access = {"mode": "allow_all"}
    return document("LlmProvider", handle, name=name, template="acme-llm", upstream=upstream, accessControl=access)


def proxy(handle="helpdesk", *, provider="acme"):
    return document("LlmProxy", handle, provider={"id": provider})


async def deploy(deployments, wanted, cp_id, *, at=T0, gone=()):
    return await deployments.apply_deploy(
        cp_id, wanted, deployment_id=f"d-{cp_id}", performed_at=at, correlation_id="c", gone=gone
    )


async def users(store, uuid):
    return await store.read(lambda connection: llm_proxies.users(connection, store.gateway_id, uuid))


async def test_a_provider_in_use_is_succeeded(deployments, store, make_key_event):
    auth = {"type": "api-key", "header": "X-Key", "value": "a-credential"}
    await deploy(deployments, provider(auth=auth), OLD)
    await deploy(deployments, proxy(), PROXY)
    await deployments.apply_key(make_key_event(OLD), correlation_id="c")
    refused = await deploy(deployments, provider(), NEW, at=LATER)
    assert (refused.code, await users(store, OLD)) == ("CONFLICT", ["helpdesk"])
    before = await store.read(lambda connection: changes.last_seq(connection, store.gateway_id))

    applied = await deploy(deployments, provider(), NEW, at=LATER, gone={OLD})
    assert isinstance(applied, Applied), applied
    assert (applied.row.uuid, applied.change.action, applied.succeeds) == (NEW, "CREATE", (OLD,))
    assert await deployments.resolve(OLD) is None
    assert (await deployments.get("LlmProvider", "acme")).uuid == NEW
    assert "auth" not in applied.row.document["spec"]["upstream"], "a credential is not inherited by another artifact"
    assert await deployments.keys_of(OLD) == []
    assert await users(store, NEW) == ["helpdesk"]
    made = await store.read(lambda connection: changes.since(connection, store.gateway_id, before, 10))
    assert [(each.entity_id, each.action) for each in made] == [(OLD, "DELETE"), (NEW, "CREATE")]

    assert (await deployments.apply_delete(NEW, correlation_id="c")).code == "IN_USE"
    assert isinstance(await deployments.apply_delete(PROXY, correlation_id="c"), Applied)
    assert isinstance(await deployments.apply_delete(NEW, correlation_id="c"), Applied)


async def test_a_proxy_made_here_stands_on_the_successor(deployments, store):
    await deploy(deployments, provider(), OLD)
    await deployments.create("LlmProxy", proxy(), correlation_id="c", actor="a")
    assert isinstance(await deploy(deployments, provider(), NEW, at=LATER, gone={OLD}), Applied)
    assert await users(store, NEW) == ["helpdesk"]
    assert (await deployments.get("LlmProxy", "helpdesk")).origin == "gateway_api"


async def test_a_stored_provider_that_takes_the_name_of_one_that_is_gone(deployments, store):
    await deploy(deployments, provider(), OLD)
    await deploy(deployments, proxy(), PROXY)
    await deploy(deployments, provider("other"), NEW)
    applied = await deploy(deployments, provider(), NEW, at=LATER, gone={OLD})
    assert (applied.row.handle, applied.change.action) == ("acme", "UPDATE")
    assert await users(store, NEW) == ["helpdesk"]


@pytest.mark.parametrize("pushed", [False, True])
async def test_what_was_made_here_makes_no_room(deployments, pushed):
    made = await deployments.create("LlmProvider", provider(), correlation_id="c", actor="a")
    if pushed:
        await deployments.mark_pushed(made.row.uuid, "success", OLD, None)
    refused = await deploy(deployments, provider(), NEW, at=LATER, gone={made.row.uuid, OLD})
    assert isinstance(refused, Refused)
    assert refused.code == "CONFLICT"
    assert (await deployments.get("LlmProvider", "acme")).uuid == made.row.uuid


async def test_who_takes_the_name_only_bears_no_proxies(deployments, store):
    await deploy(deployments, provider(name="Acme"), OLD)
    await deploy(deployments, proxy(), PROXY)
    refused = await deploy(deployments, provider("acme-two", name="Acme"), NEW, at=LATER, gone={OLD})
    assert isinstance(refused, Refused)
    assert (refused.code, await users(store, OLD)) == ("CONFLICT", ["helpdesk"])
    await deployments.apply_delete(PROXY, correlation_id="c")
    applied = await deploy(deployments, provider("acme-two", name="Acme"), NEW, at=LATER, gone={OLD})
    assert isinstance(applied, Applied)
    assert await deployments.resolve(OLD) is None


async def test_nothing_goes_when_something_else_is_in_the_way_too(deployments, store):
    await deploy(deployments, provider(), OLD)
    await deploy(deployments, proxy(), PROXY)
    await deployments.create("LlmProvider", provider("mine", name="Taken"), correlation_id="c", actor="a")
    refused = await deploy(deployments, provider(name="Taken"), NEW, at=LATER, gone={OLD})
    assert isinstance(refused, Refused)
    assert refused.code == "CONFLICT"
    assert await users(store, OLD) == ["helpdesk"]


async def test_a_refused_successor_leaves_everything(deployments, store):
    await deploy(deployments, provider(), OLD)
    await deploy(deployments, proxy(), PROXY)
    await deployments.delete("LlmProviderTemplate", "acme-llm", correlation_id="c", actor="a")
    refused = await deploy(deployments, provider(), NEW, at=LATER, gone={OLD})
    assert isinstance(refused, Refused)
    assert (refused.code, await users(store, OLD)) == ("UNKNOWN_REFERENCE", ["helpdesk"])


async def test_an_api_is_succeeded_with_its_keys(deployments, rest_api, make_key_event):
    await deploy(deployments, rest_api("orders"), OLD)
    await deployments.apply_key(make_key_event(OLD), correlation_id="c")
    assert (await deploy(deployments, rest_api("orders"), NEW, at=LATER)).code == "CONFLICT"
    assert isinstance(await deploy(deployments, rest_api("orders"), NEW, at=LATER, gone={OLD}), Applied)
    assert await deployments.resolve(OLD) is None
    assert await deployments.keys_of(OLD) == []
