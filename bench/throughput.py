"""Requests per second: against a plain Envoy, with a key, and with many APIs. All in one set of turns."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site
from bench.slices import LoadFailed, Slice, cpu_ratio, interleaved, ratio

BARE, WITH_KEY, LAST_OF_MANY = 0.95, 0.7, 0.9


async def measure(site: Site, plan: Plan) -> list[Row]:
    """Five take turns: two plain Envoys, the last API of ten, the protected one of ten, the last one of many."""
    async with site.gateways["few"].management() as management:
        site.key = await management.create_key(site.protected("few"))
    targets = {
        "plain": site.plain_target("plain"),
        "shortest": site.plain_target("shortest"),
        "bare": site.target("few"),
        "key": site.target("few", key=True),
        "many": site.target("many"),
    }
    found = await interleaved(targets, rounds=plan.rounds, seconds=plan.slice_s, connections=plan.connections)
    failed = {name: sum(one.failed for one in slices) for name, slices in found.items()}
    if any(failed.values()):
        raise LoadFailed(f"requests have failed while throughput was measured: {failed}")
    return [*ratios(found, plan.many), *figures(found)]


def ratios(found: Mapping[str, Sequence[Slice]], many: int) -> list[Row]:
    """What has a target, and the same in CPU time of Envoy."""
    plain, shortest, bare, key, last = (found[name] for name in ("plain", "shortest", "bare", "key", "many"))
    return [
        row("throughput of a route / plain Envoy", ratio(bare, plain), "ratio", least=BARE),
        row("throughput with api-key-auth / plain Envoy", ratio(key, plain), "ratio", least=WITH_KEY),
        row(f"throughput of the last of {many} APIs / last of 10", ratio(last, bare), "ratio", least=LAST_OF_MANY),
        row("throughput of a route / plain Envoy with one prefix route", ratio(bare, shortest), "ratio"),
        row("requests per CPU second of Envoy: route / plain", cpu_ratio(bare, plain), "ratio"),
        row("requests per CPU second of Envoy: with api-key-auth / plain", cpu_ratio(key, plain), "ratio"),
        row(f"requests per CPU second of Envoy: last of {many} / last of 10", cpu_ratio(last, bare), "ratio"),
    ]


def figures(found: Mapping[str, Sequence[Slice]]) -> list[Row]:
    """The medians behind the ratios."""
    names = {
        "plain": "plain Envoy",
        "shortest": "plain Envoy with one prefix route",
        "bare": "route",
        "key": "with api-key-auth",
        "many": "last of many APIs",
    }
    rows = []
    for name, words in names.items():
        rows.append(row(f"{words}: throughput", median(one.rate for one in found[name]), "req/s", digits=0))
        rows.append(
            row(f"{words}: CPU time of Envoy", median(one.cpu_s for one in found[name]) * 1e6, "µs/req", digits=1)
        )
    return rows
