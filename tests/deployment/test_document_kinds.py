"""LLM and MCP kinds on the write path: references, credentials that are inherited and sealed, no traffic yet."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.deployment import Caller, Deployments, KeyRequest
from gatewright.deployment.data_plane import Routers
from gatewright.deployment.document_rules import KINDS, document_rules
from gatewright.deployment.results import (
    OUTBOX_DELETE,
    OUTBOX_PUSH,
    OUTBOX_TARGET,
    Applied,
    Conflict,
    InUse,
    Refused,
    Stale,
    UnknownReference,
    deleted_artifact,
)
from gatewright.deployment.rollout import Rollout
from gatewright.policies.registry import installed
from gatewright.store import StoreUnavailable, open_store
from gatewright.store.encryption import KeyRing
from gatewright.store.errors import KeyFileError
from gatewright.xds.delivery import Delivery
from gatewright.xds.outcomes import Node
from gatewright.xds.snapshot import Snapshot

CP = "7a0f2c1e-8daf-4638-b295-14898312759f"
T0 = datetime(2026, 8, 1, 10, 15, 30, tzinfo=UTC)
CANARY = "canary-credential-7d1f"
AUTH = {"type": "api-key", "header": "X-Key", "value": CANARY}
KEYS = KeyRing([("k1", b"k" * 32)])


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(tmp_path / "gateway.db", keys=KEYS)
    yield opened
    await opened.close()


@pytest.fixture
def all_rules(rules):
    return [rules, *document_rules(catalogue=installed().catalogue, renderer=Renderer(lambda _handle: None))]


@pytest.fixture
async def deployments(store, all_rules, clock, board):
    made = Deployments(store, all_rules, board=board, pushes=True, clock=clock)
    await made.create("LlmProviderTemplate", template(), correlation_id="c", actor="admin")
    return made


def document(kind, handle, **spec):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": kind,
        "metadata": {"name": handle},
        "spec": {"displayName": handle, "version": "v1.0", **spec},
    }


def template(handle="acme-llm"):
    return document("LlmProviderTemplate", handle)


def provider(handle="acme", *, auth=AUTH, template="acme-llm"):
    upstream = {"url": "https://llm.example"} | ({"auth": auth} if auth else {})
    return document("LlmProvider", handle, template=template, upstream=upstream, accessControl={"mode": "allow_all"})


def proxy(handle="helpdesk", *, provider="acme", auth=None):
    return document("LlmProxy", handle, provider={"id": provider} | ({"auth": auth} if auth else {}))


def mcp(handle="tools", *, auth=AUTH):
    return document("Mcp", handle, context="/tools", upstream={"url": "http://mcp"} | ({"auth": auth} if auth else {}))


async def create(deployments, wanted):
    return await deployments.create(wanted["kind"], wanted, correlation_id="c", actor="admin")


async def update(deployments, handle, wanted):
    return await deployments.update(wanted["kind"], handle, wanted, correlation_id="c", actor="admin")


async def deploy(deployments, wanted, *, cp_id=CP, at=T0, deployment_id="d1"):
    return await deployments.apply_deploy(
        cp_id, wanted, deployment_id=deployment_id, performed_at=at, correlation_id="c"
    )


async def auth_of(deployments, cp_id=CP):
    row = await deployments.resolve(cp_id)
    return deployments.with_credentials(row).document["spec"]["upstream"].get("auth")


# -- credentials -------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("CP-062")
async def test_a_deployment_inherits_the_stored_credential(deployments):
    without_value = {"type": "api-key", "header": "X-Key"}
    for second, (auth, expected) in enumerate(
        (
            (AUTH, AUTH),
            (without_value, AUTH),
            (None, AUTH),
            (without_value | {"value": "new"}, AUTH | {"value": "new"}),
            ({"type": "none"}, {"type": "none"}),
            (None, None),
        )
    ):
        applied = await deploy(deployments, provider(auth=auth), at=T0 + timedelta(seconds=second))
        assert isinstance(applied, Applied), applied
        assert await auth_of(deployments) == expected


async def test_an_mcp_proxy_inherits_too_and_another_type_does_not(deployments):
    await deploy(deployments, mcp())
    await deploy(deployments, mcp(auth=None), at=T0 + timedelta(seconds=1))
    assert await auth_of(deployments) == AUTH
    refused = await deploy(deployments, mcp(auth={"type": "other", "header": "X"}), at=T0 + timedelta(seconds=2))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.problems[0].field) == ("INVALID_DOCUMENT", "spec.upstream.auth.value")
    assert await auth_of(deployments) == AUTH


async def test_an_artifact_made_here_keeps_its_credential_when_the_control_plane_deploys_it(deployments):
    stored = await create(deployments, provider())
    await deployments.mark_pushed(stored.row.uuid, "success", CP, None)
    later = stored.row.deployed_at + timedelta(seconds=1)
    applied = await deploy(deployments, provider(auth=None), at=later)
    assert (applied.row.uuid, applied.row.cp_artifact_id) == (stored.row.uuid, CP)
    assert await auth_of(deployments) == AUTH


async def test_a_credential_that_comes_in_between_is_not_lost(deployments, store, monkeypatch):
    """Another update is stored after this one has read what it inherits."""
    await create(deployments, provider())
    plain_get, others = deployments.get, iter(["second", "third"])

    async def get(kind, handle):
        row = await plain_get(kind, handle)
        value = next(others, None)
        if value is not None:
            await update(deployments, "acme", provider(auth=AUTH | {"value": value}))
        return row

    monkeypatch.setattr(deployments, "get", get)
    await update(deployments, "acme", provider(auth=None))
    row = deployments.with_credentials(await plain_get("LlmProvider", "acme"))
    assert row.document["spec"]["upstream"]["auth"]["value"] == "second"


async def test_rows_and_the_outbox_hold_envelopes_only(deployments, clock):
    stored = await create(deployments, provider())
    await deployments.delete("LlmProvider", "acme", correlation_id="c", actor="admin")
    queued = [row for row in await deployments.outbox_due(OUTBOX_TARGET, clock()) if row.kind == "LlmProvider"]
    assert [row.action for row in queued] == [OUTBOX_DELETE]
    gone = deleted_artifact(queued[0])
    for row in (stored.row, gone):
        assert CANARY not in repr(row)
        assert row.document["spec"]["upstream"]["auth"]["value"].startswith("enc:aesgcm:v1:k1:")
        assert deployments.with_credentials(row).document["spec"]["upstream"]["auth"] == AUTH


async def test_a_text_that_looks_like_an_envelope_is_a_credential_like_any_other(deployments):
    odd = AUTH | {"value": "enc:aesgcm:v1:k1:AAAA"}
    await deploy(deployments, provider(auth=odd))
    assert await auth_of(deployments) == odd
    await deploy(deployments, provider(auth=None), at=T0 + timedelta(seconds=1))
    assert await auth_of(deployments) == odd


async def test_without_its_key_a_credential_stays_as_it_is(deployments, store, tmp_path, all_rules, board):
    await create(deployments, provider())
    await store.close()
    other = await open_store(tmp_path / "gateway.db", keys=KeyRing([("k2", b"x" * 32)]))
    try:
        blind = Deployments(other, all_rules, board=board, pushes=False)
        row = await blind.get("LlmProvider", "acme")
        with pytest.raises(KeyFileError, match="k1"):
            blind.with_credentials(row)
        with pytest.raises(StoreUnavailable, match="k1"):
            await update(blind, "acme", provider(auth=None))
        assert isinstance(await deploy(blind, provider(auth=None), cp_id=row.uuid), Refused | Stale)
        assert (await blind.get("LlmProvider", "acme")).document == row.document
        await blind.delete("LlmProvider", "acme", correlation_id="c", actor="admin")
    finally:
        await other.close()


async def test_a_new_first_key_seals_at_the_next_update(deployments, store, tmp_path, all_rules, board):
    await create(deployments, provider())
    await store.close()
    rotated = await open_store(tmp_path / "gateway.db", keys=KeyRing([("k2", b"x" * 32), ("k1", b"k" * 32)]))
    try:
        stored = await update(Deployments(rotated, all_rules, board=board, pushes=False), "acme", provider(auth=None))
        assert stored.row.document["spec"]["upstream"]["auth"]["value"].startswith("enc:aesgcm:v1:k2:")
    finally:
        await rotated.close()


# -- references --------------------------------------------------------------------------------------------------------


async def test_a_deployment_needs_what_it_refers_to(deployments):
    for wanted, missing in (
        (provider(template="nope"), "there is no LlmProviderTemplate with the handle 'nope'"),
        (proxy(), "there is no LlmProvider with the handle 'acme'"),
    ):
        refused = await deploy(deployments, wanted)
        assert refused == Refused("UNKNOWN_REFERENCE", missing)
        with pytest.raises(UnknownReference):
            await create(deployments, wanted)
    assert await deployments.resolve(CP) is None


async def test_a_provider_goes_after_its_proxies(deployments):
    await deploy(deployments, provider())
    other = "90bd0f4e-3d2b-4e17-9a35-0d7f7f3f6c11"
    await deploy(deployments, proxy(), cp_id=other)
    refused = await deployments.apply_delete(CP, correlation_id="c")
    assert isinstance(refused, Refused)
    assert refused.code == "IN_USE"
    assert "'helpdesk'" in refused.message
    with pytest.raises(InUse):
        await deployments.delete("LlmProvider", "acme", correlation_id="c", actor="admin")
    renamed = await deploy(deployments, provider("renamed"), at=T0 + timedelta(seconds=1))
    assert isinstance(renamed, Refused)
    assert renamed.code == "IN_USE"
    assert isinstance(await deployments.apply_delete(other, correlation_id="c"), Applied)
    assert isinstance(await deployments.apply_delete(CP, correlation_id="c"), Applied)


async def test_a_provider_and_the_proxy_on_it_can_be_undeployed_in_any_order(deployments):
    other = "90bd0f4e-3d2b-4e17-9a35-0d7f7f3f6c11"
    await deploy(deployments, provider())
    await deploy(deployments, proxy(), cp_id=other)
    for cp_id in (CP, other):
        undeployed = await deployments.apply_undeploy(
            cp_id, deployment_id="d1", performed_at=T0 + timedelta(seconds=1), correlation_id="c"
        )
        assert undeployed.row.desired_state == "undeployed"


async def test_the_template_of_a_provider_may_go_and_the_provider_stays(deployments):
    await create(deployments, provider())
    await deployments.delete("LlmProviderTemplate", "acme-llm", correlation_id="c", actor="admin")
    assert await deployments.get("LlmProvider", "acme") is not None
    with pytest.raises(UnknownReference):
        await update(deployments, "acme", provider())


# -- identity, outbox, keys --------------------------------------------------------------------------------------------


async def test_rename_and_conflicts(deployments):
    first = await create(deployments, mcp())
    await create(deployments, mcp("other"))
    renamed = await update(deployments, "tools", mcp("renamed"))
    assert (renamed.row.uuid, renamed.row.handle) == (first.row.uuid, "renamed")
    assert renamed.row.created_at == first.row.created_at
    with pytest.raises(Conflict, match="configuration with name 'other'"):
        await update(deployments, "renamed", mcp("renamed") | {"spec": mcp("other")["spec"]})


async def test_what_is_made_here_is_queued_for_the_control_plane(deployments, clock):
    for wanted in (provider(), proxy(), mcp()):
        await create(deployments, wanted)
    queued = await deployments.outbox_due(OUTBOX_TARGET, clock())
    assert [(row.kind, row.action) for row in queued] == [(kind, OUTBOX_PUSH) for kind in KINDS]
    await deploy(deployments, provider("from-above"))
    assert len(await deployments.outbox_due(OUTBOX_TARGET, clock())) == 4


async def test_keys_of_a_provider_by_event_and_by_hand(deployments, make_key_event, caller):
    await deploy(deployments, provider())
    await deployments.apply_key(make_key_event(CP), correlation_id="c")
    await deployments.create_key("LlmProvider", "acme", KeyRequest(name="mine"), caller=caller, correlation_id="c")
    row = await deployments.resolve(CP)
    assert sorted(key.name for key in await deployments.keys_of(row.uuid)) == ["mine", "till"]
    await deployments.apply_delete(CP, correlation_id="c")
    assert await deployments.keys_of(row.uuid) == []


# -- the data plane ----------------------------------------------------------------------------------------------------


async def test_no_traffic_yet_is_no_quarantine_and_nobody_waits_for_it(
    deployments, store, all_rules, gateway, clock, board
):
    await create(deployments, provider())
    snapshot = Snapshot()
    routers = Routers(Delivery(snapshot))
    rollout = Rollout(
        store, all_rules, snapshot, board, gateway=gateway, data_plane=routers, clock=clock, poll_interval=0.05
    )
    await rollout.load()
    routers.connected("r1", Node("r1"), "127.0.0.1")  # a router that never answers
    before = {(resource.type_url, resource.name): resource.version for resource in snapshot}
    task = asyncio.create_task(rollout.run())
    try:
        stored = await create(deployments, mcp())
        serving = await deployments.served(stored.change, timeout=5)
        assert serving.state == "stored"
        assert "does not serve" in serving.reason
        key = await deployments.create_key(
            "LlmProvider", "acme", KeyRequest(name="mine"), caller=Caller("alice"), correlation_id="c"
        )
        assert (await deployments.served(key.change, timeout=5)).state == "stored"
        for kind, handle, code in (
            ("Mcp", "tools", "NO_TRAFFIC_YET"),
            ("LlmProvider", "acme", "NO_TRAFFIC_YET"),
            ("LlmProviderTemplate", "acme-llm", "NO_TRAFFIC"),
        ):
            status = deployments.status((await deployments.get(kind, handle)).uuid)
            assert (status.state, status.code) == ("stored", code)
        assert board.quarantined() == []
        off = mcp() | {"spec": mcp()["spec"] | {"deploymentState": "undeployed"}}
        undeployed = await update(deployments, "tools", off)
        await deployments.served(undeployed.change, timeout=0)
        change = await deployments.delete("Mcp", "tools", correlation_id="c", actor="admin")
        assert (await deployments.served(change, timeout=5)).state != "refused"
        assert {(resource.type_url, resource.name): resource.version for resource in snapshot} == before
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        rollout.close()
