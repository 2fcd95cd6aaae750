"""Parts of the benchmark in a small form: real hub, gateways, routers and requests. Nothing here is about time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bench.children import Children
from bench.plan import Plan
from bench.rows import Row
from bench.site import Site

from bench import bursts, catching_up, deploying, growth, revoking, syncing

SMALL = Plan(
    thousand=14,
    many=12,
    most=16,
    deploys=2,
    reconciles=1,
    burst=100,
    revocations=8,
    warm_up_events=50,
    events=100,
    settled_s=0.2,
    made_alone=9,
)


@pytest.fixture
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    children = Children(tmp_path)
    sizes = {name: SMALL.sizes[name] for name in request.param}
    made = Site(tmp_path, children, sizes=sizes, upstreams=5)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
        await children.close()
        children.kill()


def by_name(rows: list[Row]) -> dict[str, float]:
    values = {row.name: row.value for row in rows}
    assert len(values) == len(rows)
    assert all(row.value > 0 for row in rows if row.unit in {"s", "ms"})
    return values


@pytest.mark.parametrize("site", [()], indirect=True)
async def test_a_burst_over_a_long_way_serves_and_revocations_in_it_end_keys_at_both_routers(site: Site) -> None:
    values = by_name(await bursts.measure(site, SMALL))
    assert values["connections lost in it"] == 0
    values = by_name(await revoking.measure(site, SMALL))
    assert "revocation among 100 deployments that arrive at once: slowest of 8" in values


@pytest.mark.parametrize("site", [()], indirect=True)
async def test_apis_made_while_an_api_manager_is_away_come_to_it_within_the_pool(site: Site) -> None:
    values = by_name(await catching_up.measure(site, SMALL))
    assert 1 <= values["9 APIs made while an API Manager was away: imports at one time, at most"] <= 4


@pytest.mark.long
@pytest.mark.parametrize("site", [("few", "thousand", "most")], indirect=True)
async def test_syncs_deployments_and_memory(site: Site) -> None:
    for name in site.sizes:
        await site.fill(name)
    rows = [row for part in (syncing, deploying, growth) for row in await part.measure(site, SMALL)]
    values = by_name(rows)
    assert "reconcile of 16 unchanged APIs" in values
    assert {row.unit for row in rows} == {"s", "ms", "MB"}
