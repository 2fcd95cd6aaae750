"""Where the configuration of policies' filters stands: on the route, or once on the virtual host that all agree on.

Every entry on a route costs memory for each Envoy route it becomes, and most APIs have the same policies on all their
operations, so what all routes of a virtual host share moves up to it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gatewright.envoy.policies import Configuration, PolicyKey, native_uses, route_config
from gatewright.model.gateway import Gateway
from gatewright.model.routes import Route
from gatewright.policies.planner import Planner


class Placed(msgspec.Struct, frozen=True):
    """`shared` goes to the virtual host, `own[i]` to the route with that index."""

    shared: Configuration
    own: tuple[Configuration, ...]


def place(routes: Sequence[Route], plans: Planner, gateway: Gateway, off: Mapping[PolicyKey, Configuration]) -> Placed:
    """Configurations of the routes of one virtual host.

    `off` is what a route must carry to be left alone by filters that its whole route configuration switches on, for
    each policy that it does not use there.
    """
    wanted = [_wanted(route, plans, gateway, off) for route in routes]
    if not any(wanted):
        return Placed({}, tuple(wanted))
    first = wanted[0]
    shared = {
        name: config
        for name, config in first.items()
        if all(name in other and other[name].value == config.value for other in wanted)
    }
    return Placed(shared, tuple({n: c for n, c in one.items() if n not in shared} for one in wanted))


def _wanted(route: Route, plans: Planner, gateway: Gateway, off: Mapping[PolicyKey, Configuration]) -> Configuration:
    config = route_config(route, plans, gateway)
    if not off:
        return config
    used = native_uses(route, plans)
    left_alone = {name: one for key, switched in off.items() if key not in used for name, one in switched.items()}
    return {**left_alone, **config}
