"""From stored changes to the snapshot, with routers that accept and refuse."""

import asyncio
import time
from datetime import timedelta

import pytest
from deployment_plane import KIND, WORDS, Plane, create, eventually, settled_status, update

from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Caller, KeyRequest, placement
from gatewright.deployment.credentials import Credentials
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.serving import ServingBoard
from gatewright.envoy.flat import FLAT_NAME
from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE
from gatewright.store import StoreUnavailable, changes
from gatewright.store.rows import ApiKeyRow

ALICE = Caller("alice")


async def test_a_change_is_served_and_says_so(deployments, plane, rest_api):
    async with plane.running():
        stored = await create(deployments, rest_api("orders"))
        serving = await deployments.served(stored.change, 5)
        assert (serving.state, serving.routers) == ("served", 1)
        assert "/orders" in plane.scopes()
        status = deployments.status(stored.row.uuid)
        assert (status.state, status.version) == ("served", status.serving_version)
        assert [router.state for router in status.routers] == ["accepted"]


async def test_without_a_router_a_change_is_stored(deployments, plane, rest_api):
    async with plane.running(connected=False):
        stored = await create(deployments, rest_api("orders"))
        assert (await deployments.served(stored.change, 5)).state == "stored"
        assert deployments.status(stored.row.uuid).state == "stored"


async def test_a_router_that_does_not_answer_is_a_timeout(deployments, plane, rest_api):
    async with plane.running():
        plane.router.silent = True
        stored = await create(deployments, rest_api("orders"))
        assert (await deployments.served(stored.change, 0.1)).state == "timeout"


async def test_only_what_was_touched_is_rendered_again(deployments, plane, rest_api):
    await create(deployments, rest_api("orders"))
    await create(deployments, rest_api("bills"))
    async with plane.running():
        await asyncio.sleep(0)
        plane.router.sent.clear()
        stored = await update(deployments, "orders", rest_api("orders", version="v2.0"))
        await deployments.served(stored.change, 5)
        document = rest_api("orders", version="v2.0")
        document["spec"]["operations"].pop()
        stored = await update(deployments, "orders", document)
        await deployments.served(stored.change, 5)
        assert set(plane.router.sent) <= {(SCOPE, "/orders")}
        assert plane.router.sent


async def test_undeploying_and_deleting_take_the_routes_away(deployments, plane, rest_api):
    async with plane.running():
        stored = await create(deployments, rest_api("orders"))
        document = rest_api("orders")
        document["spec"]["deploymentState"] = "undeployed"
        changed = await update(deployments, "orders", document)
        assert (await deployments.served(changed.change, 5)).state == "served"
        assert "/orders" not in plane.scopes()
        assert deployments.status(stored.row.uuid).state == "undeployed"
        await update(deployments, "orders", rest_api("orders"))
        change = await deployments.delete(KIND, "orders", correlation_id="c", actor="admin")
        assert (await deployments.served(change, 5)).state == "served"
        assert "/orders" not in plane.scopes()
        assert len(plane.snapshot.of_type(CLUSTER)) == 0
        assert deployments.status(stored.row.uuid).state == "unknown"


async def test_what_is_stored_is_served_after_a_restart(deployments, plane, rest_api):
    stored = await create(deployments, rest_api("orders"))
    undeployed = rest_api("bills")
    await create(deployments, undeployed)
    undeployed["spec"]["deploymentState"] = "undeployed"
    await update(deployments, "bills", undeployed)
    async with plane.running():
        assert (await deployments.served(stored.change, 5)).state == "served"
        assert plane.scopes() == ["/_gateway-health", "/orders"]


# -- keys ----------------------------------------------------------------------------------------------------------


