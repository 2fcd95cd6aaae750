"""From the change feed to the snapshot: what changed is compiled, rendered and applied, nothing else.

Two lanes: changes to keys and subscriptions go before everything else, at every step; artifacts follow in small groups.
An artifact that does not compile, or that a router refuses, is put in quarantine: its last good version serves on, its
status says why, and it heals with its next version. May touch the store (reading; keeping last good versions), the
snapshot, the board.
"""

import asyncio
import contextlib
import functools
import itertools
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.templates import referenced_secrets
from gatewright.compile import CompileError
from gatewright.deployment import metrics
from gatewright.deployment.change_traces import ChangeTraces
from gatewright.deployment.credential_lane import CredentialLane, CredentialRows, read_everything
from gatewright.deployment.credentials import Credentials
from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.kinds import KindRules, NoTraffic
from gatewright.deployment.placement import Placed, Placement, SnapshotPort
from gatewright.deployment.quarantine import Quarantine
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import DataPlane, ResourceId, Rolled, ServingBoard
from gatewright.deployment.trust import with_stored_authorities
from gatewright.envoy.resource import CLUSTER
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway
from gatewright.observability import tracing
from gatewright.observability.logging import get_logger
from gatewright.store import Store, StoreUnavailable, artifacts, changes, last_good
from gatewright.store.rows import (
    CERTIFICATE,
    CREDENTIAL_KINDS,
    SECRET,
    SUBSCRIPTION_PLAN,
    ArtifactHead,
    ArtifactRow,
    ChangeRow,
)

_GROUP = 32
_FEED_PAGE = 1000
_LOADED_AT_ONCE = 200
"""Documents in memory at the same time at the start; what many take together would stay with the process."""

_SLICE_S = 0.01
_STEP_S = 0.03
_RETRY_S = 30.0
_RETRY_PAUSE_S = 1.0
_REMEMBERED_DELETIONS = 1000
_NO_ARTIFACT = CREDENTIAL_KINDS | {CERTIFICATE, SECRET}
_log = get_logger(__name__)


