"""Artifacts written on behalf of a control plane: staleness, identity, conflicts."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from gatewright.artifacts.metadata import ARTIFACT_ID_ANNOTATION
from gatewright.deployment import Deployments
from gatewright.deployment.results import (
    OUTBOX_TARGET,
    Applied,
    DeploymentIdMismatch,
    Refused,
    Stale,
    Unknown,
)
from gatewright.deployment.serving import ServingBoard
from gatewright.store import StoreUnavailable, changes, open_store

KIND = "RestApi"
CP = "23826f9e-8daf-4638-b295-14898312759f"
T0 = datetime(2026, 8, 1, 10, 15, 30, 123_999, tzinfo=UTC)
T1 = T0 + timedelta(seconds=1)


async def deploy(deployments, document, *, cp_id=CP, deployment_id="d1", at=T0):
    return await deployments.apply_deploy(
        cp_id, document, deployment_id=deployment_id, performed_at=at, correlation_id="c"
    )


async def undeploy(deployments, *, cp_id=CP, deployment_id="d1", at=T1):
    return await deployments.apply_undeploy(cp_id, deployment_id=deployment_id, performed_at=at, correlation_id="c")


async def create_pushed(deployments, document, cp_id):
    """An artifact made at the gateway and accepted by the control plane under its own id."""
    stored = await deployments.create(KIND, document, correlation_id="c", actor="admin")
    await deployments.mark_pushed(stored.row.uuid, "success", cp_id, "")
    return stored.row


@pytest.mark.conforms("CP-052")
async def test_a_deployment_is_stored_as_the_control_planes(deployments, rest_api, clock):
    applied = await deploy(deployments, rest_api("orders"))
    assert isinstance(applied, Applied)
    row = await deployments.get(KIND, "orders")
    assert row == applied.row
    assert (row.uuid, row.origin, row.deployment_id, row.desired_state) == (CP, "control_plane", "d1", "deployed")
    assert row.deployed_at == T0.replace(microsecond=123_000)
    assert row.cp_sync_status is None
    assert applied.change.action == "CREATE"
    assert await deployments.outbox_due(OUTBOX_TARGET, clock()) == []


@pytest.mark.conforms("OP-064")
@pytest.mark.parametrize("at", [T0, T0 - timedelta(seconds=1), T0.replace(microsecond=123_000)])
async def test_what_is_not_newer_is_stale(deployments, rest_api, at):
    await deploy(deployments, rest_api("orders"))
    result = await deploy(deployments, rest_api("orders", context="/late"), deployment_id="d2", at=at)
    assert isinstance(result, Stale)
    row = await deployments.get(KIND, "orders")
    assert (row.document["spec"]["context"], row.deployment_id) == ("/orders", "d1")


async def test_a_stale_document_that_is_not_valid_any_more_is_stale_and_no_failure(deployments, rest_api):
    await deploy(deployments, rest_api("orders"), at=T1)
    result = await deploy(deployments, rest_api("orders", context="bad"), at=T0)
    assert isinstance(result, Stale)


async def test_a_missing_or_zero_time_is_now(deployments, rest_api, clock):
    applied = await deploy(deployments, rest_api("orders"), at=None)
    assert applied.row.deployed_at == clock().replace(microsecond=123_000)
    clock.forward(timedelta(seconds=1))
    applied = await deploy(deployments, rest_api("orders"), at=datetime(1, 1, 1, tzinfo=UTC))
    assert isinstance(applied, Applied)


async def test_times_are_compared_as_instants(deployments, rest_api):
    await deploy(deployments, rest_api("orders"), at=datetime.fromisoformat("2026-08-01T12:00:00+02:00"))
    result = await deploy(deployments, rest_api("orders"), at=datetime.fromisoformat("2026-08-01T11:00:00+01:00"))
    assert isinstance(result, Stale)


async def test_without_a_deployment_id_nothing_is_deployed(deployments, rest_api):
    result = await deploy(deployments, rest_api("orders"), deployment_id="")
    assert isinstance(result, Refused)
    assert result.code == "MISSING_DEPLOYMENT_ID"


@pytest.mark.parametrize("cp_id", ["", "a b", "x" * 65, "né", "a\nb"])
async def test_an_id_that_cannot_be_a_row_is_refused(deployments, rest_api, cp_id):
    result = await deploy(deployments, rest_api("orders"), cp_id=cp_id)
    assert isinstance(result, Refused)
    assert await deployments.list() == []


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"handle": "orders", "name": "Other"}, "configuration with handle 'orders' already exists"),
        ({"handle": "other", "name": "Orders"}, "name 'Orders' and version 'v1.0' already exists"),
    ],
)
async def test_a_conflict_leaves_the_other_artifact_alone(deployments, rest_api, other, text):
    before = (await deploy(deployments, rest_api("orders", name="Orders"))).row
    result = await deploy(deployments, rest_api(**other), cp_id="another")
    assert isinstance(result, Refused)
    assert result.code == "CONFLICT"
    assert text in result.message
    assert await deployments.list() == [before]


async def test_an_invalid_document_is_refused_and_the_last_one_stays(deployments, rest_api):
    before = (await deploy(deployments, rest_api("orders"))).row
    result = await deploy(deployments, rest_api("orders", context="no-slash"), deployment_id="d2", at=T1)
    assert isinstance(result, Refused)
    assert result.code == "INVALID_DOCUMENT"
    assert [problem.field for problem in result.problems] == ["spec.context"]
    assert await deployments.get(KIND, "orders") == before


async def test_other_kinds_and_broken_documents_are_refused(deployments, rest_api):
    assert (await deploy(deployments, {**rest_api("x"), "kind": "LlmProvider"})).code == "UNSUPPORTED_KIND"
    assert (await deploy(deployments, {})).code == "UNSUPPORTED_KIND"
    assert (await deploy(deployments, {"kind": KIND, "spec": "text"})).code == "INVALID_DOCUMENT"
    document = rest_api("orders", url='{{ secret "missing" }}')
    assert (await deploy(deployments, document)).code == "RENDERING_FAILED"


async def test_an_undeployment_keeps_document_and_keys(deployments, rest_api, caller):
    await deploy(deployments, rest_api("orders"))
    before = await deployments.get(KIND, "orders")
    applied = await undeploy(deployments)
    assert isinstance(applied, Applied)
    row = await deployments.get(KIND, "orders")
    assert (row.desired_state, row.document, row.origin) == ("undeployed", before.document, "control_plane")
    assert row.deployed_at == T1.replace(microsecond=123_000)
    assert applied.change.action == "UPDATE"


async def test_a_newer_deployment_revives(deployments, rest_api):
    await deploy(deployments, rest_api("orders"))
    await undeploy(deployments)
    applied = await deploy(deployments, rest_api("orders"), deployment_id="d2", at=T1 + timedelta(seconds=1))
    assert applied.row.desired_state == "deployed"


async def test_undeployments_compare_deployment_ids_before_times(deployments, rest_api):
    await deploy(deployments, rest_api("orders"))
    before = await deployments.get(KIND, "orders")
    result = await undeploy(deployments, deployment_id="other", at=T0 - timedelta(days=1))
    assert result == DeploymentIdMismatch("d1", "other")
    assert isinstance(await undeploy(deployments, at=T0), Stale)
    assert await deployments.get(KIND, "orders") == before
    assert isinstance(await undeploy(deployments, deployment_id=""), Applied)
    assert isinstance(await undeploy(deployments, cp_id="nobody"), Unknown)


async def test_the_control_planes_id_finds_an_artifact_made_here(deployments, rest_api, clock):
    made = await create_pushed(deployments, rest_api("orders"), "cp-7")
    later = clock() + timedelta(seconds=5)
    applied = await deploy(deployments, rest_api("orders", context="/new"), cp_id="cp-7", at=later)
    assert (applied.row.uuid, applied.row.cp_artifact_id) == (made.uuid, "cp-7")
    assert (applied.row.origin, applied.row.cp_sync_status, applied.row.cp_sync_info) == ("control_plane", None, None)
    assert applied.row.created_at == made.created_at
    assert len(await deployments.list()) == 1
    # What was still to be pushed is void: the control plane owns it now.
    assert await deployments.outbox_due(OUTBOX_TARGET, later) == []
    undeployed = await undeploy(deployments, cp_id="cp-7", at=later + timedelta(seconds=1))
    assert undeployed.row.uuid == made.uuid
    deleted = await deployments.apply_delete("cp-7", correlation_id="c")
    assert isinstance(deleted, Applied)
    assert deleted.change.entity_id == made.uuid
    assert await deployments.list() == []


@pytest.mark.conforms("CP-068")
async def test_a_deletion_applies_whatever_the_time_and_takes_the_keys(deployments, rest_api, make_key_event):
    await deploy(deployments, rest_api("orders"), at=T1)
    await deployments.apply_key(make_key_event(CP), correlation_id="c")
    assert isinstance(await deployments.apply_delete(CP, correlation_id="c"), Applied)
    assert await deployments.keys_of(CP) == []
    assert await deployments.apply_delete(CP, correlation_id="c") == Unknown()


async def test_a_deletion_of_an_unknown_artifact_removes_left_over_keys(deployments, store, make_key_event, rest_api):
    await deploy(deployments, rest_api("orders"))
    await deployments.apply_key(make_key_event(CP), correlation_id="c")
    await store.write(lambda c: c.exec_driver_sql("DELETE FROM artifacts"))
    assert len(await deployments.keys_of(CP)) == 1
    result = await deployments.apply_delete(CP, correlation_id="c")
    assert isinstance(result, Unknown)
    assert result.change is not None
    assert await deployments.keys_of(CP) == []


async def test_a_status_update_needs_a_newer_time(deployments, rest_api):
    await deploy(deployments, rest_api("orders"))

    async def status(uuid, at):
        return await deployments.apply_status(
            uuid, state="undeployed", deployment_id="d1", deployed_at=at, correlation_id="c"
        )

    assert isinstance(await status(CP, T0), Stale)
    assert isinstance(await status("nobody", T1), Unknown)
    assert (await status(CP, T1)).row.desired_state == "undeployed"


async def test_an_unavailable_store_is_a_refusal(deployments, rest_api, store, make_key_event):
    async def unavailable(_work):
        raise StoreUnavailable("the disk is full", "Free space on it.")

    store.write = unavailable
    for result in (
        await deploy(deployments, rest_api("orders")),
        await undeploy(deployments),
        await deployments.apply_delete(CP, correlation_id="c"),
    ):
        assert isinstance(result, Refused)
        assert result.code == "STORE_UNAVAILABLE"
        assert "Free space" in result.message
    assert (await deployments.apply_key(make_key_event(CP), correlation_id="c")).reason == "STORE_UNAVAILABLE"


async def test_updating_a_control_planes_artifact_here_leaves_it_the_control_planes(deployments, rest_api, clock):
    await deploy(deployments, rest_api("orders"))
    stored = await deployments.update(KIND, "orders", rest_api("orders"), correlation_id="c", actor="admin")
    assert (stored.row.origin, stored.row.cp_sync_status) == ("control_plane", None)
    await deployments.delete(KIND, "orders", correlation_id="c", actor="admin")
    assert await deployments.outbox_due(OUTBOX_TARGET, clock()) == []


async def test_the_newest_of_many_concurrent_deployments_wins(deployments, rest_api):
    times = [T0 + timedelta(milliseconds=n) for n in range(40)]
    order = times[:]
    random.Random(7).shuffle(order)
    results = await asyncio.gather(
        *[
            deploy(
                deployments,
                rest_api("orders", context=f"/c{times.index(at)}"),
                deployment_id=f"d{times.index(at)}",
                at=at,
            )
            for at in order
        ]
    )
    row = await deployments.get(KIND, "orders")
    assert (row.deployment_id, row.document["spec"]["context"]) == ("d39", "/c39")
    applied = [result for result in results if isinstance(result, Applied)]
    assert len(applied) + sum(isinstance(result, Stale) for result in results) == 40
    seqs = sorted(applied, key=lambda result: result.change.seq)
    assert [result.row.deployed_at for result in seqs] == sorted(result.row.deployed_at for result in seqs)


@pytest.mark.conforms("OP-061")
async def test_gateways_with_different_ids_share_a_database_without_seeing_each_other(
    tmp_path, rules, clock, rest_api, make_key_event, caller
):
    pin = "0198f1d2-6c3a-7d2e-9a51-5f1c6f0a9b10"
    document = rest_api("orders", annotations={ARTIFACT_ID_ANNOTATION: pin})

    async def gateway(name):
        store = await open_store(tmp_path / "shared.db", gateway_id=name)
        return store, Deployments(store, [rules], board=ServingBoard(), pushes=True, clock=clock)

    async def fill(deployments):
        await deployments.create(KIND, document, correlation_id="c", actor="admin")
        await deployments.apply_key(make_key_event(pin), correlation_id="c")

    async def contents(store, deployments):
        feed = await store.read(lambda connection: changes.since(connection, store.gateway_id, 0, 100))
        due = await deployments.outbox_due(OUTBOX_TARGET, clock())
        return len(await deployments.list()), len(await deployments.active_keys()), len(feed), len(due)

    one, deployments = await gateway("one")
    await fill(deployments)
    await one.set_meta("users", "of one")
    assert await contents(one, deployments) == (1, 1, 2, 1)
    await one.close()
    two, deployments = await gateway("two")
    assert await contents(two, deployments) == (0, 0, 0, 0)
    assert await two.get_meta("users") is None
    assert await deployments.resolve(pin) is None
    assert isinstance(await deployments.apply_delete(pin, correlation_id="c"), Unknown)
    await fill(deployments)  # same UUID, handle, name, key value
    await deployments.delete(KIND, "orders", correlation_id="c", actor="admin")
    await two.close()
    one, deployments = await gateway("one")
    assert await contents(one, deployments) == (1, 1, 2, 1)
    await one.close()
