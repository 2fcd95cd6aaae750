"""Who is where: which APIs have routes in which scope, which upstreams are used by how many APIs.

Keeps the compiled APIs and says what a change touches, so that one edit re-renders one scope whatever the number of
APIs. No I/O; one owner, not for several threads at once.
"""

from collections.abc import Iterable

import msgspec

from gatewright.envoy.forms import Form, needs_flat
from gatewright.model.api import Api
from gatewright.model.routes import Route
from gatewright.model.upstreams import Upstream


class Touched(msgspec.Struct, frozen=True):
    """What a change asks for. All empty when the content is what was there before.

    `scopes`: first segments to render again, also those that have become empty. `clusters_added` must reach Envoy
    before the scopes, `clusters_removed` (names) may go only after them. `form_changed`: the listeners must change too.
    """

    scopes: tuple[str, ...] = ()
    clusters_added: tuple[Upstream, ...] = ()
    clusters_removed: tuple[str, ...] = ()
    form_changed: bool = False


class ScopeIndex:
    """The compiled APIs of the gateway by identity, by scope and by upstream."""

    def __init__(self, apis: Iterable[Api] = ()) -> None:
        self._apis: dict[str, Api] = {}
        self._by_scope: dict[str, set[str]] = {}
        self._users: dict[str, set[str]] = {}
        self._upstreams: dict[str, Upstream] = {}
        self._flat: set[str] = set()
        for api in apis:
            self.apply(api.api_id, api)

    @property
    def form(self) -> Form:
        """The form that the present APIs need."""
        return "flat" if self._flat else "scoped"

    def apply(self, api_id: str, api: Api | None) -> Touched:
        """Put an API in, replace it, or (None) take it out."""
        before, form = self._apis.get(api_id), self.form
        if before == api:
            return Touched()
        old, new = _segments(before), _segments(api)
        touched = {s for s in old.keys() | new.keys() if s is not None and old.get(s) != new.get(s)}
        removed = self._leave(before) if before is not None else {}
        added = self._enter(api) if api is not None else {}
        return Touched(
            scopes=tuple(sorted(touched)),
            clusters_added=tuple(u for name, u in added.items() if name not in removed),
            clusters_removed=tuple(name for name in removed if name not in added),
            form_changed=self.form != form,
        )

    def _enter(self, api: Api) -> dict[str, Upstream]:
        """Record an API; returns the upstreams that nobody used."""
        self._apis[api.api_id] = api
        for segment in _segments(api):
            if segment is not None:
                self._by_scope.setdefault(segment, set()).add(api.api_id)
        if needs_flat(api):
            self._flat.add(api.api_id)
        added = {}
        for upstream in api.upstreams:
            users = self._users.setdefault(upstream.name, set())
            if not users:
                added[upstream.name] = self._upstreams[upstream.name] = upstream
            users.add(api.api_id)
        return added

    def _leave(self, api: Api) -> dict[str, Upstream]:
        """Forget an API; returns the upstreams that nobody uses any more."""
        del self._apis[api.api_id]
        self._flat.discard(api.api_id)
        for segment in _segments(api):
            if segment is not None:
                self._by_scope[segment].discard(api.api_id)
                if not self._by_scope[segment]:
                    del self._by_scope[segment]
        removed = {}
        for upstream in api.upstreams:
            self._users[upstream.name].discard(api.api_id)
            if not self._users[upstream.name]:
                del self._users[upstream.name]
                removed[upstream.name] = self._upstreams.pop(upstream.name)
        return removed

    def get(self, api_id: str) -> Api | None:
        """The compiled API."""
        return self._apis.get(api_id)

    def apis(self) -> list[Api]:
        """All APIs, by identity."""
        return [self._apis[api_id] for api_id in sorted(self._apis)]

    def apis_in(self, segment: str) -> list[Api]:
        """APIs with a route in a scope, by identity."""
        return [self._apis[api_id] for api_id in sorted(self._by_scope.get(segment, ()))]

    def scopes(self) -> list[str]:
        """All first segments in use."""
        return sorted(self._by_scope)

    def scopes_of(self, api_id: str) -> list[str]:
        """The scopes that hold an API's routes, and with them its credentials."""
        return sorted(s for s in _segments(self._apis.get(api_id)) if s is not None)

    def upstreams(self) -> list[Upstream]:
        """All upstreams in use, by name."""
        return [self._upstreams[name] for name in sorted(self._upstreams)]


def _segments(api: Api | None) -> dict[str | None, list[Route]]:
    found: dict[str | None, list[Route]] = {}
    for route in api.routes if api is not None else ():
        found.setdefault(route.first_segment, []).append(route)
    return found
