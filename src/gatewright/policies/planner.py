"""Decides for one route which of its policies run inside Envoy and which in the engine.

Order is meaning, so the split keeps it: either every policy of a route has a native form and they fit into the fixed
order of filters, or the complete chain goes to the engine.
"""

from collections.abc import Sequence

import msgspec

from gatewright.model.routes import PolicyUse
from gatewright.policies.registry import Registry


class Plan(msgspec.Struct, frozen=True):
    """One of the two is empty."""

    native: tuple[PolicyUse, ...] = ()
    engine: tuple[PolicyUse, ...] = ()


def plan(uses: Sequence[PolicyUse], registry: Registry, *, native_allowed: bool) -> Plan:
    """Split the ordered policies of a route."""
    chain = tuple(uses)
    if native_allowed and _all_native(chain, registry):
        return Plan(native=chain)
    return Plan(engine=chain)


def _all_native(chain: tuple[PolicyUse, ...], registry: Registry) -> bool:
    names = [use.name for use in chain]
    if len(set(names)) != len(names):
        return False
    for use in chain:
        policy = registry.get(use.name, use.version)
        if policy is None or policy.native is None or use.condition:
            return False
    return names == sorted(names)
