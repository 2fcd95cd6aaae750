"""Keeps the engine's credentials in step with the router's snapshot: they travel as metadata of the routes."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from envoy.config.route.v3 import route_pb2, scoped_route_pb2

from gatewright.engine.credentials import Credentials
from gatewright.envoy.policies import ENGINE_CREDENTIALS, ENGINE_FILTER, ENGINE_SUBSCRIPTIONS
from gatewright.envoy.resource import ROUTES, SCOPE, Resource
from gatewright.model.credentials import ApiKeyCredential
from gatewright.model.subscriptions import Subscription

Key = tuple[str, str]
_MARK = ENGINE_FILTER.encode()
_decode_keys = msgspec.json.Decoder(dict[str, list[ApiKeyCredential]]).decode
_decode_subscriptions = msgspec.json.Decoder(dict[str, list[Subscription]]).decode


class SnapshotView(Protocol):
    """The part of `xds.snapshot.Snapshot` that is used here."""

    def get(self, key: Key) -> Resource | None:
        """The current resource."""
        ...

    def of_type(self, type_url: str) -> Mapping[str, Resource]:
        """All resources of a type, by name."""
        ...

    def subscribe(self, listener: Callable[[tuple[Key, ...]], None]) -> Callable[[], None]:
        """Be told which keys changed; returns what ends that."""
        ...


class Feed:
    """From the moment it is made until `close`."""

    def __init__(self, snapshot: SnapshotView, credentials: Credentials) -> None:
        self._snapshot = snapshot
        self._credentials = credentials
        self._apis_of: dict[Key, frozenset[str]] = {}
        self.close = snapshot.subscribe(self._changed)
        self._changed(tuple((type_url, name) for type_url in (SCOPE, ROUTES) for name in snapshot.of_type(type_url)))

    def _changed(self, keys: tuple[Key, ...]) -> None:
        for key in keys:
            if key[0] in {SCOPE, ROUTES}:
                self._take(key, self._snapshot.get(key))

    def _take(self, key: Key, resource: Resource | None) -> None:
        keys, subscriptions = _credentials_in(resource) if resource is not None else ({}, {})
        before = self._apis_of.pop(key, frozenset())
        if keys:
            self._apis_of[key] = frozenset(keys)
        for api_id, found in keys.items():
            self._credentials.replace(api_id, found, subscriptions.get(api_id, ()))
        gone = before - keys.keys()
        if gone:
            elsewhere = frozenset().union(*self._apis_of.values()) if self._apis_of else frozenset()
            for api_id in gone - elsewhere:
                self._credentials.forget(api_id)


def _credentials_in(resource: Resource) -> tuple[dict[str, list[ApiKeyCredential]], dict[str, list[Subscription]]]:
    """Keys and subscriptions by API. Every API that goes through the engine has an entry among the keys."""
    if _MARK not in resource.body:
        return {}, {}
    if resource.type_url == SCOPE:
        scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(resource.body)
        routes = scope.route_configuration
    else:
        routes = route_pb2.RouteConfiguration.FromString(resource.body)
    if ENGINE_FILTER not in routes.metadata.filter_metadata:
        return {}, {}
    fields = routes.metadata.filter_metadata[ENGINE_FILTER].fields
    subscriptions = fields[ENGINE_SUBSCRIPTIONS].string_value if ENGINE_SUBSCRIPTIONS in fields else ""
    return (
        _decode_keys(fields[ENGINE_CREDENTIALS].string_value),
        _decode_subscriptions(subscriptions) if subscriptions else {},
    )
