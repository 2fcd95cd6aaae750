"""Reconciling secrets, plans and subscriptions: right, wrong, missing and suddenly short lists."""

import pytest
from controlplane_lab import rest_api, until
from pydantic import SecretStr

from gatewright.deployment.subscription_requests import PlanRequest, SubscriptionRequest

BASE = "/api/internal/v1"
UNREADABLE = [(500, b""), (429, b""), (200, b"garbage"), (200, {"list": "x"}), (200, [1])]


def plan(uuid, **more):
    return {"id": uuid, "planName": f"name-{uuid}", "status": "ACTIVE", "etag": f"e-{uuid}", **more}


def listed(uuid, **more):
    token = f"token-{uuid}"
    return {"id": uuid, "apiId": "ignored", "subscriptionToken": token, "status": "ACTIVE", "etag": "", **more}


def secret(handle, value=None, *, version="1", status="ACTIVE"):
    row = {"handle": handle, "name": f"Name {handle}", "status": status, "hash": version}
    return row if value is None else {**row, "value": value}


class Lists:
    """What the hostile server answers; a test changes the lists in place."""

    def __init__(self, hostile) -> None:
        self.hostile = hostile
        self.plans, self.subscriptions, self.secrets, self.values = [], {}, [], {}
        hostile.answers["GET", f"{BASE}/subscription-plans"] = lambda _request: (200, self.plans)
        hostile.answers["GET", f"{BASE}/secrets"] = self.answer_secrets

    def of_api(self, cp_id, *rows):
        self.subscriptions[cp_id] = list(rows)
        path = f"{BASE}/apis/{cp_id}/subscriptions"
        self.hostile.answers["GET", path] = lambda _request: (200, self.subscriptions[cp_id])

    def answer_secrets(self, request):
        rows = [dict(row) for row in self.secrets]
        if request.path.endswith("?includeValues=true"):
            for row in rows:
                if row["handle"] in self.values:
                    row["value"] = self.values[row["handle"]]
        return 200, {"list": rows, "count": len(rows)}


@pytest.fixture
def lists(hostile):
    return Lists(hostile)


async def reconciled(plane):
    await until(lambda: plane.status().last_reconcile)
    return plane.status().last_reconcile


async def deployed(site, uuid, **more):
    await site.deployments.apply_deploy(
        uuid, rest_api(f"h-{uuid}", **more), deployment_id="d", performed_at=None, correlation_id="c"
    )


def without_deployments():
    return {"deployment_sync_enabled": False}


@pytest.mark.conforms("CP-088", "CP-091")
@pytest.mark.parametrize("pulls", [True, False])
async def test_what_is_asked_for_and_in_which_order(site, hostile, hostile_settings, lists, pulls):
    await deployed(site, "a")
    lists.of_api("a")
    hostile.answers["POST", f"{BASE}/artifacts/exists"] = (
        200,
        {"artifacts": [{"artifactId": "a", "exists": True}]},
    )
    if not pulls:
        await site.deployments.create("RestApi", rest_api("never-pushed"), correlation_id="c", actor="admin")
    async with site.linked(hostile_settings(deployment_sync_enabled=pulls)) as plane:
        await reconciled(plane)
        asked = [request.path.removeprefix(BASE) for request in hostile.requests if request.method == "GET"]
        kinds = ("apis", "websub-apis", "webbroker-apis", "llm-providers", "llm-proxies")
        assert [path for path in asked if path.startswith("/")] == [
            *(["/internal/gateway/.well-known"] if asked[0] == "/internal/gateway/.well-known" else []),
            "/secrets?includeValues=true",
            *(["/deployments"] if pulls else []),
            "/subscription-plans",
            "/apis/a/subscriptions",
            *(f"/{kind}/api-keys" for kind in kinds),
        ]
        await until(lambda: hostile.asked("/manifest"))
        assert not hostile.asked("/import-gateway-artifacts")


@pytest.mark.conforms("CP-148")
async def test_an_api_manager_is_asked_for_nothing_of_it(site, hostile, hostile_settings, lists):
    await deployed(site, "a")
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, {"gatewayPath": "internal/data/v1"})
    hostile.answers["GET", "/internal/data/v1/apis/api-keys"] = (200, [])
    async with site.linked(hostile_settings()) as plane:
        report = await reconciled(plane)
        assert report.errors == ()
        assert {request.path for request in hostile.requests} == {
            "/internal/gateway/.well-known",
            "/internal/data/v1/apis/api-keys",
        }


@pytest.mark.conforms("CP-102")
async def test_plans_follow_the_list_and_plans_made_here_stay(site, hostile, hostile_settings, lists):
    records = site.deployments.subscriptions
    lists.plans += [plan("p1", throttleLimitCount=5, throttleLimitUnit="hour"), plan("p2")]
    async with site.linked(hostile_settings()) as plane:
        assert (await reconciled(plane)).counts["plans.applied"] == 2
        await records.create_plan(PlanRequest(name="Own"), correlation_id="c")
        assert (await plane.reconcile()).counts == {"plans.unchanged": 2}
        lists.plans[:] = [plan("p2", status="INACTIVE"), plan("p3"), plan("", planName="none")]
        report = await plane.reconcile()
        assert (report.counts["plans.applied"], report.counts["plans.removed"]) == (2, 1)
        assert {row.name for row in await records.plans()} == {"name-p2", "name-p3", "Own"}
        for answer in UNREADABLE:
            hostile.answers["GET", f"{BASE}/subscription-plans"] = answer
            assert (await plane.reconcile()).errors
        assert len(await records.plans()) == 3
        hostile.answers["GET", f"{BASE}/subscription-plans"] = (200, [])
        await plane.reconcile()
        assert {row.name for row in await records.plans()} == {"Own"}


