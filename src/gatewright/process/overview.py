"""What a controller knows of itself, ready for `gatewright status` and the readiness probe."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

import gatewright
from gatewright.artifacts import llm_template
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.peers import Peers
from gatewright.settings.tree import Settings
from gatewright.store import Store
from gatewright.store.rows import ArtifactRow
from gatewright.xds.delivery import Delivery, RouterState
from gatewright.xds.snapshot import Snapshot


class LinkView(Protocol):
    """What the overview shows of the link to a control plane."""

    def describe(self) -> Mapping[str, Any]:
        """State, since when, last error, last reconcile."""
        ...

    async def api_manager(self, rows: Iterable[ArtifactRow]) -> Mapping[str, Any]:
        """The sync to an API Manager; `apis` by local UUID."""
        ...

    async def plan(self, names: Sequence[str]) -> Mapping[str, Any]:
        """What a sync to the API Manager would do; `error` says why that cannot be told."""
        ...

    async def sync(self) -> Mapping[str, Any]:
        """Reconcile now; `error` says why that is impossible."""
        ...

    async def drift(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Compare with what the control plane wants; `error` says why that is impossible."""
        ...


class Overview:
    """Gathers from the rooms; holds nothing of its own but the start time."""

    def __init__(
        self,
        settings: Settings,
        *,
        snapshot: Snapshot,
        delivery: Delivery,
        deployments: Deployments,
        loaded: Callable[[], bool],
        link: LinkView,
        store: Store,
        peers: Peers,
    ) -> None:
        self._settings = settings
        self._snapshot = snapshot
        self._delivery = delivery
        self._deployments = deployments
        self._loaded = loaded
        self._link = link
        self._store = store
        self._peers = peers
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC)
        self._version = 0
        snapshot.subscribe(self._count)

    def readiness(self) -> tuple[bool, str]:
        """Ready once what is stored is in the snapshot. The control plane has no say in it."""
        if not self._loaded():
            return False, "CONFIGURATION_NOT_LOADED"
        # Routers are served from memory: that the database is away is no reason to take them from this controller.
        return True, "READY" if self._store.problem is None else "READY_WITHOUT_DATABASE"

    def snapshot_version(self) -> int:
        """Counts changes of the snapshot since the start."""
        return self._version

    async def sync(self) -> Mapping[str, Any]:
        """Reconcile with the control plane."""
        return await self._link.sync()

    async def drift(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Compare these artifacts (all when empty) with what the control plane wants."""
        return await self._link.drift(names)

    async def plan(self, names: Sequence[str]) -> Mapping[str, Any]:
        """What a sync to the API Manager would do about these APIs (all when empty)."""
        return await self._link.plan(names)

    async def status(self) -> Mapping[str, Any]:
        """Everything, as plain data."""
        is_ready, reason = self.readiness()
        rows = [row for row in await self._deployments.list() if row.kind != llm_template.KIND]
        at_apim = dict(await self._link.api_manager(rows))
        states = at_apim.pop("apis", {})
        return {
            "controller": {
                "version": gatewright.__version__,
                "gatewayId": self._settings.controller.server.gateway_id,
                "startedAt": self._started_at.isoformat(timespec="seconds"),
                "uptimeSeconds": round(time.monotonic() - self._started, 1),
                "ready": is_ready,
                "reason": reason,
                "snapshotVersion": self._version,
            },
            "database": self._database(),
            "controllers": [
                {
                    "name": peer.name,
                    "here": peer.id == self._store.process_id,
                    "holdsControlPlane": peer.holds,
                    "routers": list(peer.report.routers) if peer.report is not None else [],
                }
                for peer in self._peers.all
            ],
            "controlPlane": dict(self._link.describe()),
            "apiManager": at_apim,
            "routers": [_router(state) for state in self._delivery.routers()],
            "artifacts": [self._artifact(row, states.get(row.uuid)) for row in rows],
        }

    def _database(self) -> dict[str, Any]:
        problem = self._store.problem
        if problem is None:
            return {"where": self._store.where, "available": True}
        return {
            "where": self._store.where,
            "available": False,
            "reason": problem.message,
            "advice": problem.advice,
        }

    def _artifact(self, row: ArtifactRow, at_apim: Mapping[str, Any] | None) -> dict[str, Any]:
        serving = self._deployments.status(row.uuid)
        more = {} if at_apim is None else {"apiManager": at_apim}
        return {
            "kind": row.kind,
            "handle": row.handle,
            "id": row.uuid,
            "displayName": row.display_name,
            "version": row.version,
            "origin": row.origin,
            "desiredState": row.desired_state,
            "controlPlaneSync": row.cp_sync_status,
            "controlPlaneSyncInfo": row.cp_sync_info,
            "serving": msgspec.to_builtins(serving),
            **more,
        }

    def _count(self, _keys: object) -> None:
        self._version += 1


def _router(state: RouterState) -> dict[str, Any]:
    return {
        "id": state.router,
        "node": state.node.id,
        "relay": state.node.relay,
        "peer": state.peer,
        "connectedSince": state.connected_since.isoformat(timespec="seconds"),
        "envoyConnected": state.envoy,
        "accepted": state.accepted,
        "pending": state.pending,
        "refused": [{"resource": "/".join(refused.key), "reason": refused.reason} for refused in state.refused],
        "lastRefusal": state.last_refusal,
    }
