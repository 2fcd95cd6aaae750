"""API Manager that refuses, stumbles, is slow or away: attempts are counted, failures visible, nothing is forgotten."""

import asyncio
import itertools
import json
from datetime import UTC, datetime

import pytest
from apim_lab import ids, until
from controlplane_lab import rest_api

from gatewright.observability.redaction import mask_secrets


@pytest.mark.conforms("AP-062", "AP-063", "CP-151")
@pytest.mark.parametrize("status", [500, 503, 409])
async def test_three_attempts_then_failed(shop, status):
    shop.turn(import_mode=f"{status}:3")
    await shop.create()
    row = await shop.settled(status="failed")
    assert len(shop.imports()) == 3
    wanted = (
        "on-prem APIM service unavailable (503)" if status == 503 else f"API import failed with status {status}: {{"
    )
    assert row.cp_sync_info.startswith(wanted)
    state = await shop.state()
    assert state["reason"] == row.cp_sync_info
    assert datetime.fromisoformat(state["nextTryAt"]) > datetime.now(UTC)
    shop.turn(import_mode=f"{status}:2")
    await shop.change("orders", rest_api("orders", context="/again"))
    await shop.settled()
    assert len(shop.imports()) == 6


async def test_a_failure_that_passes_heals_by_itself(shop):
    shop.turn(import_mode="503:3")
    await shop.create()
    await until(lambda: len(shop.imports()) >= 4)
    await shop.settled()
    assert "reason" not in await shop.state()


async def test_api_manager_says_when_to_come_back(shop):
    shop.turn(import_mode="503:1", retry_after="30")
    await shop.create()
    await shop.settled(status="failed")
    assert len(shop.imports()) == 1, "the turn ends when the wait is long"
    wait = datetime.fromisoformat((await shop.state())["nextTryAt"]) - datetime.now(UTC)
    assert 20 < wait.total_seconds() <= 30


@pytest.mark.conforms("AP-046")
async def test_an_answer_without_ids_fails_and_is_not_sent_again_at_once(shop):
    shop.turn(import_mode="text:1")
    await shop.create()
    row = await shop.settled(status="failed")
    assert row.cp_sync_info.startswith("failed to parse import response")
    assert len(shop.imports()) == 1
    (api,) = await shop.apim.client.apis("name:orders")
    assert len(await shop.apim.client.revisions(api["id"])) == 1


async def test_an_empty_answer_is_a_success_whose_ids_are_looked_up(shop):
    shop.turn(import_mode="empty:1")
    await shop.create()
    row = await shop.settled()
    (api,) = await shop.apim.client.apis("name:orders")
    assert row.cp_artifact_id == api["id"]


@pytest.mark.conforms("AP-029")
async def test_without_credentials_nobody_is_asked(opened):
    async with opened(apim_oauth2_client_id="", apim_oauth2_client_secret="") as shop:
        await shop.create()
        row = await shop.settled(status="failed")
        assert "no authentication method configured" in row.cp_sync_info
        assert not shop.tokens()
        overview = await shop.plane.bottom_up.overview([row])
        assert "apim_oauth2_client_id" in overview["lacking"][0]
        assert overview["totals"] == {"pending": 0, "synced": 0, "failed": 1}


@pytest.mark.conforms("AP-030")
async def test_a_refused_client_fails_after_three_requests(shop):
    shop.turn(token_mode="401:3")
    await shop.create()
    row = await shop.settled(status="failed")
    assert "unexpected status 401" in row.cp_sync_info
    assert len(shop.tokens()) == 3
    assert not shop.imports()


@pytest.mark.conforms("AP-031")
@pytest.mark.parametrize("mode", ["malformed", "no_token"])
async def test_a_token_answer_that_is_none_fails(shop, mode):
    shop.turn(token_mode=f"{mode}:3")
    await shop.create()
    row = await shop.settled(status="failed")
    assert "OAuth2 token generation failed" in row.cp_sync_info
    assert not shop.imports()


async def test_a_token_that_is_refused_is_renewed_once(shop):
    first = ids(await shop.synced())
    await shop.apim.client.end_access_tokens()
    await shop.change("orders", rest_api("orders", context="/changed"))
    await until(lambda: len(shop.imports()) == 2)
    row = await shop.settled()
    assert ids(row)["id"] == first["id"]
    assert len(shop.tokens()) == 2


@pytest.mark.conforms("AP-059", "AP-097", "CP-153")
async def test_a_deletion_does_not_wait_for_ever_and_is_not_forgotten(opened):
    async with opened() as shop:
        api = ids(await shop.synced())
        shop.turn(import_mode="500:3")
        await shop.change("orders", rest_api("orders", context="/changed"))
        row = await shop.settled(status="failed")
        assert ids(row) == api, "ids are kept when a sync fails"
        shop.turn(undeploy_mode="500")
        await shop.delete("orders")
        assert len(shop.undeploys()) == 3
        assert await shop.row() is None
        overview = await shop.plane.bottom_up.overview([])
        assert overview["departing"][0]["displayName"] == "orders"
        assert await shop.deployed_revisions(api["id"]) == [api["revision"]]
        shop.turn(undeploy_mode="201")
    async with opened() as shop:
        await until(lambda: _nothing_deployed(shop, api["id"]))
        await until(lambda: _nothing_departs(shop))


