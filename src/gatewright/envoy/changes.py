"""From what a change touches to what must be sent and taken away, in either form."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gatewright.envoy.clusters import render_cluster
from gatewright.envoy.flat import FLAT_NAME, render_flat
from gatewright.envoy.listeners import render_listeners, render_secrets
from gatewright.envoy.resource import CLUSTER, ROUTES, Resource
from gatewright.envoy.route_configuration import HEALTH_SEGMENT
from gatewright.envoy.scope_index import ScopeIndex, Touched
from gatewright.envoy.scopes import render_health_scope, render_scope, scope_id
from gatewright.envoy.tracing import render_collector
from gatewright.model.credentials import Credential
from gatewright.model.gateway import Gateway

Credentials = Mapping[str, Sequence[Credential]]


class Changes(msgspec.Struct, frozen=True):
    """Resources to send, and identities (type URL, name) to take away.

    `remove_after_drain` may go only when Envoy has drained the filter chains of the form it has left (forms.py).
    """

    put: tuple[Resource, ...] = ()
    remove: tuple[tuple[str, str], ...] = ()
    remove_after_drain: tuple[tuple[str, str], ...] = ()


def render_changes(index: ScopeIndex, touched: Touched, *, credentials: Credentials, gateway: Gateway) -> Changes:
    """What follows from a change that the index has already taken in."""
    put = [render_cluster(upstream, gateway) for upstream in touched.clusters_added]
    remove = [(CLUSTER, name) for name in touched.clusters_removed]
    if touched.form_changed:
        return _changed_form(index, put, remove, touched, credentials=credentials, gateway=gateway)
    if index.form == "flat":
        if touched != Touched():
            put += render_flat(index.apis(), credentials=credentials, gateway=gateway)
        return Changes(tuple(put), tuple(remove))
    rendered, empty = _scopes(index, touched.scopes, credentials, gateway)
    return Changes((*put, *rendered), (*remove, *empty))


def render_all(index: ScopeIndex, *, credentials: Credentials, gateway: Gateway) -> list[Resource]:
    """The complete state: for the start, and after a change of the gateway's own settings."""
    return [
        *(render_cluster(upstream, gateway) for upstream in index.upstreams()),
        *render_collector(gateway),
        *render_secrets(gateway),
        *render_listeners(gateway, index.form),
        *_routing(index, credentials, gateway),
    ]


def render_credentials(
    index: ScopeIndex, api_ids: Iterable[str], *, credentials: Credentials, gateway: Gateway
) -> Changes:
    """What follows from changed credentials of some APIs."""
    if index.form == "flat":
        return Changes(tuple(render_flat(index.apis(), credentials=credentials, gateway=gateway)))
    segments = sorted({segment for api_id in api_ids for segment in index.scopes_of(api_id)})
    return Changes(tuple(_scopes(index, segments, credentials, gateway)[0]))


def _routing(index: ScopeIndex, credentials: Credentials, gateway: Gateway) -> list[Resource]:
    if index.form == "flat":
        return render_flat(index.apis(), credentials=credentials, gateway=gateway)
    return [render_health_scope(), *_scopes(index, index.scopes(), credentials, gateway)[0]]


def _scopes(
    index: ScopeIndex, segments: Iterable[str], credentials: Credentials, gateway: Gateway
) -> tuple[list[Resource], list[tuple[str, str]]]:
    """Rendered scopes, and the identities of those that are empty."""
    put: list[Resource] = []
    empty: list[tuple[str, str]] = []
    for segment in segments:
        rendered = render_scope(segment, index.apis_in(segment), credentials=credentials, gateway=gateway)
        put += rendered
        if not rendered:
            empty.append(scope_id(segment))
    return put, empty


def _changed_form(
    index: ScopeIndex,
    put: list[Resource],
    remove: list[tuple[str, str]],
    touched: Touched,
    *,
    credentials: Credentials,
    gateway: Gateway,
) -> Changes:
    put = [*put, *_routing(index, credentials, gateway), *render_listeners(gateway, index.form)]
    left = [(ROUTES, FLAT_NAME)]
    if index.form == "flat":
        left = [scope_id(segment) for segment in (*index.scopes(), HEALTH_SEGMENT)]
        left += [scope_id(s) for s in touched.scopes if s not in index.scopes()]
    return Changes(tuple(put), tuple(remove), tuple(left))
