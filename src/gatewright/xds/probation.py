"""Versions on offer when Envoy crashed: offered again one at a time, until the one that crashes it is known. Pure.

A resource that makes Envoy crash is never refused in words. Without this, a router would start Envoy and lose it again
for ever, and all APIs with it.
"""

from collections.abc import Iterable

from gatewright.envoy.resource import Resource
from gatewright.xds.keys import PUT_ORDER, ResourceKey, key_of


class Probation:
    """`on_trial` is the one version that is offered at this moment; the others wait."""

    def __init__(self) -> None:
        self.on_trial: Resource | None = None
        self._waiting: dict[ResourceKey, Resource] = {}

    def __bool__(self) -> bool:
        """Whether anything still waits."""
        return bool(self._waiting)

    def begin(self, suspects: Iterable[Resource]) -> None:
        """These were on offer; what others need is tried first."""
        for resource in sorted(suspects, key=lambda r: PUT_ORDER.index(r.type_url)):
            self._waiting[key_of(resource)] = resource

    def next(self) -> Resource | None:
        """Put the next version on trial; None while another one is, or when none waits."""
        if self.on_trial is not None or not self._waiting:
            return None
        key = next(iter(self._waiting))
        self.on_trial = self._waiting.pop(key)
        return self.on_trial

    def convicted(self) -> Resource | None:
        """Envoy has crashed: the version on trial did it."""
        culprit, self.on_trial = self.on_trial, None
        return culprit

    def heard(self, key: ResourceKey) -> None:
        """Envoy has said something about a resource: its trial is over."""
        if self.on_trial is not None and key_of(self.on_trial) == key:
            self.on_trial = None

    def replaced(self, resource: Resource) -> bool:
        """A newer version has come; True when it takes the place of one that waits."""
        key = key_of(resource)
        if key in self._waiting:
            self._waiting[key] = resource
            return True
        self.heard(key)
        return False

    def removed(self, key: ResourceKey) -> None:
        """The resource is not wanted any more."""
        self._waiting.pop(key, None)
        self.heard(key)

    def versions(self, type_url: str) -> dict[str, str]:
        """What waits, by name."""
        return {key[1]: resource.version for key, resource in self._waiting.items() if key[0] == type_url}