async def _nothing_deployed(shop, api_id):
    return not await shop.deployed_revisions(api_id)


async def _nothing_departs(shop):
    return not (await shop.plane.bottom_up.overview([]))["departing"]


async def test_an_api_comes_back_while_its_deletion_still_fails_there(opened):
    async with opened() as shop:
        first = ids(await shop.synced())
        shop.turn(undeploy_mode="500")
        await shop.delete("orders")
        await shop.create("orders", context="/again")
        assert (await shop.plane.plan([]))["apis"][0]["action"] in {"update", "none"}
        second = ids(await shop.settled())
        assert second["id"] == first["id"]
        assert await shop.deployed_revisions(first["id"]) == [second["revision"]]
        shop.turn(undeploy_mode="201")
        await shop.plane.sync()
        await until(lambda: _nothing_departs(shop))
        assert await shop.deployed_revisions(first["id"]) == [second["revision"]]
        assert await shop.status() == "success"


@pytest.mark.conforms("AP-096")
async def test_a_deletion_while_the_link_is_down_still_tries(shop):
    await shop.synced()
    shop.apim.recorder.clear()
    shop.turn(ws_reject="401", undeploy_mode="500")
    shop.plane.on_unlinked()
    await shop.delete("orders")
    assert len(shop.undeploys()) == 3
    assert await shop.row() is None


@pytest.mark.conforms("AP-008")
async def test_no_secret_in_a_log_or_a_status(shop, capsys, credentials):
    shop.turn(token_mode="401:1", import_mode="500:1")
    await shop.synced()
    shop.turn(token_mode="malformed:3")
    await shop.apim.client.end_access_tokens()
    await shop.change("orders", rest_api("orders", context="/changed"))
    await shop.settled(status="failed")
    secret = credentials["apim_oauth2_client_secret"]
    told = capsys.readouterr()
    assert secret not in told.out + told.err
    assert "Bearer" not in told.out + told.err
    assert mask_secrets(secret) != secret
    assert secret not in json.dumps(await shop.state())


@pytest.mark.conforms("AP-068")
async def test_with_a_pool_of_one_imports_do_not_overlap(opened):
    async with opened(apim_sync_pool_size=1) as shop:
        await asyncio.gather(*(shop.create(f"api-{number}") for number in range(4)))
        for number in range(4):
            await shop.settled(f"api-{number}")
        calls = [request.path.rsplit("/", 1)[-1] for request in shop.publisher_calls()]
        # Between two imports there is always the look at what the first one made.
        assert all(pair != ("import", "import") for pair in itertools.pairwise(calls))


async def test_the_pool_bounds_what_is_done_at_once(opened):
    async with opened(apim_sync_pool_size=3) as shop:
        busy = most = 0
        publisher = shop.plane.bottom_up._sync._turns._tools.publisher
        original = publisher.import_archive

        async def counted(*arguments):
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.05)
            try:
                return await original(*arguments)
            finally:
                busy -= 1

        publisher.import_archive = counted
        await asyncio.gather(*(shop.create(f"api-{number}") for number in range(9)))
        for number in range(9):
            await shop.settled(f"api-{number}")
        assert most == 3


@pytest.mark.conforms("AP-069")
async def test_nothing_is_dropped_when_the_queue_is_short(opened):
    async with opened(apim_sync_pool_size=1, apim_sync_queue_size=1) as shop:
        await asyncio.gather(*(shop.create(f"api-{number}") for number in range(5)))
        for number in range(5):
            await shop.settled(f"api-{number}")


async def test_a_sync_that_somebody_asks_for_comes_at_once(shop):
    shop.turn(import_mode="409:3")
    await shop.create()
    await shop.settled(status="failed")
    await shop.plane.sync()
    await shop.settled()


async def test_while_apart_nobody_looks_all_the_time(shop):
    """What was due long ago waits for the link, not for the next look."""
    shop.turn(import_mode="409:3")
    await shop.create()
    await shop.settled(status="failed")
    sync = shop.plane.bottom_up._sync
    sync.disconnect()
    (row,) = await sync._records.queued()
    await shop.site.deployments.outbox_retry(row.id, datetime(2020, 1, 1, tzinfo=UTC), "long ago")
    await until(lambda: not sync._deployments.outbox_changed.is_set())
    looks, original = [], sync._records.ready

    async def counted(*arguments, **named):
        looks.append(arguments)
        return await original(*arguments, **named)

    sync._records.ready = counted
    sync.hurry()
    await until(lambda: looks)
    await asyncio.sleep(1.0)
    assert len(looks) < 5
    sync.connect()
    await shop.settled()