async def test_keys_reach_the_scope_of_their_api_and_leave_it(deployments, plane, rest_api):
    async with plane.running():
        document = rest_api("orders")
        document["spec"]["policies"] = [
            {"name": "api-key-auth", "version": "v1", "params": {"key": "x-api-key", "in": "header"}}
        ]
        await create(deployments, document)
        created = await deployments.create_key(
            KIND, "orders", KeyRequest(name="till"), caller=ALICE, correlation_id="c"
        )
        assert (await deployments.served(created.change, 5)).state == "served"
        assert created.row.key_hash.encode() in plane.held("/orders")
        again = await deployments.regenerate_key(KIND, "orders", "till", KeyRequest(), caller=ALICE, correlation_id="c")
        assert (await deployments.served(again.change, 5)).state == "served"
        assert created.row.key_hash.encode() not in plane.held("/orders")
        assert again.row.key_hash.encode() in plane.held("/orders")
        revoked = await deployments.revoke_key(KIND, "orders", "till", caller=ALICE, correlation_id="c")
        assert (await deployments.served(revoked.change, 5)).state == "served"
        assert again.row.key_hash.encode() not in plane.held("/orders")


async def test_a_key_ends_at_its_expiry_without_any_change(deployments, plane, rest_api, clock):
    async with plane.running():
        document = rest_api("orders")
        document["spec"]["policies"] = [
            {"name": "api-key-auth", "version": "v1", "params": {"key": "x-api-key", "in": "header"}}
        ]
        await create(deployments, document)
        request = KeyRequest(name="till", expires_at=clock() + timedelta(seconds=60))
        created = await deployments.create_key(KIND, "orders", request, caller=ALICE, correlation_id="c")
        await deployments.served(created.change, 5)
        hashed = created.row.key_hash.encode()
        assert hashed in plane.held("/orders")
        clock.forward(timedelta(seconds=61))
        await eventually(lambda: hashed not in plane.held("/orders"))


def test_a_later_expiry_wins_over_the_earlier_one(clock):
    def row(seconds):
        at = clock()
        return ApiKeyRow(
            uuid="k", api_id="a", name="n", key_hash="h", masked_key="m", created_at=at, updated_at=at,
            expires_at=None if seconds is None else at + timedelta(seconds=seconds),
        )  # fmt: skip

    credentials = Credentials()
    credentials.put([row(10)], clock())
    credentials.put([row(20)], clock())
    clock.forward(timedelta(seconds=15))
    assert credentials.expire(clock()) == set()
    assert len(credentials["a"]) == 1
    clock.forward(timedelta(seconds=10))
    assert credentials.expire(clock()) == {"a"}
    assert "a" not in credentials


# -- quarantine ----------------------------------------------------------------------------------------------------


async def test_an_api_that_does_not_compile_any_more_keeps_serving_and_heals(
    make_deployments, store, gateway, clock, board, rest_api
):
    secrets = {"backend": "http://127.0.0.1:7777"}
    rules = RestApiRules(
        catalogue=PolicyCatalogue(), defaults=VhostDefaults(), renderer=Renderer(secrets.get), gateway=gateway
    )
    deployments = make_deployments()
    deployments._kinds = {KIND: rules}
    plane = Plane(store, rules, gateway, clock, board)
    async with plane.running():
        stored = await create(deployments, rest_api("orders", url='{{ secret "backend" }}'))
        other = await create(deployments, rest_api("bills"))
        await deployments.served(stored.change, 5)
        await deployments.served(other.change, 5)
        del secrets["backend"]
        plane.rollout.recompile()
        status = await settled_status(deployments, stored.row.uuid, "quarantined")
        assert status.code == "INVALID_DOCUMENT"
        assert 'secret "backend"' in status.reason
        assert status.serving_version is not None
        assert "/orders" in plane.scopes()
        assert deployments.status(other.row.uuid).state == "served"

    # The last good version serves also after a restart, while the document still does not compile.
    board = ServingBoard()
    deployments = make_deployments(board=board)
    deployments._kinds = {KIND: rules}
    plane = Plane(store, rules, gateway, clock, board)
    async with plane.running():
        assert "/orders" in plane.scopes()
        assert deployments.status(stored.row.uuid).state == "quarantined"
        secrets["backend"] = "http://127.0.0.1:7778"
        plane.rollout.recompile([stored.row.uuid])
        await settled_status(deployments, stored.row.uuid, "served")


