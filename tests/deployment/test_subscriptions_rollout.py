"""Subscriptions, plans and applications on their way to the routers: what an engine beside a router knows."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from gatewright.deployment import Caller, KeyRequest
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.subscription_requests import ApplicationEvent, PlanEvent, SubscriptionEvent
from gatewright.deployment.subscription_writes import hash_of
from gatewright.engine.credentials import Credentials
from gatewright.engine.feed import Feed
from gatewright.model.gateway import Gateway, Listener
from gatewright.xds.snapshot import Snapshot

KIND = "RestApi"
POLICIES = [
    {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}},
    {"name": "subscription-validation", "version": "v1"},
]
GOLD = PlanEvent(uuid="gold", name="Gold", stop_on_quota_reach=True, limit_count=100, limit_unit="HOUR")


@pytest.fixture
def gateway():
    """All policies in the engine, whose memory shows what routers are told."""
    return Gateway(listeners=(Listener("http", "127.0.0.1", 8080),), native_policies=False)


@pytest.fixture
def protected(rest_api):
    def make(handle):
        document = rest_api(handle)
        document["spec"]["policies"] = POLICIES
        return document

    return make


@pytest.fixture
def rolling(store, rules, board, gateway, clock):
    @asynccontextmanager
    async def run(begin=None):
        snapshot, known = Snapshot(), Credentials()
        feed = Feed(snapshot, known)
        rollout = Rollout(store, [rules], snapshot, board, gateway=gateway, clock=clock, poll_interval=0.05)
        await rollout.load()

        async def follow():
            if begin is not None:
                await begin.wait()
            await rollout.run()

        task = asyncio.create_task(follow())
        try:
            yield known
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            rollout.close()
            feed.close()

    return run


@pytest.fixture
def make_api(deployments, protected):
    async def make(handle="shop"):
        return (await deployments.create(KIND, protected(handle), correlation_id="c", actor="admin")).row.uuid

    return make


@pytest.fixture
def apply(deployments):
    async def run(event, **options):
        kind = type(event).__name__
        method = {"PlanEvent": "apply_plan", "SubscriptionEvent": "apply_subscription"}.get(kind, "apply_application")
        result = await getattr(deployments.subscriptions, method)(event, correlation_id="c", **options)
        changes = getattr(result, "changes", None)
        for change in (result.change,) if changes is None else changes:
            await deployments.served(change, 10)
        return result

    return run


def event(api_id, uuid="sub-1", token="token", **more):
    return SubscriptionEvent(uuid=uuid, cp_api_id=api_id, token=SecretStr(token), **{"status": "ACTIVE", **more})


async def test_a_subscription_with_its_plan_arrives_changes_and_goes(rolling, make_api, apply, deployments):
    async with rolling() as known:
        api_id = await make_api()
        await apply(GOLD)
        await apply(event(api_id, plan_id="gold", application_id="app", billing_customer_id="cus"))
        found = known.subscription(api_id, hash_of("token"))
        assert (found.limit, found.window_s, found.stops, found.plan_name) == (100, 3600, True, "Gold")
        assert (found.application_id, found.billing_customer_id) == ("app", "cus")
        assert known.subscription_of(api_id, "app") == found

        await apply(replace(GOLD, limit_count=5, limit_unit="Fortnight"), update=True)
        assert known.subscription(api_id, hash_of("token")).window_s == 0
        await apply(event(api_id, token="other", status="ACTIVE"), update=True)
        assert known.subscription(api_id, hash_of("token")) is None
        assert known.subscription(api_id, hash_of("other")).limit == 0
        for status in ("INACTIVE", "REVOKED"):
            await apply(event(api_id, token="", status=status), update=True)
            assert known.subscription(api_id, hash_of("other")) is None
        await apply(event(api_id, token="", status="ACTIVE"), update=True)
        assert known.subscription(api_id, hash_of("other")) is not None
        gone = await deployments.subscriptions.remove_subscription("sub-1", correlation_id="c")
        await deployments.served(gone.change, 10)
        assert known.subscription(api_id, hash_of("other")) is None


async def test_a_missing_plan_concerns_its_subscription_only(rolling, make_api, apply):
    async with rolling() as known:
        api_id = await make_api()
        await apply(event(api_id, plan_id="gold"))
        await apply(event(api_id, "sub-2", "two"))
        assert known.subscription(api_id, hash_of("token")) is None
        assert known.subscription(api_id, hash_of("two")) is not None
        created = await apply(GOLD)
        assert created.change.action == "CREATE"
        assert known.subscription(api_id, hash_of("token")).limit == 100


async def test_a_subscription_moves_to_another_api(rolling, make_api, apply, deployments):
    async with rolling() as known:
        first, second = await make_api("shop"), await make_api("desk")
        await apply(event(first))
        await apply(event(second, token=""), update=True)
        assert known.subscription(first, hash_of("token")) is None
        assert known.subscription(second, hash_of("token")) is not None


async def test_what_was_stored_before_the_start_is_there(rolling, make_api, apply, deployments, store):
    api_id = await make_api()
    await deployments.subscriptions.apply_plan(GOLD, correlation_id="c")
    await deployments.subscriptions.apply_subscription(event(api_id, plan_id="gold"), correlation_id="c")
    alice = Caller("alice")
    made = await deployments.create_key(KIND, "shop", KeyRequest(name="till"), caller=alice, correlation_id="c")
    mapped = ApplicationEvent(uuid="app-uuid", handle="app", name="App", type="web", key_ids=(made.row.uuid,))
    await deployments.subscriptions.apply_application(mapped, correlation_id="c")
    async with rolling() as known:
        assert known.subscription(api_id, hash_of("token")).limit == 100
        key = known.find(api_id, made.row.key_hash)
        assert (key.application_id, key.application_name, key.application_uuid) == ("app", "App", "app-uuid")


async def test_the_application_of_a_key_follows_the_control_plane(rolling, make_api, apply, deployments):
    async with rolling() as known:
        api_id = await make_api()
        alice = Caller("alice")
        made = await deployments.create_key(KIND, "shop", KeyRequest(name="till"), caller=alice, correlation_id="c")
        await deployments.served(made.change, 10)
        assert known.find(api_id, made.row.key_hash).application_id == ""
        mapped = ApplicationEvent(uuid="app-uuid", handle="app", name="App", type="web", key_ids=(made.row.uuid,))
        await apply(mapped)
        assert known.find(api_id, made.row.key_hash).application_id == "app"
        again = await deployments.regenerate_key(KIND, "shop", "till", KeyRequest(), caller=alice, correlation_id="c")
        await deployments.served(again.change, 10)
        assert known.find(api_id, again.row.key_hash).application_id == "app"
        await apply(replace(mapped, key_ids=()))
        assert known.find(api_id, again.row.key_hash).application_id == ""


async def test_an_api_that_comes_after_its_subscriptions(rolling, apply, deployments, protected):
    async with rolling() as known:
        await apply(event("cp-api"))
        deployed = await deployments.apply_deploy(
            "cp-api", protected("shop"), deployment_id="d", performed_at=None, correlation_id="c"
        )
        await deployments.served(deployed.change, 10)
        assert known.subscription("cp-api", hash_of("token")) is not None
        gone = await deployments.apply_delete("cp-api", correlation_id="c")
        await deployments.served(gone.change, 10)
        assert known.subscription("cp-api", hash_of("token")) is None


async def test_a_plan_of_many_subscriptions(rolling, make_api, apply, deployments):
    async with rolling() as known:
        api_id = await make_api()
        await apply(GOLD)
        await asyncio.gather(
            *(
                deployments.subscriptions.apply_subscription(
                    event(api_id, f"sub-{number}", f"token-{number}", plan_id="gold"), correlation_id="c"
                )
                for number in range(1200)
            )
        )
        await apply(replace(GOLD, limit_count=7), update=True)
        limits = {known.subscription(api_id, hash_of(f"token-{number}")).limit for number in range(1200)}
        assert limits == {7}


async def test_a_revocation_does_not_wait_for_deployments(rolling, make_api, deployments, protected):
    api_id = await make_api()
    await deployments.subscriptions.apply_subscription(event(api_id), correlation_id="c")
    begin = asyncio.Event()
    async with rolling(begin) as known:
        stored = await asyncio.gather(
            *(
                deployments.create(KIND, protected(f"api-{number}"), correlation_id="c", actor="admin")
                for number in range(100)
            )
        )
        revocation = event(api_id, token="", status="REVOKED")
        revoked = await deployments.subscriptions.apply_subscription(revocation, update=True, correlation_id="c")
        assert known.subscription(api_id, hash_of("token")) is not None
        begin.set()
        await deployments.served(revoked.change, 10)
        assert known.subscription(api_id, hash_of("token")) is None
        states = [(await deployments.served(one.change, 0)).state for one in stored]
        assert states == ["timeout"] * 100
