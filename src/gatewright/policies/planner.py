"""Decides for each route which of its policies run inside Envoy and which in the engine.

Order is meaning, so the split keeps it: either every policy of a route has a native form that fits, in the fixed order
of filters, or the complete chain goes to the engine.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gatewright.model.credentials import Credential
from gatewright.model.routes import PolicyUse, Route
from gatewright.policies.contract import NativeForm
from gatewright.policies.registry import Registry


class Plan(msgspec.Struct, frozen=True):
    """One of the two is empty."""

    native: tuple[PolicyUse, ...] = ()
    engine: tuple[PolicyUse, ...] = ()


_NOTHING = Plan()


class Planner:
    """The plans of one rendering. What credentials an API has decides too: some of them only the engine can judge."""

    def __init__(
        self, registry: Registry, credentials: Mapping[str, Sequence[Credential]], *, native_allowed: bool
    ) -> None:
        self._registry = registry
        self._credentials = credentials
        self._native_allowed = native_allowed
        self._suitable: dict[tuple[str, str, str], bool] = {}

    def plan(self, route: Route) -> Plan:
        """Split the ordered policies of a route."""
        chain = route.policies
        if not chain:
            return _NOTHING
        if self._native_allowed and self._is_native(route.api_id, chain):
            return Plan(native=chain)
        return Plan(engine=chain)

    def _is_native(self, api_id: str, chain: tuple[PolicyUse, ...]) -> bool:
        names = [use.name for use in chain]
        if len(set(names)) != len(names) or names != sorted(names):
            return False
        for use in chain:
            policy = self._registry.get(use.name, use.version)
            if policy is None or policy.native is None or use.condition:
                return False
            if not policy.native.fits(use, chain) or not self._suits(api_id, use, policy.native):
                return False
        return True

    def _suits(self, api_id: str, use: PolicyUse, native: NativeForm) -> bool:
        """Asked once for an API, however many routes it has."""
        key = (api_id, use.name, use.version)
        if key not in self._suitable:
            self._suitable[key] = native.fits_credentials(self._credentials.get(api_id, ()))
        return self._suitable[key]