async def test_a_refused_api_keeps_its_last_good_version_and_heals(deployments, plane, rest_api):
    async with plane.running():
        plane.router.refuses = {b"poison"}
        stored = await create(deployments, rest_api("orders"))
        await deployments.served(stored.change, 5)
        good = plane.held("/orders")
        document = rest_api("orders")
        document["spec"]["operations"][0]["path"] = "/poison"
        changed = await update(deployments, "orders", document)
        serving = await deployments.served(changed.change, 5)
        assert (serving.state, serving.reason) == ("refused", WORDS)
        status = await settled_status(deployments, stored.row.uuid, "quarantined")
        assert (status.reason, status.code) == (WORDS, "REFUSED_BY_ROUTER")
        assert status.version != status.serving_version
        assert plane.snapshot.get((SCOPE, "/orders")).body == good
        healed = await update(deployments, "orders", rest_api("orders", version="v3.0"))
        assert (await deployments.served(healed.change, 5)).state == "served"
        assert deployments.status(stored.row.uuid).state == "served"


async def test_neighbours_in_the_same_scope_are_unaffected(deployments, plane, rest_api):
    """Three APIs share the first segment; the new version of one of them is refused."""
    async with plane.running():
        plane.router.refuses = {b"poison"}
        rows = [(await create(deployments, rest_api(name, context=f"/shop/{name}"))).row for name in ("a", "b", "c")]
        await asyncio.gather(*[settled_status(deployments, row.uuid, "served") for row in rows])
        bad = rest_api("b", context="/shop/b")
        bad["spec"]["operations"][0]["path"] = "/poison"
        refused = await update(deployments, "b", bad)
        fine = await update(deployments, "c", rest_api("c", context="/shop/c2"))
        assert (await deployments.served(refused.change, 5)).state == "refused"
        assert (await deployments.served(fine.change, 5)).state == "served"
        assert deployments.status(rows[0].uuid).state == "served"
        body = plane.held("/shop")
        assert b"/shop/c2" in body
        assert b"/shop/a" in body
        assert b"/shop/b/items" in body
        assert b"poison" not in body


@pytest.mark.parametrize("root", [False, True], ids=["scoped", "beside-an-api-at-the-root"])
async def test_two_culprits_among_many_are_both_found(deployments, plane, rest_api, root):
    """An API at the root puts all into one resource; that this resource goes when it is taken back proves nothing."""
    plane.router.refuses = {b"poison"}
    rows = {}
    if root:
        everything = rest_api("root", context="/")
        everything["spec"]["operations"] = [{"method": "POST", "path": "/*"}]
        rows["root"] = (await create(deployments, everything)).row
    for name in ("a", "b", "c", "d", "e"):
        document = rest_api(name, context=f"/shop/{name}")
        if name in {"b", "d"}:
            document["spec"]["operations"][0]["path"] = "/poison"
        rows[name] = (await create(deployments, document)).row
    async with plane.running():
        wanted = {row.uuid: "quarantined" if name in {"b", "d"} else "served" for name, row in rows.items()}
        await eventually(lambda: {uuid: deployments.status(uuid).state for uuid in wanted} == wanted)
        body = plane.router.held[(ROUTES, FLAT_NAME)].body if root else plane.held("/shop")
        assert all(f"/shop/{name}/".encode() in body for name in "ace")
        assert b"poison" not in body


