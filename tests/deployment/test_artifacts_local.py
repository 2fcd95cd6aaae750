"""Artifacts written through the management side."""

from datetime import timedelta

import pytest

from gatewright.artifacts.metadata import ARTIFACT_ID_ANNOTATION
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.templates import TemplateError
from gatewright.deployment import ArtifactFilter, Deployments, KeyRequest
from gatewright.deployment.results import (
    OUTBOX_DELETE,
    OUTBOX_PUSH,
    OUTBOX_TARGET,
    Conflict,
    HandleMismatch,
    InvalidPin,
    NotFound,
    UnsupportedKind,
    deleted_artifact,
)

KIND = "RestApi"
PIN = "0198f1d2-6c3a-7d2e-9a51-5f1c6f0a9b10"


async def create(deployments, document):
    return await deployments.create(KIND, document, correlation_id="c", actor="admin")


async def test_a_new_artifact_is_stored_with_its_change_and_its_push(deployments, rest_api, clock):
    stored = await create(deployments, rest_api("orders"))
    assert await deployments.get(KIND, "orders") == stored.row
    assert stored.row.origin == "gateway_api"
    assert stored.row.cp_sync_status == "pending"
    assert stored.row.desired_state == "deployed"
    assert stored.row.deployed_at.microsecond % 1000 == 0
    assert stored.change.action == "CREATE"
    assert stored.change.entity_id == stored.row.uuid
    (due,) = await deployments.outbox_due(OUTBOX_TARGET, clock())
    assert (due.action, due.entity_id, due.kind, due.attempts) == (OUTBOX_PUSH, stored.row.uuid, KIND, 0)


async def test_without_a_control_plane_nothing_waits_for_one(store, make_deployments, rest_api, clock):
    deployments: Deployments = make_deployments(pushes=False)
    await create(deployments, rest_api("orders"))
    await deployments.delete(KIND, "orders", correlation_id="c", actor="admin")
    assert await deployments.outbox_due(OUTBOX_TARGET, clock()) == []


@pytest.mark.conforms("MG-040")
async def test_creation_freezes_the_default_virtual_hosts(deployments, rest_api):
    stored = await create(deployments, rest_api("orders"))
    assert stored.row.document["spec"]["vhosts"] == {"main": "*", "sandbox": "sandbox-*"}
    document = rest_api("bills")
    document["spec"]["vhosts"] = {"main": "_gateway_default_"}
    stored = await create(deployments, document)
    assert stored.row.document["spec"]["vhosts"]["main"] == "*"


@pytest.mark.conforms("MG-039", "MG-067")
async def test_an_update_replaces_the_whole_document(deployments, rest_api):
    await create(deployments, rest_api("orders"))
    document = rest_api("orders", context="/other")
    stored = await deployments.update(KIND, "orders", document, correlation_id="c", actor="admin")
    assert "vhosts" not in stored.row.document["spec"]
    assert (await deployments.get(KIND, "orders")).document["spec"]["context"] == "/other"


@pytest.mark.conforms("MG-068")
async def test_an_update_keeps_the_creation_time_and_moves_the_others(deployments, rest_api, clock):
    first = (await create(deployments, rest_api("orders"))).row
    clock.forward(timedelta(seconds=5))
    second = (await deployments.update(KIND, "orders", rest_api("orders"), correlation_id="c", actor="a")).row
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert second.uuid == first.uuid


async def test_two_updates_in_one_millisecond_both_count(deployments, rest_api):
    await create(deployments, rest_api("orders"))
    first = await deployments.update(KIND, "orders", rest_api("orders", context="/a"), correlation_id="c", actor="a")
    second = await deployments.update(KIND, "orders", rest_api("orders", context="/b"), correlation_id="c", actor="a")
    assert second.row.deployed_at > first.row.deployed_at
    assert (await deployments.get(KIND, "orders")).document["spec"]["context"] == "/b"


async def test_a_second_artifact_with_the_same_name_and_version_is_a_conflict(deployments, rest_api):
    await create(deployments, rest_api("orders", name="Orders"))
    with pytest.raises(Conflict) as refused:
        await create(deployments, rest_api("orders-2", name="Orders"))
    assert refused.value.message == (
        "configuration already exists: configuration with name 'Orders' and version 'v1.0' already exists"
    )
    assert await deployments.get(KIND, "orders-2") is None


