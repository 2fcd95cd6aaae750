"""Whether anything is left in memory of what has come and gone."""

from bench import documents
from bench.edge import linked
from bench.measuring import settled
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site

MOST_MB = 5.0
"""What an allocator keeps back differs by so much from one moment to the next (measured)."""

_GATEWAY = "few"
_EVENTS_OF_A_LIFE = 5


async def measure(site: Site, plan: Plan) -> list[Row]:
    """APIs with a cluster of their own are deployed, get a key, change, lose the key and are deleted again."""
    if not plan.events:
        return []
    await _lives(site, plan.warm_up_events, "early")
    before = await _resident(site, plan.settled_s)
    await _lives(site, plan.events, "late")
    after = await _resident(site, plan.settled_s)
    events = plan.events // _EVENTS_OF_A_LIFE * _EVENTS_OF_A_LIFE
    return [
        row(
            f"growth of the {name} over {events} events",
            (after[name] - before[name]) / 1e6,
            "MB",
            most=MOST_MB,
            digits=2,
        )
        for name in before
    ]


async def _lives(site: Site, events: int, name: str) -> None:
    await site.at_once(_life(site, f"{name}-{number}", number) for number in range(events // _EVENTS_OF_A_LIFE))
    await linked(site.gateways[_GATEWAY], idle=True)


async def _life(site: Site, name: str, number: int) -> None:
    await site.hub.deploy(documents.rest_api(name, documents.silent_upstream(number), protected=True), [_GATEWAY])
    await site.hub.create_key(name, "key", created_by="somebody")
    changed = documents.rest_api(name, documents.silent_upstream(number + 1), protected=True, operations=5)
    await site.hub.deploy(changed, [_GATEWAY])
    await site.hub.revoke_key(name, "key")
    await site.hub.delete_artifact(name)


async def _resident(site: Site, quiet_s: float) -> dict[str, int]:
    gateway = site.gateways[_GATEWAY]
    return {
        "controller": await settled(gateway.pid, quiet_s=quiet_s, timeout_s=60.0),
        "Envoy": await settled(gateway.envoy_pid, quiet_s=quiet_s, timeout_s=60.0),
    }
