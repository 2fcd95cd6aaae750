"""All policies that this gateway can run, found through installed packages."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import entry_points

from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.policies.contract import Policy

ENTRY_POINTS = "gatewright.policies"


class Registry:
    """Policies by name and full version. Immutable."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._policies = {(p.definition.name, p.definition.version): p for p in policies}
        self.catalogue = PolicyCatalogue(p.definition for p in self._policies.values())

    def __iter__(self) -> Iterator[Policy]:
        """In a stable order: by name, then version."""
        return iter(self._policies[key] for key in sorted(self._policies))

    def get(self, name: str, version: str) -> Policy | None:
        """The policy with this full version, None when the gateway has none."""
        return self._policies.get((name, version))


@cache
def installed() -> Registry:
    """Everything that installed packages offer under the entry point group. Raises what a broken package raises."""
    return Registry(point.load() for point in entry_points(group=ENTRY_POINTS))