async def test_a_second_artifact_with_the_same_handle_is_a_conflict(deployments, rest_api):
    await create(deployments, rest_api("orders", name="Orders"))
    with pytest.raises(Conflict) as refused:
        await create(deployments, rest_api("orders", name="Other"))
    assert refused.value.message == ("configuration already exists: configuration with handle 'orders' already exists")


@pytest.mark.conforms("MG-061")
async def test_equal_contexts_are_no_conflict(deployments, rest_api):
    await create(deployments, rest_api("a", context="/same"))
    await create(deployments, rest_api("b", context="/same"))
    assert len(await deployments.list(KIND)) == 2


async def test_an_update_onto_another_name_is_a_conflict_and_changes_nothing(deployments, rest_api):
    await create(deployments, rest_api("a", name="A"))
    before = (await create(deployments, rest_api("b", name="B"))).row
    with pytest.raises(Conflict):
        await deployments.update(KIND, "b", rest_api("b", name="A"), correlation_id="c", actor="admin")
    assert await deployments.get(KIND, "b") == before


async def test_an_update_can_undeploy_and_the_next_one_deploys_again(deployments, rest_api, caller):
    await create(deployments, rest_api("orders"))
    key = await deployments.create_key(KIND, "orders", KeyRequest(), caller=caller, correlation_id="c")
    document = rest_api("orders")
    document["spec"]["deploymentState"] = "undeployed"
    stored = await deployments.update(KIND, "orders", document, correlation_id="c", actor="admin")
    assert stored.row.desired_state == "undeployed"
    assert [k.uuid for k in await deployments.list_keys(KIND, "orders", caller=caller)] == [key.row.uuid]
    stored = await deployments.update(KIND, "orders", rest_api("orders"), correlation_id="c", actor="admin")
    assert stored.row.desired_state == "deployed"


async def test_creation_always_deploys(deployments, rest_api):
    document = rest_api("orders")
    document["spec"]["deploymentState"] = "undeployed"
    assert (await create(deployments, document)).row.desired_state == "deployed"


async def test_unknown_artifacts_are_not_found(deployments, rest_api):
    with pytest.raises(NotFound, match="RestApi with handle 'x' not found"):
        await deployments.update(KIND, "x", rest_api("x"), correlation_id="c", actor="admin")
    with pytest.raises(NotFound):
        await deployments.delete(KIND, "x", correlation_id="c", actor="admin")
    with pytest.raises(UnsupportedKind):
        await deployments.create("Nonsense", rest_api("x"), correlation_id="c", actor="admin")


async def test_an_update_cannot_rename(deployments, rest_api):
    await create(deployments, rest_api("orders"))
    with pytest.raises(HandleMismatch) as refused:
        await deployments.update(KIND, "orders", rest_api("bills"), correlation_id="c", actor="admin")
    assert refused.value.message == "handle mismatch: path has 'orders' but YAML metadata.name has 'bills'"


async def test_a_pinned_uuid_is_used_and_repeating_the_creation_updates(deployments, rest_api):
    document = rest_api("orders", annotations={ARTIFACT_ID_ANNOTATION: PIN})
    first = await create(deployments, document)
    assert first.row.uuid == PIN
    again = await create(deployments, rest_api("orders-2", name="New", annotations={ARTIFACT_ID_ANNOTATION: PIN}))
    assert (again.row.uuid, again.change.action, again.row.handle) == (PIN, "UPDATE", "orders-2")
    assert [row.handle for row in await deployments.list(KIND)] == ["orders-2"]


async def test_a_pin_that_is_no_uuid_is_refused_before_the_content_is_looked_at(deployments, rest_api):
    with pytest.raises(InvalidPin):
        await create(deployments, {**rest_api("x", annotations={ARTIFACT_ID_ANNOTATION: "me"}), "spec": {}})


async def test_all_problems_are_reported_and_nothing_is_stored(deployments, rest_api):
    document = rest_api("orders")
    document["spec"]["context"] = "orders"
    document["spec"]["operations"] = []
    with pytest.raises(InvalidArtifact) as refused:
        await create(deployments, document)
    assert [problem.field for problem in refused.value.problems] == ["spec.context", "spec.operations"]
    assert await deployments.list() == []