async def test_a_short_list_of_plans_is_believed_the_second_time(site, hostile, hostile_settings, lists):
    lists.plans += [plan(f"p{number}") for number in range(20)]
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        lists.plans.clear()
        report = await plane.reconcile()
        assert report.withheld == 20
        assert len(await site.deployments.subscriptions.plans()) == 20
        assert (await plane.reconcile()).counts["plans.removed"] == 20


@pytest.mark.conforms("CP-102")
async def test_subscriptions_follow_their_lists(site, hostile, hostile_settings, lists):
    records = site.deployments.subscriptions
    await deployed(site, "a")
    own = await site.deployments.create("RestApi", rest_api("own"), correlation_id="c", actor="admin")
    await site.deployments.mark_pushed(own.row.uuid, "success", "cp-own")
    await site.deployments.create("RestApi", rest_api("unknown-there"), correlation_id="c", actor="admin")
    lists.of_api("a", listed("s1", subscriptionPlanId="p1", applicationId="app"), listed("s2"), listed("", token="x"))
    lists.of_api("cp-own", listed("s3"))
    lists.plans.append(plan("p1"))
    async with site.linked(hostile_settings(**without_deployments())) as plane:
        report = await reconciled(plane)
        assert report.counts["subscriptions.applied"] == 3
        assert (await records.get("s1")).plan_id == "p1"
        assert (await records.get("s3")).api_id == own.row.uuid
        assert len(hostile.asked("/subscriptions")) == 2, "what was never pushed is not asked for"
        request = SubscriptionRequest(api="a", token=SecretStr("made here"))
        made = await records.create(request, correlation_id="c")
        assert (await plane.reconcile()).counts["subscriptions.unchanged"] == 3
        lists.subscriptions["a"][:] = [listed("s2", status="INACTIVE")]
        report = await plane.reconcile()
        assert (report.counts["subscriptions.applied"], report.counts["subscriptions.removed"]) == (1, 1)
        assert (await records.get("s2")).status == "INACTIVE"
        for answer in UNREADABLE:
            hostile.answers["GET", f"{BASE}/apis/a/subscriptions"] = answer
            assert (await plane.reconcile()).errors
        for answer in [(404, b""), (403, b"")]:
            hostile.answers["GET", f"{BASE}/apis/a/subscriptions"] = answer
            assert (await plane.reconcile()).errors == ()
        assert {row.uuid for row in await records.list()} == {"s2", "s3", made.row.uuid}
        hostile.answers["GET", f"{BASE}/apis/a/subscriptions"] = (200, [])
        await plane.reconcile()
        assert {row.uuid for row in await records.list()} == {"s3", made.row.uuid}


async def test_lists_that_are_all_empty_are_looked_at_together(site, hostile, hostile_settings, lists):
    for number in range(8):
        await deployed(site, f"a{number}")
        lists.of_api(f"a{number}", listed(f"s{number}"))
    async with site.linked(hostile_settings(**without_deployments())) as plane:
        await reconciled(plane)
        for number in range(8):
            lists.subscriptions[f"a{number}"].clear()
        report = await plane.reconcile()
        assert report.withheld == 8
        assert len(await site.deployments.subscriptions.list()) == 8
        assert (await plane.reconcile()).counts["subscriptions.removed"] == 8


async def test_only_apis_with_subscriptions_or_use_for_them_are_asked_for_again(site, hostile, hostile_settings, lists):
    """However many APIs there are: a reconcile in which nothing changed asks for few of them, and writes nothing."""
    for uuid in ("plain", "unknown-there", "subscribed"):
        await deployed(site, uuid)
    wanting = rest_api("h-wanting")
    wanting["spec"]["policies"] = [{"name": "subscription-validation", "version": "v1"}]
    await site.deployments.apply_deploy("wanting", wanting, deployment_id="d", performed_at=None, correlation_id="c")
    for uuid in ("plain", "wanting"):
        lists.of_api(uuid)
    lists.of_api("subscribed", listed("s1"))
    async with site.linked(hostile_settings(**without_deployments())) as plane:
        await reconciled(plane)
        assert len(hostile.asked("/subscriptions")) == 4
        hostile.requests.clear()
        await plane.reconcile()
        asked = {request.path.split("/")[-2] for request in hostile.asked("/subscriptions")}
        assert asked == {"wanting", "subscribed"}


@pytest.mark.conforms("CP-090", "CP-105")
async def test_secrets_come_in_bulk_and_then_only_what_changed(site, hostile, hostile_settings, lists):
    lists.secrets += [secret("one"), secret("two"), secret("off", status="DEPRECATED"), secret("bare")]
    lists.values |= {"one": "canary-1", "two": "canary-2", "off": "canary-3"}
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        report = await reconciled(plane)
        assert (report.counts["secrets.stored"], report.counts["secrets.missing"]) == (2, 1)
        assert site.secrets.known() == {"one", "two"}
        lists.secrets[0] = secret("one", version="2")
        lists.secrets[3:] = []
        hostile.answers["GET", f"{BASE}/secrets/one/value"] = (200, {"value": "canary-new"})
        hostile.requests.clear()
        peer.abort()
        await hostile.peer()
        await until(lambda: plane.status().last_reconcile is not report)
        asked = [request.path for request in hostile.requests if "/secrets" in request.path]
        assert asked == [f"{BASE}/secrets", f"{BASE}/secrets/one/value"]
        assert site.secrets.value("one") == "canary-new"
        lists.secrets.clear()
        await plane.reconcile()
        for answer in UNREADABLE:
            hostile.answers["GET", f"{BASE}/secrets"] = answer
            assert (await plane.reconcile()).errors
        assert site.secrets.known() == {"one", "two"}, "secrets are never deleted"
        assert "canary" not in str(plane.describe())
