"""`apikey.created`, `apikey.updated`, `apikey.revoked`. Never acknowledged, never logged with their payload.

Source: control-plane protocol reference 2.14.
"""

from typing import Final

from gatewright.controlplane.events import Event, Route
from gatewright.controlplane.handlers.contract import Outcome, Tools
from gatewright.controlplane.handlers.key_events import Malformed, from_event, key_tombstone
from gatewright.deployment.results import KeyApplied, KeyIgnored, KeyRevoked, KeyStale
from gatewright.wire.events import (
    API_KEY_CREATED,
    API_KEY_REVOKED,
    API_KEY_UPDATED,
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyUpdated,
)

TYPES: Final = (API_KEY_CREATED, API_KEY_UPDATED, API_KEY_REVOKED)


class ApiKeys:
    """Keys of artifacts of any kind."""

    def __init__(self, tools: Tools) -> None:
        self._deployments = tools.deployments
        self._tombstones = tools.tombstones

    def route(self, event: Event) -> Route:
        """A key needs its artifact, so it queues behind its events; a revocation waits for nobody."""
        match event.payload:
            case ApiKeyCreated(api_id=api_id, name=name):
                return Route(api_id, subject=name)
            case ApiKeyUpdated(api_id=api_id, key_name=name):
                return Route(api_id, subject=name)
            case ApiKeyRevoked(api_id=api_id, key_name=name):
                return Route(api_id, urgent=True, subject=name)
        return Route("")

    async def handle(self, event: Event, document: bytes | None = None) -> Outcome:
        """See Handler."""
        del document
        match event.payload:
            case ApiKeyCreated() | ApiKeyUpdated() as payload:
                return await self._put(event, payload)
            case ApiKeyRevoked(api_id=api_id, key_name=name):
                return await self._revoke(event, api_id, name)
        return Outcome("refused", "not a key event")

    def broken(self, event: Event, error: Exception) -> None:
        """See Handler; nobody waits for an answer."""

    async def _put(self, event: Event, payload: ApiKeyCreated | ApiKeyUpdated) -> Outcome:
        try:
            key = from_event(payload, event.user_id)
        except Malformed as problem:
            return Outcome("refused", str(problem))
        result = await self._deployments.apply_key(
            key, update=isinstance(payload, ApiKeyUpdated), correlation_id=event.correlation_id
        )
        match result:
            case KeyApplied():
                return Outcome("applied")
            case KeyStale():
                return Outcome("stale")
            case KeyIgnored():
                return _ignored(result)

    async def _revoke(self, event: Event, api_id: str, name: str) -> Outcome:
        self._tombstones.put(key_tombstone(api_id, name))
        result = await self._deployments.revoke_key_by_event(api_id, name, correlation_id=event.correlation_id)
        match result:
            case KeyRevoked(change=None):
                return Outcome("unknown")
            case KeyRevoked():
                return Outcome("applied")
            case KeyIgnored():
                return _ignored(result)


def _ignored(result: KeyIgnored) -> Outcome:
    if result.reason == "UNKNOWN_ARTIFACT":
        return Outcome("unknown", result.message)
    return Outcome(
        "failed" if result.reason == "STORE_UNAVAILABLE" else "refused", f"{result.reason}: {result.message}"
    )