async def test_an_api_that_is_mended_while_it_is_searched_for_is_left_alone(deployments, plane, rest_api):
    """Two suspects; the owner of the culprit goes back to the good version in the middle of the search."""
    async with plane.running():
        plane.router.refuses = {b"poison"}
        rows = [(await create(deployments, rest_api(name, context=f"/shop/{name}"))).row for name in ("a", "b")]
        await asyncio.gather(*[settled_status(deployments, row.uuid, "served") for row in rows])
        search = plane.rollout._quarantine._isolation
        accepted = search._is_accepted
        mended = []

        async def mend_first(key, concerned):
            if not mended:
                before = plane.rollout.placement.epoch(rows[1].uuid)
                mended.append(await update(deployments, "b", rest_api("b", context="/shop/b")))
                await eventually(lambda: plane.rollout.placement.epoch(rows[1].uuid) > before)
            return await accepted(key, concerned)

        search._is_accepted = mend_first
        bad = rest_api("b", context="/shop/b")
        bad["spec"]["operations"][0]["path"] = "/poison"
        plane.router.silent = True
        epoch = plane.rollout.placement.epoch
        served = max(epoch(row.uuid) for row in rows)
        await update(deployments, "b", bad)
        await update(deployments, "a", rest_api("a", context="/shop/a2"))
        await eventually(lambda: all(epoch(row.uuid) > served for row in rows))
        plane.router.silent = False
        plane.router.changed([(SCOPE, "/shop")])
        await eventually(lambda: mended)
        assert (await deployments.served(mended[0].change, 5)).state == "served"
        for row in rows:
            await settled_status(deployments, row.uuid, "served")
        assert b"poison" not in plane.held("/shop")
        assert b"/shop/a2" in plane.held("/shop")


async def test_a_refused_cluster_takes_back_the_api_that_brought_it(deployments, plane, rest_api):
    async with plane.running():
        plane.router.refuses = {b"bad.example"}
        stored = await create(deployments, rest_api("orders"))
        await deployments.served(stored.change, 5)
        changed = await update(deployments, "orders", rest_api("orders", url="http://bad.example:1"))
        assert (await deployments.served(changed.change, 5)).state == "refused"
        await settled_status(deployments, stored.row.uuid, "quarantined")
        clusters = [resource.body for resource in plane.snapshot.of_type(CLUSTER).values()]
        assert len(clusters) == 1
        assert b"bad.example" not in clusters[0]


async def test_a_refusal_survives_a_restart_with_the_last_good_version(
    make_deployments, deployments, plane, rest_api, store, rules, gateway, clock
):
    async with plane.running():
        plane.router.refuses = {b"poison"}
        stored = await create(deployments, rest_api("orders"))
        await deployments.served(stored.change, 5)
        document = rest_api("orders")
        document["spec"]["operations"][0]["path"] = "/poison"
        await update(deployments, "orders", document)
        await settled_status(deployments, stored.row.uuid, "quarantined")
        good = plane.held("/orders")
    board = ServingBoard()
    again = Plane(store, rules, gateway, clock, board)
    again.router.refuses = {b"poison"}
    deployments = make_deployments(board=board)
    async with again.running():
        await settled_status(deployments, stored.row.uuid, "quarantined")
        await eventually(lambda: (SCOPE, "/orders") in again.router.held)
        assert again.held("/orders") == good


async def test_nobody_is_blamed_while_no_router_answers(deployments, plane, rest_api):
    plane.router.refuses = {b"poison"}
    rows = []
    for name in ("a", "b"):
        document = rest_api(name, context=f"/shop/{name}")
        document["spec"]["operations"][0]["path"] = "/poison"
        rows.append((await create(deployments, document)).row)
    async with plane.running():
        plane.router.disconnect()
        await asyncio.sleep(0.1)
        assert [deployments.status(row.uuid).state for row in rows] == ["stored", "stored"]


async def test_an_api_that_cannot_be_rendered_harms_no_other(deployments, plane, rest_api, monkeypatch, store):
    """A fault of the renderer itself, in a batch and at the start."""
    render = placement.render_changes

    def faulty(index, touched, **options):
        if any("/poison" in route.path.value for api in index.apis() for route in api.routes):
            raise RuntimeError("a fault of the renderer")
        return render(index, touched, **options)

    def faulty_all(index, **options):
        faulty(index, None, **options) if index.apis() else None
        return render_all(index, **options)

    render_all = placement.render_all
    async with plane.running():
        stored = await create(deployments, rest_api("orders"))
        await deployments.served(stored.change, 5)
        monkeypatch.setattr(placement, "render_changes", faulty)
        document = rest_api("orders")
        document["spec"]["operations"][0]["path"] = "/poison"
        bad, good = await asyncio.gather(
            update(deployments, "orders", document), create(deployments, rest_api("bills"))
        )
        assert (await deployments.served(good.change, 5)).state == "served"
        assert (await deployments.served(bad.change, 5)).state == "refused"
        status = deployments.status(stored.row.uuid)
        assert (status.state, status.code) == ("quarantined", "INTERNAL_ERROR")
        assert b"poison" not in plane.held("/orders")
    monkeypatch.setattr(placement, "render_all", faulty_all)
    again = Plane(store, next(iter(plane.rollout._kinds.values())), plane.gateway, plane.clock, ServingBoard())
    async with again.running():
        assert "/bills" in again.scopes()


