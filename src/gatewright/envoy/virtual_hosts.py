"""Which routes a request may take, by its Host: the plan that both forms of routing render.

The candidates of a request are the virtual hosts that match its Host, from the most to the least specific (exact,
`*.suffix`, `prefix-*`, `*`); the first with a matching route wins. Envoy itself never goes on to a second virtual host,
so each gets its own routes followed by those of every less specific one that covers it. Two patterns that overlap only
partly (`*.example.com` and `api-*`) do not cover each other: there Envoy's own choice, the suffix, decides.

The gateway's sandbox default is a wall: no request for it goes on to a less specific host, so that an API without a
sandbox answers 404 there instead of with its production upstream.

Ports in hosts are ignored on both sides, and so is letter case. Source: data-plane reference, section 3. Pure.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from gatewright.model.gateway import VirtualHosts
from gatewright.model.routes import Route

_PORT = re.compile(r":(?:[0-9]+|\*)$")


class HostPlan(msgspec.Struct, frozen=True):
    """Domains that share one ordered list of routes. Both are in a fixed order; `routes` may be empty."""

    domains: tuple[str, ...]
    routes: tuple[Route, ...]


def plan_hosts(routes: Iterable[Route], vhosts: VirtualHosts) -> list[HostPlan]:
    """The virtual hosts for a set of routes, sorted by domain."""
    own: dict[str, list[Route]] = {}
    for route in routes:
        for domain in domains_of(route.vhost, vhosts):
            own.setdefault(domain, []).append(route)
    walls = sandbox_walls(vhosts)
    for wall in walls:
        if wall not in own and any(covers(domain, wall) for domain in own):
            own[wall] = []
    ordered = {domain: sorted(found, key=_order) for domain, found in own.items()}
    grouped: dict[tuple[int, ...], tuple[list[str], list[Route]]] = {}
    for domain in sorted(ordered):
        reachable = _reachable([r for d in _chain(domain, ordered, walls) for r in ordered[d]])
        grouped.setdefault(tuple(map(id, reachable)), ([], reachable))[0].append(domain)
    return [HostPlan(tuple(domains), tuple(reachable)) for domains, reachable in grouped.values()]


def _order(route: Route) -> tuple[object, ...]:
    return (route.rank, route.api_id, route.name)


def _chain(domain: str, own: dict[str, list[Route]], walls: frozenset[str]) -> list[str]:
    """The domain itself and what a request for it may fall back to, most specific first."""
    chain = [domain]
    if domain not in walls and len(own) > 1:
        for other in sorted((d for d in own if covers(d, domain)), key=specificity):
            chain.append(other)
            if other in walls:
                break
    return chain


def _reachable(routes: list[Route]) -> list[Route]:
    """Without routes that an earlier one with the same conditions hides."""
    first: dict[object, Route] = {}
    for route in routes:
        first.setdefault((route.method, route.path, route.headers), route)
    return list(first.values())


def specificity(domain: str) -> tuple[int, int]:
    """Sort key in Envoy's order: exact, longest suffix pattern, longest prefix pattern, everything."""
    if domain == "*":
        return (3, 0)
    if domain.startswith("*"):
        return (1, -len(domain))
    return (2, -len(domain)) if domain.endswith("*") else (0, 0)


def covers(general: str, domain: str) -> bool:
    """Whether every host that `domain` matches is matched by the other, less specific `general`."""
    if domain in {general, "*"}:
        return False
    if general == "*":
        return True
    if general.startswith("*"):
        return not domain.endswith("*") and domain.endswith(general[1:])
    return general.endswith("*") and not domain.startswith("*") and domain.startswith(general[:-1])


@lru_cache(maxsize=4096)
def domains_of(vhost: str, vhosts: VirtualHosts) -> tuple[str, ...]:
    """The domains of a virtual host: itself, or the configured ones when it is a default that stands for several."""
    names: tuple[str, ...] = (vhost,)
    if vhost == vhosts.main and vhosts.main_domains:
        names = vhosts.main_domains
    elif vhost == vhosts.sandbox and vhosts.sandbox_domains:
        names = vhosts.sandbox_domains
    return tuple(dict.fromkeys(_PORT.sub("", name.strip()).lower() for name in names))


@lru_cache(maxsize=64)
def sandbox_walls(vhosts: VirtualHosts) -> frozenset[str]:
    """Domains of the sandbox default that are not domains of the main default."""
    if not vhosts.sandbox:
        return frozenset()
    return frozenset(domains_of(vhosts.sandbox, vhosts)) - frozenset(domains_of(vhosts.main, vhosts))
