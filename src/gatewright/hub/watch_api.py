"""Changes of gateways and deployments as they happen: a stream of server-sent events, and waiting for an outcome."""

import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import StreamingResponse

from gatewright.hub import deployments, gateways
from gatewright.hub.services import Services
from gatewright.hub.views import Change, DeploymentView
from gatewright.hub.watching import Touched
from gatewright.wire.codec import encode

_KEEP_ALIVE: Final = 15.0
MAX_WAIT: Final = 120.0


async def stream(services: Services, _request: Request) -> StreamingResponse:
    """The present state, a `synced` mark, then every change, for as long as the client listens."""
    headers = {"cache-control": "no-store"}
    return StreamingResponse(_messages(services), media_type="text/event-stream", headers=headers)


async def settled(
    services: Services,
    *,
    artifact_id: str | None,
    gateway_id: str | None,
    wait: float,
) -> list[DeploymentView]:
    """Deployments once none of them waits for an acknowledgement, or as they are after `wait` seconds."""
    deadline = time.monotonic() + min(wait, MAX_WAIT)
    with services.watchers.subscribed() as watcher:
        changes = watcher.changes(max(0.0, deadline - time.monotonic()))
        while True:
            rows = await services.store.read(
                lambda connection: deployments.views(connection, artifact_id=artifact_id, gateway_id=gateway_id)
            )
            pending = any(row.status in deployments.PENDING for row in rows)
            if not pending or time.monotonic() >= deadline or await anext(changes, None) is None:
                return rows


async def _messages(services: Services) -> AsyncIterator[bytes]:
    with services.watchers.subscribed() as watcher:
        for message in await _everything(services):
            yield message
        async for group in watcher.changes(_KEEP_ALIVE):
            if not group:
                yield b": nothing new\n\n"
            elif None in group:
                for message in await _everything(services):
                    yield message
            else:
                for touched in dict.fromkeys(group):
                    for change in await _resolved(services, touched) if touched is not None else ():
                        yield _message(change)


async def _everything(services: Services) -> list[bytes]:
    gateway_rows = await services.store.read(gateways.listed)
    deployment_rows = await services.store.read(deployments.views)
    changes = [Change(gateway=gateways.view(row, services.connections.since(row.id))) for row in gateway_rows]
    changes.extend(Change(deployment=row) for row in deployment_rows)
    return [_message(change) for change in (*changes, Change(synced=True))]


async def _resolved(services: Services, touched: Touched) -> list[Change]:
    if touched.handle:
        return [Change(removed=touched.handle)]
    if touched.artifact_id:
        rows = await services.store.read(
            lambda connection: deployments.views(
                connection, artifact_id=touched.artifact_id, gateway_id=touched.gateway_id or None
            )
        )
        return [Change(deployment=row) for row in rows]
    found = await services.store.read(lambda connection: gateways.listed(connection, touched.gateway_id))
    return [Change(gateway=gateways.view(row, services.connections.since(row.id))) for row in found]


def _message(change: Change) -> bytes:
    return b"data: " + encode(change) + b"\n\n"