# -- form, bulk ----------------------------------------------------------------------------------------------------


async def test_an_api_at_the_root_changes_the_form_and_back(deployments, plane, rest_api):
    async with plane.running():
        await create(deployments, rest_api("orders"))
        document = rest_api("root", context="/")
        document["spec"]["operations"] = [{"method": "GET", "path": "/*"}]
        stored = await create(deployments, document)
        assert (await deployments.served(stored.change, 5)).state == "served"
        await eventually(lambda: not plane.scopes())
        change = await deployments.delete(KIND, "root", correlation_id="c", actor="admin")
        assert (await deployments.served(change, 5)).state == "served"
        assert "/orders" in plane.scopes()
        assert len(plane.snapshot.of_type(LISTENER)) == 1


async def test_a_bulk_load_leaves_the_event_loop_to_others(deployments, plane, rest_api):
    await asyncio.gather(*[create(deployments, rest_api(f"api-{n}")) for n in range(400)])
    longest = 0.0
    stop = asyncio.Event()

    async def watch():
        nonlocal longest
        while not stop.is_set():
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    watching = asyncio.create_task(watch())
    async with plane.running():
        stop.set()
        await watching
        assert len(plane.scopes()) == 401
        assert plane.snapshot._updates == 1
    assert longest < 0.25  # of work in one go; about 50 ms when the interpreter is not shared with other tests


@pytest.mark.conforms("OP-063")
async def test_old_entries_of_the_feed_are_removed(deployments, plane, rest_api, clock, store):
    plane.rollout._cleanup_interval = 0.05
    plane.rollout._prune_at = 0
    await create(deployments, rest_api("orders"))
    await create(deployments, rest_api("bills"))
    clock.forward(timedelta(seconds=3601))

    async def entries():
        return await store.read(lambda connection: changes.since(connection, store.gateway_id, 0, 10))

    async with plane.running():
        async with asyncio.timeout(5):
            while len(await entries()) > 1:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)
        stored = await create(deployments, rest_api("more"))
        assert (await deployments.served(stored.change, 5)).state == "served"


async def test_a_reader_that_was_away_for_longer_than_entries_are_kept_loads_everything(
    deployments, plane, rest_api, store
):
    async with plane.running():
        gone = await create(deployments, rest_api("gone"))
        await deployments.served(gone.change, 5)
        plane.rollout._retention = 0.2
        read = store.read

        async def unavailable(work):
            raise StoreUnavailable("the disk refuses to read or write")

        store.read = unavailable
        new = await create(deployments, rest_api("new"))
        await deployments.delete(KIND, "gone", correlation_id="c", actor="a")
        await store.write(lambda connection: connection.exec_driver_sql("DELETE FROM changes"))
        await asyncio.sleep(0.3)
        store.read = read
        await eventually(lambda: plane.scopes() == ["/_gateway-health", "/new"])
        await settled_status(deployments, new.row.uuid, "served")


async def test_a_store_that_fails_for_a_while_does_not_end_the_rollout(deployments, plane, rest_api, store):
    async with plane.running():
        read, failures = store.read, 2

        async def failing(work):
            nonlocal failures
            if failures:
                failures -= 1
                raise StoreUnavailable("the disk refuses to read or write")
            return await read(work)

        store.read = failing
        stored = await create(deployments, rest_api("orders"))
        assert (await deployments.served(stored.change, 10)).state == "served"
