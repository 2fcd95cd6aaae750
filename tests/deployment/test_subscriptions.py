"""Subscriptions, plans and applications through events and lists of a control plane."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from gatewright.deployment import Caller, KeyRequest
from gatewright.deployment.subscription_requests import (
    ApplicationEvent,
    PlanEvent,
    PlanRequest,
    SubscriptionEvent,
    SubscriptionRequest,
)
from gatewright.deployment.subscription_results import (
    ApplicationApplied,
    PlanApplied,
    RecordIgnored,
    RecordUnknown,
    Removed,
    Replaced,
    SubscriptionApplied,
)
from gatewright.deployment.subscription_writes import hash_of
from gatewright.store import applications, changes

KIND = "RestApi"
GOLD = PlanEvent(
    uuid="plan-gold",
    name="Gold",
    billing_plan="premium",
    stop_on_quota_reach=True,
    limit_count=100,
    limit_unit="hour",
    expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    status="ACTIVE",
)


def event(uuid="sub-1", api="cp-api", token="token one", **more):
    return SubscriptionEvent(uuid=uuid, cp_api_id=api, token=SecretStr(token), **{"status": "ACTIVE", **more})


@pytest.fixture
def subscriptions(deployments):
    return deployments.subscriptions


@pytest.fixture
async def api(deployments, rest_api):
    stored = await deployments.create(KIND, rest_api("shop-v1.0"), correlation_id="c", actor="admin")
    return stored.row


@pytest.fixture
def feed(store):
    async def read():
        found = await store.read(lambda connection: changes.since(connection, store.gateway_id, 0, 1000))
        return [(change.kind, change.entity_id, change.artifact_id, change.action) for change in found]

    return read


@pytest.mark.conforms("OP-065")
async def test_deleting_an_api_removes_its_keys_and_subscriptions(deployments, subscriptions, api, caller, store):
    await subscriptions.apply_plan(GOLD, correlation_id="c")
    added = await subscriptions.apply_subscription(event(api=api.uuid, plan_id="plan-gold"), correlation_id="c")
    assert isinstance(added, SubscriptionApplied)
    await deployments.create_key(KIND, api.handle, KeyRequest(), caller=caller, correlation_id="c")

    async def left(table):
        return await store.read(lambda c: c.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar())

    assert [await left("api_keys"), await left("subscriptions")] == [1, 1]
    await deployments.delete(KIND, api.handle, correlation_id="c", actor="admin")
    assert [await left("api_keys"), await left("subscriptions"), await left("subscription_plans")] == [0, 0, 1]


# -- plans -------------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("CP-085")
async def test_a_plan_created_twice_is_updated(subscriptions, feed):
    first = await subscriptions.apply_plan(GOLD, correlation_id="c")
    assert isinstance(first, PlanApplied)
    again = await subscriptions.apply_plan(replace(GOLD, name="Golden", limit_count=5), correlation_id="c")
    assert (again.row.name, again.row.limit_count, again.row.origin) == ("Golden", 5, "control_plane")
    same = await subscriptions.apply_plan(replace(GOLD, name="Golden", limit_count=5), correlation_id="c")
    assert same.change is None
    assert await feed() == [
        ("SubscriptionPlan", "plan-gold", "plan-gold", "CREATE"),
        ("SubscriptionPlan", "plan-gold", "plan-gold", "UPDATE"),
    ]


@pytest.mark.conforms("CP-085")
async def test_an_update_of_an_unknown_plan_is_skipped(subscriptions):
    assert await subscriptions.apply_plan(GOLD, update=True, correlation_id="c") == RecordUnknown("plan-gold")
    assert await subscriptions.plans() == []


@pytest.mark.conforms("CP-086")
async def test_an_update_overwrites_all_but_name_and_status(subscriptions):
    await subscriptions.apply_plan(replace(GOLD, status="INACTIVE"), correlation_id="c")
    bare = PlanEvent(uuid="plan-gold")
    updated = (await subscriptions.apply_plan(bare, update=True, correlation_id="c")).row
    assert (updated.name, updated.status) == ("Gold", "INACTIVE")
    assert (updated.limit_count, updated.limit_unit, updated.expires_at, updated.billing_plan) == (None,) * 4
    assert updated.stop_on_quota_reach is False


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (replace(GOLD, uuid=""), "MISSING_FIELD"),
        (replace(GOLD, name=" "), "MISSING_FIELD"),
        (replace(GOLD, uuid="x" * 65), "INVALID_FIELD"),
        (replace(GOLD, name="x" * 256), "INVALID_FIELD"),
        (replace(GOLD, limit_count=2**63), "INVALID_FIELD"),
        (replace(GOLD, limit_unit="x" * 21), "INVALID_FIELD"),
        (replace(GOLD, status="Active"), "STATUS"),
    ],
)
async def test_plans_that_break_a_rule(subscriptions, wanted, reason):
    result = await subscriptions.apply_plan(wanted, correlation_id="c")
    assert isinstance(result, RecordIgnored)
    assert result.reason == reason


async def test_a_name_belongs_to_one_plan(subscriptions):
    await subscriptions.apply_plan(GOLD, correlation_id="c")
    result = await subscriptions.apply_plan(replace(GOLD, uuid="plan-2"), correlation_id="c")
    assert result.reason == "NAME_TAKEN"


async def test_a_plan_in_use_is_kept(subscriptions):
    await subscriptions.apply_plan(GOLD, correlation_id="c")
    await subscriptions.apply_subscription(event(plan_id="plan-gold"), correlation_id="c")
    assert (await subscriptions.remove_plan("plan-gold", correlation_id="c")).reason == "IN_USE"
    await subscriptions.remove_subscription("sub-1", correlation_id="c")
    assert (await subscriptions.remove_plan("plan-gold", correlation_id="c")).change.action == "DELETE"
    assert await subscriptions.remove_plan("plan-gold", correlation_id="c") == Removed(None)


# -- subscriptions -----------------------------------------------------------------------------------------------------


@pytest.mark.conforms("CP-082")
async def test_only_the_hash_of_a_token_is_kept(subscriptions, store):
    applied = await subscriptions.apply_subscription(event(token=" a plain token "), correlation_id="c")
    assert applied.row.token_hash == hash_of("a plain token")
    if store.path is None:
        return  # a server has no file to look into
    content = b"".join(path.read_bytes() for path in store.path.parent.iterdir() if path.is_file())
    assert applied.row.token_hash.encode() in content
    assert b"a plain token" not in content


async def test_the_api_is_resolved(deployments, subscriptions, api):
    await deployments.mark_pushed(api.uuid, "success", cp_artifact_id="cp-api")
    by_cp_id = await subscriptions.apply_subscription(event(), correlation_id="c")
    by_uuid = await subscriptions.apply_subscription(event("sub-2", api.uuid, "two"), correlation_id="c")
    unknown = await subscriptions.apply_subscription(
        event("sub-3", "not here yet".replace(" ", "-")), correlation_id="c"
    )
    assert [one.row.api_id for one in (by_cp_id, by_uuid, unknown)] == [api.uuid, api.uuid, "not-here-yet"]


@pytest.mark.conforms("CP-083")
async def test_without_token_nothing_is_created_and_unknown_ones_are_not_updated(subscriptions):
    dropped = await subscriptions.apply_subscription(event(token=" "), correlation_id="c")
    assert dropped.reason == "MISSING_FIELD"
    skipped = await subscriptions.apply_subscription(event(), update=True, correlation_id="c")
    assert skipped == RecordUnknown("sub-1")
    assert await subscriptions.list() == []


@pytest.mark.conforms("CP-084")
async def test_an_update_keeps_the_token_and_clears_plan_and_application(subscriptions):
    full = event(plan_id="p", application_id="a", billing_customer_id="cus", billing_subscription_id="sub")
    await subscriptions.apply_subscription(full, correlation_id="c")
    bare = event(api="", token="", status="INACTIVE")
    row = (await subscriptions.apply_subscription(bare, update=True, correlation_id="c")).row
    assert (row.api_id, row.token_hash, row.status) == ("cp-api", hash_of("token one"), "INACTIVE")
    assert (row.plan_id, row.application_id) == (None, None)
    assert (row.billing_customer_id, row.billing_subscription_id) == ("cus", "sub")


async def test_created_again_updates_all_but_the_billing_ids(subscriptions):
    await subscriptions.apply_subscription(event(billing_customer_id="cus"), correlation_id="c")
    again = event(token="token two", application_id="a", status="", billing_customer_id="other")
    row = (await subscriptions.apply_subscription(again, correlation_id="c")).row
    assert (row.token_hash, row.application_id, row.status) == (hash_of("token two"), "a", "ACTIVE")
    assert row.billing_customer_id == "cus"
    same = await subscriptions.apply_subscription(again, correlation_id="c")
    assert same.change is None


@pytest.mark.parametrize("status", ["", "active", "DELETED"])
async def test_an_update_needs_a_status_that_is_known(subscriptions, status):
    await subscriptions.apply_subscription(event(), correlation_id="c")
    result = await subscriptions.apply_subscription(event(status=status), update=True, correlation_id="c")
    assert result.reason == "STATUS"
    assert (await subscriptions.get("sub-1")).status == "ACTIVE"


async def test_a_token_belongs_to_one_subscription_of_an_api(subscriptions):
    await subscriptions.apply_subscription(event(), correlation_id="c")
    taken = await subscriptions.apply_subscription(event("sub-2"), correlation_id="c")
    assert taken.reason == "TOKEN_TAKEN"
    assert "token one" not in taken.message
    elsewhere = await subscriptions.apply_subscription(event("sub-3", "other-api"), correlation_id="c")
    assert isinstance(elsewhere, SubscriptionApplied)


@pytest.mark.parametrize(
    "wanted",
    [
        event("x" * 65),
        event(api="x" * 65),
        event(plan_id="with blank"),
        event(application_id="x" * 256),
        event(token="x" * 2049),
    ],
)
async def test_subscriptions_out_of_bounds(subscriptions, wanted):
    assert (await subscriptions.apply_subscription(wanted, correlation_id="c")).reason == "INVALID_FIELD"


async def test_removing_is_idempotent(subscriptions, feed):
    await subscriptions.apply_subscription(event(), correlation_id="c")
    assert (await subscriptions.remove_subscription("sub-1", correlation_id="c")).change.artifact_id == "cp-api"
    assert await subscriptions.remove_subscription("sub-1", correlation_id="c") == Removed(None)
    assert await feed() == [
        ("Subscription", "sub-1", "cp-api", "CREATE"),
        ("Subscription", "sub-1", "cp-api", "DELETE"),
    ]


@pytest.mark.conforms("CP-068", "MG-073")
async def test_they_go_with_their_api_also_when_it_never_came(deployments, subscriptions, api, make_keys):
    await subscriptions.apply_subscription(event(api=api.uuid), correlation_id="c")
    await subscriptions.apply_subscription(event("sub-2", "never-came"), correlation_id="c")
    key = await deployments.create_key(
        KIND, api.handle, KeyRequest(name="till"), caller=Caller("a"), correlation_id="c"
    )
    await subscriptions.apply_application(application(key.row.uuid), correlation_id="c")
    await deployments.apply_delete(api.uuid, correlation_id="c")
    assert [row.uuid for row in await subscriptions.list()] == ["sub-2"]
    assert await subscriptions.keys_of_application("app-1") == []
    assert (await deployments.apply_delete("never-came", correlation_id="c")).change is not None
    assert await subscriptions.list() == []


async def test_a_store_out_of_reach_is_a_result(subscriptions, store):
    await store.close()
    results = [
        await subscriptions.apply_plan(GOLD, correlation_id="c"),
        await subscriptions.remove_plan("p", correlation_id="c"),
        await subscriptions.apply_subscription(event(), correlation_id="c"),
        await subscriptions.remove_subscription("s", correlation_id="c"),
        await subscriptions.apply_application(application(), correlation_id="c"),
    ]
    assert [result.reason for result in results] == ["STORE_UNAVAILABLE"] * 5


# -- lists of the control plane ----------------------------------------------------------------------------------------


@pytest.fixture
def made_here(subscriptions):
    async def make(api):
        plan = await subscriptions.create_plan(PlanRequest(name="Own"), correlation_id="c")
        request = SubscriptionRequest(api=api.uuid, token=SecretStr("own token"), plan_id=plan.row.uuid)
        return plan.row, (await subscriptions.create(request, correlation_id="c")).row

    return make


async def test_a_list_ends_what_it_lacks_but_never_what_was_made_here(subscriptions, api, made_here, clock):
    own_plan, own = await made_here(api)
    for plan in (GOLD, replace(GOLD, uuid="plan-old", name="Old")):
        await subscriptions.apply_plan(plan, correlation_id="c")
    await subscriptions.apply_subscription(event("sub-old", api.uuid, "old"), correlation_id="c")
    clock.forward(timedelta(seconds=1))
    plans = await subscriptions.replace_plans([GOLD], asked_at=clock(), correlation_id="sync")
    assert plans == Replaced(unchanged=1, removed=1)
    assert {row.uuid for row in await subscriptions.plans()} == {"plan-gold", own_plan.uuid}
    listed = [event("sub-new", api.uuid, "new")]
    done = await subscriptions.replace_subscriptions(api.uuid, listed, asked_at=clock(), correlation_id="sync")
    assert done == Replaced(applied=1, removed=1)
    assert {row.uuid for row in await subscriptions.list()} == {"sub-new", own.uuid}
    for empty in (
        await subscriptions.replace_subscriptions(api.uuid, [], asked_at=later(clock), correlation_id="sync"),
        await subscriptions.replace_plans([], asked_at=later(clock), correlation_id="sync"),
    ):
        assert empty == Replaced(removed=1)
    assert [row.uuid for row in await subscriptions.plans()] == [own_plan.uuid]
    assert [row.uuid for row in await subscriptions.list()] == [own.uuid]


def later(clock):
    clock.forward(timedelta(seconds=1))
    return clock()


async def test_an_unchanged_list_writes_nothing(subscriptions, api, clock, feed):
    listed = [event("sub-1", api.uuid, "one"), event("sub-2", api.uuid, "two", plan_id="plan-gold")]
    await subscriptions.replace_plans([GOLD], asked_at=clock(), correlation_id="sync")
    await subscriptions.replace_subscriptions(api.uuid, listed, asked_at=clock(), correlation_id="sync")
    before = await feed()
    assert await subscriptions.replace_plans([GOLD], asked_at=later(clock), correlation_id="sync") == Replaced(
        unchanged=1
    )
    again = await subscriptions.replace_subscriptions(api.uuid, listed, asked_at=later(clock), correlation_id="sync")
    assert again == Replaced(unchanged=2)
    assert await feed() == before


async def test_what_changed_after_the_question_is_left_alone(subscriptions, api, clock):
    await subscriptions.apply_subscription(event("sub-1", api.uuid, "one"), correlation_id="c")
    await subscriptions.apply_plan(GOLD, correlation_id="c")
    asked = later(clock)
    clock.forward(timedelta(seconds=1))
    await subscriptions.apply_subscription(
        event("sub-1", api.uuid, "", status="REVOKED"), update=True, correlation_id="c"
    )
    await subscriptions.apply_subscription(event("sub-2", api.uuid, "two"), correlation_id="c")
    await subscriptions.apply_plan(replace(GOLD, limit_count=1), update=True, correlation_id="c")
    stale = [event("sub-1", api.uuid, "one")]
    await subscriptions.replace_subscriptions(api.uuid, stale, asked_at=asked, correlation_id="sync")
    await subscriptions.replace_plans([GOLD], asked_at=asked, correlation_id="sync")
    assert {row.uuid: row.status for row in await subscriptions.list()} == {"sub-1": "REVOKED", "sub-2": "ACTIVE"}
    assert (await subscriptions.plan("plan-gold")).limit_count == 1


async def test_a_list_that_is_not_believed_ends_nothing(subscriptions, api, clock):
    listed = [event(f"sub-{number}", api.uuid, f"token {number}") for number in range(5)]
    await subscriptions.replace_subscriptions(api.uuid, listed, asked_at=clock(), correlation_id="sync")
    asked = []

    def doubting(known, doomed):
        asked.append((known, sorted(doomed)))
        return False

    withheld = await subscriptions.replace_subscriptions(
        api.uuid, listed[:1], asked_at=later(clock), believes=doubting, correlation_id="sync"
    )
    assert withheld == Replaced(unchanged=1, withheld=4)
    assert asked == [(5, ["sub-1", "sub-2", "sub-3", "sub-4"])]
    assert len(await subscriptions.list()) == 5


async def test_one_bad_entry_does_not_spoil_the_list(subscriptions, api, made_here, clock):
    await made_here(api)
    listed = [
        event("", api.uuid, "skipped"),
        event("sub-1", api.uuid, "own token"),
        event("sub-2", api.uuid, ""),
        event("sub-3", api.uuid, "three", status="unheard of"),
        event("sub-4", api.uuid, "four", correlation_id="its etag"),
    ]
    done = await subscriptions.replace_subscriptions(api.uuid, listed, asked_at=clock(), correlation_id="sync")
    assert done.applied == 1
    assert [one.reason for one in done.ignored] == ["TOKEN_TAKEN", "MISSING_FIELD", "STATUS"]


async def test_a_token_moves_to_the_subscription_that_took_the_place_of_another(subscriptions, api, clock):
    await subscriptions.apply_subscription(event("sub-old", api.uuid, "same"), correlation_id="c")
    listed = [event("sub-new", api.uuid, "same")]
    done = await subscriptions.replace_subscriptions(api.uuid, listed, asked_at=later(clock), correlation_id="sync")
    assert done == Replaced(applied=1, removed=1)


async def test_a_plan_made_anew_takes_its_subscriptions_along(subscriptions, clock):
    await subscriptions.apply_plan(GOLD, correlation_id="c")
    await subscriptions.apply_subscription(event(plan_id="plan-gold"), correlation_id="c")
    anew = replace(GOLD, uuid="plan-gold-2", limit_count=7)
    done = await subscriptions.replace_plans([anew], asked_at=later(clock), correlation_id="sync")
    assert done == Replaced(applied=1, removed=1)
    assert [row.uuid for row in await subscriptions.plans()] == ["plan-gold-2"]
    assert (await subscriptions.get("sub-1")).plan_id == "plan-gold-2"


async def test_many_events_at_once(subscriptions, api):
    results = await asyncio.gather(
        *(
            subscriptions.apply_subscription(
                event(f"sub-{number % 50}", api.uuid, f"token {number % 50}"), correlation_id="c"
            )
            for number in range(500)
        )
    )
    assert sum(result.change is not None for result in results) == 50


# -- applications ------------------------------------------------------------------------------------------------------


def application(*key_ids, **changed):
    return replace(
        ApplicationEvent(uuid="app-1", handle="mobile-app", name="Mobile app", type="web", key_ids=key_ids), **changed
    )


@pytest.fixture
def make_keys(deployments, api):
    async def make(*names):
        made = [
            await deployments.create_key(
                KIND, api.handle, KeyRequest(name=name), caller=Caller("a"), correlation_id="c"
            )
            for name in names
        ]
        return [one.row.uuid for one in made]

    return make


@pytest.mark.conforms("CP-080")
async def test_the_set_of_keys_is_replaced(subscriptions, make_keys):
    one, two, three = await make_keys("one", "two", "three")
    applied = await subscriptions.apply_application(application(one, two, "", "unknown"), correlation_id="c")
    assert isinstance(applied, ApplicationApplied)
    assert {change.entity_id for change in applied.changes} == {one, two}
    moved = await subscriptions.apply_application(application(two, three), correlation_id="c")
    assert {change.entity_id for change in moved.changes} == {one, three}
    assert await subscriptions.keys_of_application("app-1") == sorted([two, three])
    renamed = await subscriptions.apply_application(application(two, three, name="Till"), correlation_id="c")
    assert {change.entity_id for change in renamed.changes} == {two, three}
    same = await subscriptions.apply_application(application(two, three, name="Till"), correlation_id="c")
    assert same.changes == ()
    cleared = await subscriptions.apply_application(application(), correlation_id="c")
    assert {change.entity_id for change in cleared.changes} == {two, three}
    assert await subscriptions.application("app-1") is None


@pytest.mark.conforms("CP-081")
@pytest.mark.parametrize("member", ["uuid", "handle", "name", "type"])
async def test_an_application_needs_all_four_members(subscriptions, make_keys, member):
    (key,) = await make_keys("one")
    dropped = await subscriptions.apply_application(application(key, **{member: ""}), correlation_id="c")
    assert dropped.reason == "MISSING_FIELD"
    assert await subscriptions.keys_of_application("app-1") == []


async def test_an_application_may_come_before_its_keys(deployments, subscriptions, api, make_key_event, store):
    await subscriptions.apply_application(application("key-uuid"), correlation_id="c")
    await deployments.apply_key(make_key_event(api.uuid, uuid="key-uuid"), correlation_id="c")
    found = await store.read(lambda connection: applications.of_keys(connection, store.gateway_id, ["key-uuid"]))
    assert found["key-uuid"].handle == "mobile-app"
    await deployments.revoke_key_by_event(api.uuid, "till", correlation_id="c")
    assert await subscriptions.keys_of_application("app-1") == []


async def test_a_key_that_two_claim_belongs_to_the_later_one(subscriptions, make_keys, store, clock):
    (key,) = await make_keys("one")
    await subscriptions.apply_application(application(key), correlation_id="c")
    clock.forward(timedelta(seconds=1))
    await subscriptions.apply_application(application(key, uuid="app-0", handle="desk"), correlation_id="c")
    found = await store.read(lambda connection: applications.everything(connection, store.gateway_id))
    assert found[key].uuid == "app-0"


async def test_the_tables_have_the_originals_names(store):
    if store.path is None:
        pytest.skip("a server has no file to look into")
    connection = sqlite3.connect(store.path)
    columns = {
        table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for table in ("subscriptions", "subscription_plans", "applications", "application_api_keys")
    }
    connection.close()
    assert {"subscription_token_hash", "subscription_plan_id", "api_id"} <= columns["subscriptions"]
    assert {"plan_name", "throttle_limit_count", "stop_on_quota_reach"} <= columns["subscription_plans"]
    assert {"application_uuid", "application_id", "application_type"} <= columns["applications"]
    assert {"application_uuid", "api_key_id"} <= columns["application_api_keys"]