class Rollout:
    """One per controller process. `load` once, then `run` until cancelled; both on the loop of the store."""

    def __init__(
        self,
        store: Store,
        kinds: Iterable[KindRules],
        snapshot: SnapshotPort,
        board: ServingBoard,
        *,
        gateway: Gateway,
        data_plane: DataPlane | None = None,
        secrets: Secrets | None = None,
        clock: Clock = utc_now,
        poll_interval: float = 3.0,
        drain_seconds: float = 600.0,
        retention: float = 3600.0,
        cleanup_interval: float = 600.0,
    ) -> None:
        """`poll_interval` seconds between looks at the feed without being woken (other processes' changes).

        `drain_seconds`: how long Envoy drains a listener that was replaced. Entries of the feed older than `retention`
        seconds are removed every `cleanup_interval` seconds. `secrets`: whose memory follows the feed.
        """
        self._store = store
        self._gateway_id = store.gateway_id
        self._kinds = {rules.kind: rules for rules in kinds}
        self._board = board
        self._clock = clock
        self._poll_interval = poll_interval
        self._credentials = Credentials()
        self.placement = Placement(
            snapshot, self._credentials, gateway=gateway, data_plane=data_plane, drain_seconds=drain_seconds
        )
        self._seq = 0
        self._lane = CredentialLane(store, self._credentials, clock)
        self._artifacts: dict[str, ChangeRow] = {}
        self._rows: dict[str, ArtifactRow | None] = {}
        self._keys_behind: dict[str, int] = {}
        self._deleted: deque[str] = deque()
        self._wake = store.subscribe()
        self._retry_at = 0.0
        self._retention = retention
        self._cleanup_interval = cleanup_interval
        self._prune_at = time.monotonic() + cleanup_interval
        self._read_at = time.monotonic()
        self._gateway = gateway
        self._gateway_changes: list[ChangeRow] = []
        self._secrets = secrets
        self._secret_changes: list[ChangeRow] = []
        self._is_gateway_due = False
        self._quarantine = Quarantine(store, self.placement, board, data_plane=data_plane, clock=clock)
        self._traces = ChangeTraces(data_plane, board, self.placement.version, shared=store.is_shared)
        if data_plane is not None:
            board.attach(data_plane, version_of=self.placement.version, model_of=self.placement.model)

    # -- start -----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Everything that is stored, in one update of the snapshot. Raises StoreUnavailable."""
        before = await self._store.read(lambda connection: changes.last_seq(connection, self._gateway_id))
        if self._secrets is not None:
            await self._secrets.load()
        heads, credentials, kept, self._seq = await self._store.read(self._read_everything)
        if self._store.is_shared:
            # What others changed between these reads is looked at again.
            self._seq = before
        self.placement.prepare(await with_stored_authorities(self._store, self._gateway))
        self._lane.load(credentials)
        self._quarantine.restore(kept)
        apis: list[Api] = []
        failed: dict[str, Rolled] = {}
        idle: dict[str, Rolled] = {}
        pause = _Pause()
        for start in range(0, len(heads), _LOADED_AT_ONCE):
            wanted = [head.uuid for head in heads[start : start + _LOADED_AT_ONCE]]
            for row in (await self._store.read(functools.partial(self._read_rows, uuids=wanted))).values():
                # What was deleted meanwhile by somebody else is in the feed.
                api = self._compiled(row) if row is not None else None
                if row is not None and isinstance(api, NoTraffic):
                    idle[row.uuid] = self._idle(api)
                elif row is not None and isinstance(api, Rolled):
                    failed[row.uuid] = api
                    api = self.placement.good.get(row.uuid)
                if isinstance(api, Api):
                    apis.append(api)
                await pause()
        await self._load_models(apis, failed)
        for head in heads:
            if head.uuid in failed:
                await self._quarantine.add(head.uuid, failed[head.uuid])
            elif head.uuid in idle:
                self._board.put(head.uuid, idle[head.uuid])
            else:
                self._board.put(head.uuid, self._rolled(head, Placed(self.placement.resources_of(head.uuid))))
            await pause()
        self._board.all_done(self._seq)
        self._quarantine.count()

    async def _load_models(self, apis: list[Api], failed: dict[str, Rolled]) -> None:
        """All at once; one that cannot be rendered is left out, whatever that costs in time."""
        try:
            await self.placement.load(apis)
        except Exception:  # noqa: BLE001 - an artifact must not keep the gateway from starting
            _log.exception("not everything can be rendered; artifacts are now loaded one by one")
            await self.placement.load([])
            for api in apis:
                _, problem = await self._place({api.api_id: api})
                failed.update(problem)

    def _read_everything(
        self, connection: Connection
    ) -> tuple[list[ArtifactHead], CredentialRows, Mapping[str, Any], int]:
        return (
            artifacts.heads(connection, self._gateway_id),
            read_everything(connection, self._gateway_id),
            last_good.everything(connection, self._gateway_id),
            changes.last_seq(connection, self._gateway_id),
        )

    # -- following the feed ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the feed until cancelled. Never ends by itself, whatever a document or the store does."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._quarantine.run())

    def recompile(self, artifact_ids: Iterable[str] | None = None) -> None:
        """Look at artifacts again although they did not change: a secret or a policy did. None: all."""
        now = self._clock()
        for uuid in list(artifact_ids) if artifact_ids is not None else self._board.artifacts():
            self._artifacts.setdefault(uuid, _again(uuid, self._seq, now))
        self._wake.set()

    def replace_gateway(self, gateway: Gateway) -> None:
        """Certificates of the configuration have changed: other listener certificates, other authorities."""
        self._gateway = gateway
        self._is_gateway_due = True
        self._wake.set()

    def close(self) -> None:
        """After `run` was cancelled."""
        self._traces.close()
        self.placement.close()

    async def _follow(self) -> None:
        told = False
        while True:
            try:
                await self._step()
                told = False
            except StoreUnavailable as problem:
                if not told:
                    _log.warning("the change feed cannot be read; traffic goes on", error=str(problem))
                told = True
                self._wake.set()
                await asyncio.sleep(_RETRY_PAUSE_S)
            except Exception:  # noqa: BLE001 - nobody else would carry changes to the routers
                _log.exception("a step of the rollout failed; the next one is tried")
                self._wake.set()
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _step(self) -> None:
        """One piece of work, the most urgent first."""
        if self._wake.is_set() or time.monotonic() - self._read_at >= self._poll_interval:
            await self._read_feed()
        if self._lane.waiting:
            await self._roll_credentials()
        elif self._is_gateway_due:
            await self._roll_gateway()
        elif self._secret_changes:
            await self._roll_secrets()
        elif self._artifacts:
            await self._roll_artifacts()
        else:
            metrics.FEED_LAG.set(0)
            self._board.all_done(self._seq)
            await self._rest()

    async def _rest(self) -> None:
        """Until there is something to do."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._until_next()):
                await self._wake.wait()
        await self._expire_keys()
        if time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _RETRY_S
            self.recompile(self._quarantine.retriable())
            await self._quarantine.drop_needless()
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + self._cleanup_interval
            await self._prune()

    async def _catch_up(self) -> None:
        """Entries may have been removed before they were read here: look at everything again."""
        _log.warning("the change feed was out of reach for longer than it is kept; everything is loaded anew")
        known, credentials = await self._store.read(
            lambda connection: (
                artifacts.identifiers(connection, self._gateway_id),
                read_everything(connection, self._gateway_id),
            )
        )
        self._lane.load(credentials)
        if self._secrets is not None:
            await self._secrets.load()
        self._is_gateway_due = True
        self.recompile({*known, *self._board.artifacts()})
        await self.placement.refresh_credentials(known)

    def _until_next(self) -> float:
        expiry = self._credentials.next_expiry()
        if expiry is None:
            return self._poll_interval
        return max(0.0, min(self._poll_interval, expiry - self._clock().timestamp()))

    async def _read_feed(self) -> None:
        self._wake.clear()
        if time.monotonic() - self._read_at > self._retention:
            await self._catch_up()
        while True:
            found, rows, forgotten = await self._store.read(self._read_page)
            if forgotten > self._seq:
                await self._catch_up()
            self._traces.read(found)
            for change in found:
                self._seq = change.seq
                if change.kind in CREDENTIAL_KINDS:
                    self._lane.add(change)
                elif change.kind == CERTIFICATE:
                    self._gateway_changes.append(change)
                    self._is_gateway_due = True
                elif change.kind == SECRET:
                    self._secret_changes.append(change)
                else:
                    self._traces.overtaken(self._artifacts.get(change.artifact_id), change)
                    self._artifacts[change.artifact_id] = change
                    self._rows.pop(change.artifact_id, None)
            self._rows.update(rows)
            if len(found) < _FEED_PAGE:
                break
        self._read_at = time.monotonic()
        oldest = min((change.at for change in (*self._lane.waiting.values(), *self._artifacts.values())), default=None)
        metrics.FEED_LAG.set(0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds()))

    def _read_page(self, connection: Connection) -> tuple[list[ChangeRow], dict[str, ArtifactRow | None], int]:
        """The next changes, and the first artifacts that they name as they are at the same moment: one hop, not two.

        And up to where entries have been removed, by whoever did it.
        """
        found = changes.since(connection, self._gateway_id, self._seq, _FEED_PAGE)
        named = dict.fromkeys(change.artifact_id for change in found if change.kind not in _NO_ARTIFACT)
        forgotten = changes.pruned_to(connection, self._gateway_id) if self._store.is_shared else 0
        return found, self._read_rows(connection, list(named)[:_GROUP]), forgotten

    def _read_rows(self, connection: Connection, uuids: Iterable[str]) -> dict[str, ArtifactRow | None]:
        wanted = dict.fromkeys(uuids)
        if not wanted:
            return {}
        return {**wanted, **{row.uuid: row for row in artifacts.some(connection, self._gateway_id, wanted)}}

    # -- credentials -----------------------------------------------------------------------------------------------

    async def _roll_credentials(self) -> None:
        taken, started = await self._lane.take(), tracing.now()
        await self.placement.refresh_credentials(taken.api_ids)
        for change in taken.changes:
            if change.kind == SUBSCRIPTION_PLAN:
                # It is nowhere itself: it is carried out when the APIs of its subscriptions are.
                self._gone(change.artifact_id, self._resources_of(taken.api_ids))
            if change.artifact_id in self._artifacts:
                # Its artifact waits in the other lane; the key serves when that one does.
                self._keys_behind[change.artifact_id] = change.seq
            else:
                self._board.done(change.artifact_id, "keys", change.seq)
            self._count(change)
        self._traces.rendered(taken.changes, started)

    def _resources_of(self, api_ids: Iterable[str]) -> tuple[ResourceId, ...]:
        return tuple({key for api_id in api_ids for key in self.placement.resources_of(api_id) if key[0] != CLUSTER})

    async def _expire_keys(self) -> None:
        concerned = self._credentials.expire(self._clock())
        if concerned:
            _log.info("keys have expired", artifacts=len(concerned))
            await self.placement.refresh_credentials(concerned)

    # -- secrets ---------------------------------------------------------------------------------------------------

    async def _roll_secrets(self) -> None:
        """Documents that name a changed secret are rendered anew; with a deleted one they serve on as they are."""
        taken, self._secret_changes = self._secret_changes, []
        started = tracing.now()
        if self._secrets is None:
            return
        try:
            await self._secrets.load()
            handles = {change.artifact_id for change in taken if change.action != "DELETE"}
            named = await self._store.read(lambda connection: self._naming(connection, handles)) if handles else []
        except StoreUnavailable:
            self._secret_changes = taken + self._secret_changes
            raise
        self.recompile(named)
        for change in taken:
            self._count(change)
        self._traces.carried(taken, started)

    def _naming(self, connection: Connection, handles: set[str]) -> list[str]:
        return [
            row.uuid
            for row in artifacts.everything(connection, self._gateway_id)
            if not handles.isdisjoint(referenced_secrets(row.document, {}))
        ]

    # -- the gateway's own -------------------------------------------------------------------------------------------

    async def _roll_gateway(self) -> None:
        """Authorities and listener certificates."""
        self._is_gateway_due = False
        started = tracing.now()
        try:
            gateway = await with_stored_authorities(self._store, self._gateway)
            resources = await self.placement.replace_gateway(gateway)
        except BaseException:
            self._is_gateway_due = True
            raise
        carried, self._gateway_changes = self._gateway_changes, []
        for change in carried:
            self._gone(change.artifact_id, resources)
            self._board.done(change.artifact_id, "artifact", change.seq)
            self._count(change)
        self._traces.rendered(carried, started)

    # -- artifacts -------------------------------------------------------------------------------------------------

    async def _roll_artifacts(self) -> None:
        group = list(itertools.islice(self._artifacts, _GROUP))
        unread = [uuid for uuid in group if uuid not in self._rows]
        if unread:
            self._rows.update(await self._store.read(lambda connection: self._read_rows(connection, unread)))
        batch: dict[str, ChangeRow] = {}
        rows: dict[str, ArtifactRow | None] = {}
        began = time.perf_counter()
        wanted: dict[str, Api | None] = {}
        failed: dict[str, Rolled] = {}
        idle: dict[str, Rolled] = {}
        pause = _Pause()
        for uuid in group:
            # The rest has to wait for the next step, because revocations may have come meanwhile.
            if batch and time.perf_counter() - began > _STEP_S:
                break
            change, row = self._artifacts.pop(uuid), self._rows.pop(uuid)
            batch[uuid], rows[uuid] = change, row
            started = tracing.now()
            api = self._compiled(row) if row is not None else None
            error = api.code or "" if isinstance(api, Rolled) else ""
            tracing.record(change.correlation_id, "compile", started, error=error)
            if isinstance(api, NoTraffic):
                idle[uuid] = self._idle(api)
                wanted[uuid] = None
            elif isinstance(api, Rolled):
                failed[uuid] = api
            else:
                wanted[uuid] = api
            if row is None:
                self._credentials.remove_api(uuid)
            await pause()
        started = tracing.now()
        placed, unrendered = await self._place(wanted)
        failed |= unrendered
        for uuid, where in placed.items():
            if uuid in idle:
                self._board.put(uuid, msgspec.structs.replace(idle[uuid], left=where.left))
            else:
                self._placed(uuid, rows.get(uuid), where)
        for uuid, problem in failed.items():
            await self._quarantine.add(uuid, problem)
        for uuid, change in batch.items():
            self._board.done(uuid, "artifact", change.seq)
            self._board.done(uuid, "keys", self._keys_behind.pop(uuid, 0))
            self._count(change)
        self._traces.rendered(batch.values(), started)
        self._quarantine.count()

    async def _place(self, wanted: Mapping[str, Api | None]) -> tuple[dict[str, Placed], dict[str, Rolled]]:
        """Into the snapshot; what cannot be rendered comes back as quarantined and takes nothing else along."""
        try:
            return await self.placement.place(wanted), {}
        except Exception as problem:  # noqa: BLE001 - whatever it is, it concerns one of these only
            if len(wanted) > 1:
                placed: dict[str, Placed] = {}
                failed: dict[str, Rolled] = {}
                for uuid, api in wanted.items():
                    one, other = await self._place({uuid: api})
                    placed |= one
                    failed |= other
                return placed, failed
            (uuid,) = wanted
            _log.exception("an artifact cannot be rendered", artifact=uuid)
            reason = f"{type(problem).__name__} while rendering; see the log"
            return {}, {uuid: Rolled("quarantined", self._clock(), code="INTERNAL_ERROR", reason=reason)}

    def _compiled(self, row: ArtifactRow) -> Api | NoTraffic | Rolled | None:
        """The model; None when it is not to be served; a quarantined status when it does not compile."""
        if row.desired_state != "deployed":
            return None
        rules = self._kinds.get(row.kind)
        if rules is None:
            return self._failed(row, "UNSUPPORTED_KIND", f"nothing here compiles artifacts of kind {row.kind}")
        started = time.perf_counter()
        try:
            compiled = rules.compile(row.document, row.uuid)
        except CompileError as problem:
            return self._failed(row, problem.code, str(problem))
        except InvalidArtifact as problem:
            return self._failed(row, "INVALID_DOCUMENT", str(problem))
        except Exception as problem:  # noqa: BLE001 - one document must never stop all others
            _log.exception("an artifact cannot be compiled", artifact=row.uuid, handle=row.handle)
            return self._failed(row, "INTERNAL_ERROR", f"{type(problem).__name__} while compiling; see the log")
        finally:
            metrics.COMPILE_SECONDS.observe(time.perf_counter() - started)
        if isinstance(compiled, Api):
            metrics.ROUTES_PER_API.observe(len(compiled.routes))
        return compiled

    def _failed(self, row: ArtifactRow, code: str, reason: str) -> Rolled:
        metrics.TRANSLATION_ERRORS.labels(code).inc()
        _log.warning("an artifact does not compile; its last good version serves on", handle=row.handle, reason=reason)
        return Rolled("quarantined", self._clock(), code=code, reason=reason)

    def _idle(self, why: NoTraffic) -> Rolled:
        return Rolled("idle", self._clock(), code=why.code, reason=why.reason)

    def _placed(self, uuid: str, row: ArtifactRow | None, where: Placed) -> None:
        if row is not None:
            self._board.put(uuid, self._rolled(row, where))
            return
        self._quarantine.forget(uuid)
        self._gone(uuid, where.left)

    def _gone(self, uuid: str, left: tuple[ResourceId, ...]) -> None:
        """Nothing is at its place; a change of it is complete when these resources are."""
        self._board.put(uuid, Rolled("deleted", self._clock(), left=left))
        self._deleted.append(uuid)
        if len(self._deleted) > _REMEMBERED_DELETIONS:
            self._board.forget(self._deleted.popleft())

    def _rolled(self, row: ArtifactHead, where: Placed) -> Rolled:
        api = self.placement.index.get(row.uuid)
        version = api.content_hash if api is not None else None
        return Rolled(
            "serving" if row.desired_state == "deployed" else "undeployed",
            self._clock(),
            version=version,
            serving_version=version,
            resources=where.resources,
            left=where.left,
        )

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _count(self, change: ChangeRow) -> None:
        if change.action in {"CREATE", "UPDATE", "DELETE"} and change.correlation_id is not _AGAIN:
            metrics.CHANGES.labels(change.kind, change.action).inc()
            metrics.ROLL_SECONDS.observe(max(0.0, (self._clock() - change.at).total_seconds()))

    async def _prune(self) -> None:
        before = self._clock() - timedelta(seconds=self._retention)
        await self._store.write(lambda connection: changes.prune(connection, self._gateway_id, before=before, keep=1))


class _Pause:
    """Gives the event loop to others when this task has had it for long enough."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def __call__(self) -> None:
        if time.perf_counter() - self._since >= _SLICE_S:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


_AGAIN = "recompiled"


def _again(uuid: str, seq: int, now: datetime) -> ChangeRow:
    """Stands for a change that is none."""
    return ChangeRow(seq=seq, kind="", entity_id=uuid, artifact_id=uuid, action="UPDATE", correlation_id=_AGAIN, at=now)