async def test_a_failing_expression_is_reported(deployments, rest_api):
    document = rest_api("orders")
    document["spec"]["upstream"]["main"]["url"] = '{{ secret "missing" }}'
    with pytest.raises(TemplateError) as refused:
        await create(deployments, document)
    assert refused.value.message == 'failed to resolve secret "missing": configuration not found: id=missing'


@pytest.mark.conforms("MG-088")
async def test_expressions_are_stored_unrendered(deployments, rest_api, store):
    document = rest_api("orders")
    url = '{{ env "NOWHERE" | default "http://a.example:1" }}'
    document["spec"]["upstream"]["main"]["url"] = url
    await create(deployments, document)
    text = await store.read(lambda c: c.exec_driver_sql("SELECT configuration FROM rest_apis").scalar_one())
    assert '{{ env \\"NOWHERE\\" | default' in text


@pytest.mark.conforms("MG-073")
async def test_a_deletion_takes_the_keys_along_and_is_queued_with_the_last_document(
    deployments, rest_api, caller, clock, store
):
    row = (await create(deployments, rest_api("orders"))).row
    await deployments.create_key(KIND, "orders", KeyRequest(), caller=caller, correlation_id="c")
    change = await deployments.delete(KIND, "orders", correlation_id="c", actor="admin")
    assert change.action == "DELETE"
    assert await deployments.get(KIND, "orders") is None
    assert await deployments.keys_of(row.uuid) == []
    for table in ("artifacts", "rest_apis", "api_keys"):
        left = await store.read(lambda c, table=table: c.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar())
        assert left == 0
    (due,) = await deployments.outbox_due(OUTBOX_TARGET, clock())
    assert due.action == OUTBOX_DELETE
    assert deleted_artifact(due) == row


async def test_lists_are_newest_first(deployments, rest_api, clock):
    for handle in ("a", "b", "c"):
        await create(deployments, rest_api(handle))
        clock.forward(timedelta(seconds=1))
    assert [row.handle for row in await deployments.list(KIND)] == ["c", "b", "a"]


async def test_filters_combine(deployments, rest_api):
    await create(deployments, rest_api("a", name="A", context="/x/$version"))
    await create(deployments, rest_api("b", name="B", context="/x/$version"))

    async def handles(**conditions):
        return [row.handle for row in await deployments.list(KIND, ArtifactFilter(**conditions))]

    assert await handles(display_name="A") == ["a"]
    assert await handles(display_name="A", context="/x/v1.0") == ["a"]
    assert sorted(await handles(context="/x/v1.0", version="v1.0", state="deployed")) == ["a", "b"]
    assert await handles(display_name="A", version="v2") == []
    assert await handles(state="bogus") == []


async def test_a_push_is_recorded_and_a_newer_change_is_not_lost(deployments, rest_api, clock):
    row = (await create(deployments, rest_api("orders"))).row
    (first,) = await deployments.outbox_due(OUTBOX_TARGET, clock())
    await deployments.update(KIND, "orders", rest_api("orders"), correlation_id="c2", actor="admin")
    await deployments.mark_pushed(row.uuid, "success", "cp-1", "")
    await deployments.outbox_done(first.id)
    (second,) = await deployments.outbox_due(OUTBOX_TARGET, clock())
    assert second.id != first.id
    assert (await deployments.get(KIND, "orders")).cp_artifact_id == "cp-1"
    later = clock() + timedelta(seconds=4)
    await deployments.outbox_retry(second.id, later, "x" * 10_000)
    assert await deployments.outbox_due(OUTBOX_TARGET, clock()) == []
    (third,) = await deployments.outbox_due(OUTBOX_TARGET, later)
    assert third.attempts == 1
    assert len(third.last_error) == 4096
    await deployments.mark_pushed(row.uuid, "failed", None, "no project")
    stored = await deployments.get_by_id(row.uuid)
    assert (stored.cp_artifact_id, stored.cp_sync_status, stored.cp_sync_info) == ("cp-1", "failed", "no project")
    await deployments.mark_pushed("nobody", "success", "x")
