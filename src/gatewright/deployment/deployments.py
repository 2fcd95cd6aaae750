"""The write path as its callers see it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gatewright.artifacts.problems import InvalidArtifact
from gatewright.deployment import admission, artifact_writes, key_writes
from gatewright.deployment.apim_writes import ApimRecords
from gatewright.deployment.artifact_writes import Scope
from gatewright.deployment.ids import Clock, milliseconds, utc_now
from gatewright.deployment.kinds import KindRules, Prepared
from gatewright.deployment.preparation import Preparation
from gatewright.deployment.requests import ArtifactFilter, Caller, KeyEvent, KeyRequest
from gatewright.deployment.results import (
    Applied,
    Change,
    Conflict,
    DeploymentIdMismatch,
    HandleMismatch,
    KeyApplied,
    KeyCreated,
    KeyIgnored,
    KeyRefused,
    KeyRevoked,
    KeyStale,
    KeyUpdated,
    NotFound,
    Refused,
    Serving,
    ServingStatus,
    Stale,
    Stored,
    Unknown,
    UnsupportedKind,
)
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import ServingBoard
from gatewright.deployment.subscriptions import Subscriptions
from gatewright.observability.logging import get_logger
from gatewright.store import Store, StoreUnavailable, api_keys, artifacts, outbox
from gatewright.store.rows import ApiKeyRow, ArtifactHead, ArtifactRow, DesiredState, OutboxRow, SyncStatus

_ATTEMPTS: Final = 5
_T = TypeVar("_T")
_log = get_logger(__name__)

Heads = list[ArtifactHead]
Rows = list[ArtifactRow]
Keys = list[ApiKeyRow]
OutboxRows = list[OutboxRow]


class Deployments:
    """Everything that changes or reads artifacts and keys.

    Handlers pass parsed documents (`artifacts.parsing`), unrendered. Every method that writes may raise
    StoreUnavailable on the management side; control-plane methods return it as `Refused("STORE_UNAVAILABLE", …)`.
    A cancelled caller does not undo a write that has begun.
    """

    def __init__(
        self,
        store: Store,
        kinds: Iterable[KindRules],
        *,
        board: ServingBoard,
        pushes: bool,
        secrets: Secrets | None = None,
        key_limit: int = 10,
        clock: Clock = utc_now,
    ) -> None:
        """`pushes`: a control plane is configured that must hear of artifacts made here. `secrets`: for rendering.

        `key_limit`: active keys of one user on one artifact (`api_key.api_keys_per_user_per_api`).
        """
        self._store = store
        self._gateway_id = store.gateway_id
        self._kinds = {rules.kind: rules for rules in kinds}
        self._board = board
        self._pushes = pushes
        self._key_limit = key_limit
        self._clock = clock
        self._prepare = Preparation(store, secrets)
        self._outbox_changed = store.subscribe()
        self.subscriptions = Subscriptions(store, clock=clock)
        """Subscriptions, their plans and applications."""
        self.apim = ApimRecords(store, clock=clock)
        """What is known of the artifacts at API Manager."""

    # -- management side -------------------------------------------------------------------------------------------

    async def create(self, kind: str, document: Mapping[str, Any], *, correlation_id: str, actor: str) -> Stored:
        """POST: always ends deployed; a pinned UUID that exists makes it an update of that row.

        Raises MalformedDocument, InvalidArtifact, TemplateError (all from `artifacts`), InvalidPin, Conflict,
        UnsupportedKind, UnknownReference. The order of the checks is that of the management API reference, 8.3.
        """
        rules = self._rules(kind)
        pinned = admission.pin(document) if rules.traits.pinned else None
        prepared = await self._prepare(rules, document, freeze_defaults=True)
        scope = self._scope(correlation_id)
        stored = await self._write_local(
            lambda connection: artifact_writes.create(connection, scope, kind, prepared, pinned)
        )
        _log.info("artifact stored", kind=kind, handle=stored.row.handle, action=stored.change.action, actor=actor)
        return stored

    async def update(
        self, kind: str, handle: str, document: Mapping[str, Any], *, correlation_id: str, actor: str
    ) -> Stored:
        """PUT: replaces the document; `spec.deploymentState: undeployed` takes it off the routers.

        Raises as `create`, and HandleMismatch, NotFound, InUse.
        """
        rules = self._rules(kind)
        named = admission.handle(document)
        if rules.traits.fixed_handle and named and named != handle:
            raise HandleMismatch(f"handle mismatch: path has '{handle}' but YAML metadata.name has '{named}'")
        scope = self._scope(correlation_id)

        async def attempt() -> Stored:
            existing = await self.get(kind, handle)
            if existing is None:
                raise NotFound(f"{kind} with handle '{handle}' not found")
            prepared = await self._prepare(rules, document, freeze_defaults=False, replaces=existing)
            return await self._write_local(
                lambda connection: artifact_writes.update(connection, scope, kind, handle, prepared)
            )

        stored = await _unless_overtaken(attempt)
        _log.info("artifact stored", kind=kind, handle=handle, action="UPDATE", actor=actor)
        return stored

    async def install(self, kind: str, document: Mapping[str, Any]) -> Stored | None:
        """Store what belongs to the gateway itself, over whatever has that handle; None when it is there already.

        Raises as `create`.
        """
        prepared = await self._prepare(self._rules(kind), document, freeze_defaults=False)
        prepared = msgspec.structs.replace(prepared, base=None)
        existing = await self.get(kind, prepared.handle)
        if existing is not None and existing.document == prepared.document:
            return None
        scope = self._scope("")
        if existing is None:
            return await self._write_local(
                lambda connection: artifact_writes.create(connection, scope, kind, prepared, None)
            )
        return await self._write_local(
            lambda connection: artifact_writes.update(connection, scope, kind, prepared.handle, prepared)
        )

    async def delete(self, kind: str, handle: str, *, correlation_id: str, actor: str) -> Change:
        """Remove an artifact and its keys. Raises NotFound, InUse."""
        scope = self._scope(correlation_id)
        change = await self._write_local(lambda connection: artifact_writes.delete(connection, scope, kind, handle))
        _log.info("artifact deleted", kind=kind, handle=handle, actor=actor)
        return change

    async def get(self, kind: str, handle: str) -> ArtifactRow | None:
        """The stored artifact, read from the database."""
        return await self._store.read(
            lambda connection: artifacts.find_by_handle(connection, self._gateway_id, kind, handle)
        )

    async def get_by_id(self, uuid: str) -> ArtifactRow | None:
        """The artifact with this local UUID."""
        return await self._store.read(lambda connection: artifacts.find(connection, self._gateway_id, uuid))

    async def resolve(self, cp_id: str) -> ArtifactRow | None:
        """The artifact that a control plane means: by local UUID, else by `cp_artifact_id`."""
        return await self._store.read(lambda connection: artifacts.resolve(connection, self._gateway_id, cp_id))

    async def named(self, kind: str, display_name: str, version: str) -> ArtifactRow | None:
        """The artifact of this kind with this name and version, which no other one has."""
        return await self._store.read(
            lambda connection: artifacts.find_by_name(connection, self._gateway_id, kind, display_name, version)
        )

    async def list(self, kind: str | None = None, filters: ArtifactFilter | None = None) -> list[ArtifactRow]:
        """Artifacts, newest first; all kinds when `kind` is None."""
        kinds = None if kind is None else [kind]
        rows = await self._store.read(lambda connection: artifacts.everything(connection, self._gateway_id, kinds))
        return rows if filters is None else [row for row in rows if self._matches(row, filters)]

    async def heads(self) -> Heads:
        """All artifacts without their documents, oldest first."""
        return await self._store.read(lambda connection: artifacts.heads(connection, self._gateway_id))

    async def some(self, uuids: Iterable[str]) -> Rows:
        """The artifacts with these local UUIDs, in no order; missing ones are left out."""
        wanted = tuple(uuids)
        return await self._store.read(lambda connection: artifacts.some(connection, self._gateway_id, wanted))

    async def mentioning(self, kind: str, words: Iterable[str]) -> set[str]:
        """The UUIDs of artifacts of a kind whose stored document holds one of these words, wherever."""
        wanted = tuple(words)
        return await self._store.read(
            lambda connection: artifacts.mentioning(connection, self._gateway_id, kind, wanted)
        )

    async def count(self, kind: str) -> int:
        """How many artifacts of a kind there are."""
        return await self._store.read(lambda connection: artifacts.count(connection, self._gateway_id, kind))

    async def prepared(
        self, document: Mapping[str, Any], *, replaces: ArtifactRow | None, freeze_defaults: bool
    ) -> Prepared:
        """What a deployment of `document` over `replaces` would store; nothing is written.

        Raises MalformedDocument, InvalidArtifact, TemplateError, UnsupportedKind, StoreUnavailable.
        """
        rules = self._rules(str(document.get("kind") or ""))
        return await self._prepare(rules, document, freeze_defaults=freeze_defaults, replaces=replaces)

    # -- keys, management side -------------------------------------------------------------------------------------

    async def create_key(
        self, kind: str, handle: str, request: KeyRequest, *, caller: Caller, correlation_id: str
    ) -> KeyCreated:
        """Make or register a key; an existing name is replaced. Raises NotFound, Conflict, KeyRefused."""
        scope = self._scope(correlation_id)
        return await self._write_key(
            lambda connection: key_writes.create(
                connection, scope, (kind, handle), request, caller=caller, limit=self._key_limit
            )
        )

    async def update_key(
        self, kind: str, handle: str, name: str, request: KeyRequest, *, caller: Caller, correlation_id: str
    ) -> KeyUpdated:
        """Give an external key another value. Raises NotFound, KeyNotFound, Conflict, KeyRefused."""
        scope = self._scope(correlation_id)
        return await self._write_key(
            lambda connection: key_writes.update(connection, scope, (kind, handle), name, request, caller=caller)
        )

    async def regenerate_key(
        self, kind: str, handle: str, name: str, request: KeyRequest, *, caller: Caller, correlation_id: str
    ) -> KeyCreated:
        """A new generated value; the old one ends. Only the expiry of `request` counts.

        Raises NotFound, KeyNotFound, KeyRefused.
        """
        scope = self._scope(correlation_id)
        return await self._write_key(
            lambda connection: key_writes.regenerate(
                connection, scope, (kind, handle), name, request, caller=caller, limit=self._key_limit
            )
        )

    async def revoke_key(self, kind: str, handle: str, name: str, *, caller: Caller, correlation_id: str) -> KeyRevoked:
        """End a key; an unknown name is fine. Raises NotFound, KeyRefused (neither owner nor admin)."""
        scope = self._scope(correlation_id)
        return await self._write_key(
            lambda connection: key_writes.revoke(connection, scope, (kind, handle), name, caller), urgent=True
        )

    async def list_keys(self, kind: str, handle: str, *, caller: Caller) -> Keys:
        """Active keys, newest first; all for an admin, else the caller's own. Raises NotFound."""
        return await self._store.read(
            lambda connection: key_writes.visible(connection, self._gateway_id, (kind, handle), caller)
        )

    # -- control-plane side ----------------------------------------------------------------------------------------

    async def apply_deploy(
        self,
        cp_id: str,
        document: Mapping[str, Any],
        *,
        deployment_id: str,
        performed_at: datetime | None,
        correlation_id: str,
        gone: Collection[str] = (),
    ) -> Applied | Stale | Refused:
        """A deployment: validated, then stored when `performed_at` (None: now) is newer than what is stored.

        `gone`: local UUIDs of artifacts that the control plane has no more. One of its own that has the identity of
        the new one is replaced by it: what stands on it passes to the new one, its keys and subscriptions go.
        """
        kind = str(document.get("kind") or "")
        rules = self._kinds.get(kind)
        refused = admission.inadmissible(cp_id, deployment_id, kind, known=rules is not None)
        if refused is not None or rules is None:
            return refused or Refused("UNSUPPORTED_KIND", kind)
        deployed_at = self._performed(performed_at)
        scope = self._scope(correlation_id)
        try:
            return await _unless_overtaken(
                lambda: self._deploy(
                    scope, rules, cp_id, document, deployment_id=deployment_id, deployed_at=deployed_at, gone=gone
                )
            )
        except InvalidArtifact as problem:
            return await self._stale_or(admission.refused(problem), cp_id, deployed_at)
        except IntegrityError:
            return Refused("CONFLICT", "another artifact with the same identity was stored at the same moment")
        except StoreUnavailable as problem:
            return Refused("STORE_UNAVAILABLE", str(problem))

    async def apply_undeploy(
        self, cp_id: str, *, deployment_id: str, performed_at: datetime | None, correlation_id: str
    ) -> Applied | Stale | Unknown | DeploymentIdMismatch | Refused:
        """Takes the artifact off the routers; document and keys stay."""
        deployed_at = self._performed(performed_at)
        scope = self._scope(correlation_id)
        try:
            return await self._store.write(
                lambda connection: artifact_writes.apply_undeploy(
                    connection, scope, cp_id, deployment_id=deployment_id, deployed_at=deployed_at
                )
            )
        except StoreUnavailable as problem:
            return Refused("STORE_UNAVAILABLE", str(problem))

    async def apply_status(
        self,
        uuid: str,
        *,
        state: DesiredState,
        deployment_id: str,
        deployed_at: datetime,
        correlation_id: str,
    ) -> Applied | Stale | Unknown | Refused:
        """The status update of the deployment diff: desired state, deployment id and time, without a document."""
        scope = self._scope(correlation_id)
        try:
            return await self._store.write(
                lambda connection: artifact_writes.apply_status(
                    connection, scope, uuid, state, deployment_id=deployment_id, deployed_at=milliseconds(deployed_at)
                )
            )
        except StoreUnavailable as problem:
            return Refused("STORE_UNAVAILABLE", str(problem))

    async def apply_delete(self, cp_id: str, *, correlation_id: str) -> Applied | Unknown | Refused:
        """Removes the artifact and its keys, whatever the time. For an unknown id leftover keys are removed."""
        scope = self._scope(correlation_id)
        try:
            return await self._store.write(lambda connection: artifact_writes.apply_delete(connection, scope, cp_id))
        except StoreUnavailable as problem:
            return Refused("STORE_UNAVAILABLE", str(problem))

    async def apply_key(
        self, event: KeyEvent, *, update: bool = False, limited: bool = True, correlation_id: str
    ) -> KeyApplied | KeyStale | KeyIgnored:
        """`apikey.created`, or with `update` `apikey.updated`. `limited=False` for the key list (no per-user limit)."""
        scope = self._scope(correlation_id)
        limit = self._key_limit if limited else None
        try:
            return await self._store.write(
                lambda connection: key_writes.apply(connection, scope, event, is_update=update, limit=limit)
            )
        except KeyRefused as refusal:
            return KeyIgnored(refusal.reason, refusal.message)
        except IntegrityError:
            return KeyIgnored("VALUE_TAKEN", "another key of this gateway has the same value or id")
        except StoreUnavailable as problem:
            return KeyIgnored("STORE_UNAVAILABLE", str(problem))

    async def revoke_key_by_event(
        self, cp_api_id: str, key_name: str, *, correlation_id: str
    ) -> KeyRevoked | KeyIgnored:
        """`apikey.revoked`."""
        scope = self._scope(correlation_id)
        try:
            return await self._store.write(
                lambda connection: key_writes.apply_revocation(connection, scope, cp_api_id, key_name), urgent=True
            )
        except KeyRefused as refusal:
            return KeyIgnored(refusal.reason, refusal.message)
        except StoreUnavailable as problem:
            return KeyIgnored("STORE_UNAVAILABLE", str(problem))

    async def keys_of(self, artifact_id: str) -> Keys:
        """All keys of an artifact by its local UUID."""
        return await self._store.read(
            lambda connection: api_keys.of_artifact(connection, self._gateway_id, artifact_id)
        )

    async def active_keys(self) -> Keys:
        """The active keys of all artifacts, expired ones among them; in no order."""
        return await self._store.read(lambda connection: api_keys.active(connection, self._gateway_id))

    async def mark_pushed(
        self, uuid: str, status: SyncStatus, cp_artifact_id: str | None = None, info: str | None = None
    ) -> None:
        """Record the outcome of a push; `cp_artifact_id` None keeps the known one. An unknown artifact is ignored."""
        scope = self._scope("")
        await self._store.write(
            lambda connection: artifact_writes.mark_pushed(
                connection, scope, uuid, status, cp_artifact_id=cp_artifact_id, info=info
            )
        )

    # -- outbox ----------------------------------------------------------------------------------------------------

    @property
    def outbox_changed(self) -> asyncio.Event:
        """Set whenever an outbox row was written; the consumer clears it before it looks."""
        return self._outbox_changed

    async def outbox_due(self, target: str, now: datetime, limit: int = 100) -> OutboxRows:
        """Rows that may be tried now, oldest first. `target`: `control_plane`."""
        return await self._store.read(lambda connection: outbox.due(connection, self._gateway_id, target, now, limit))

    async def outbox_done(self, row_id: int) -> None:
        """The row's work is done; a newer row of the same entity stays."""
        await self._store.write(lambda connection: outbox.done(connection, self._gateway_id, row_id))

    async def outbox_retry(self, row_id: int, not_before: datetime, error: str) -> None:
        """Try again later; counts an attempt."""
        await self._store.write(
            lambda connection: outbox.retry(connection, self._gateway_id, row_id, not_before, error)
        )

    # -- serving ---------------------------------------------------------------------------------------------------

    async def served(self, change: Change, timeout: float) -> Serving:  # noqa: ASYNC109 - the caller's deadline
        """What the data plane makes of `change`; waits up to `timeout` seconds."""
        return await self._board.served(change, timeout)

    def status(self, uuid: str) -> ServingStatus:
        """What the data plane says of an artifact, from memory."""
        return self._board.status(uuid)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _rules(self, kind: str) -> KindRules:
        rules = self._kinds.get(kind)
        if rules is None:
            raise UnsupportedKind(f"artifacts of kind {kind!r} are not deployed by this gateway")
        return rules

    def _scope(self, correlation_id: str) -> Scope:
        return Scope(self._gateway_id, self._clock(), correlation_id, self._pushes)

    def _performed(self, performed_at: datetime | None) -> datetime:
        """The event's time in milliseconds; missing, or Go's zero time, is now."""
        return milliseconds(self._clock() if performed_at is None or performed_at.year <= 1 else performed_at)

    async def _deploy(
        self,
        scope: Scope,
        rules: KindRules,
        cp_id: str,
        document: Mapping[str, Any],
        *,
        deployment_id: str,
        deployed_at: datetime,
        gone: Collection[str],
    ) -> Applied | Stale | Refused:
        existing = await self.resolve(cp_id) if rules.traits.inherits else None
        prepared = await self._prepare(rules, document, freeze_defaults=True, replaces=existing)
        result = await self._store.write(
            lambda connection: artifact_writes.apply_deploy(
                connection,
                scope,
                rules.kind,
                cp_id,
                prepared,
                deployment_id=deployment_id,
                deployed_at=deployed_at,
                gone=gone,
            )
        )
        if isinstance(result, Applied) and result.succeeds:
            _log.info("artifact succeeds others", kind=rules.kind, artifact=cp_id, others=result.succeeds)
        return result

    async def _write_local(self, work: Callable[[Connection], _T]) -> _T:
        try:
            return await self._store.write(work)
        except IntegrityError:
            # Only possible when another process writes to the same database.
            raise Conflict("configuration already exists: another write with the same identity came first") from None

    async def _write_key(self, work: Callable[[Connection], _T], *, urgent: bool = False) -> _T:
        try:
            return await self._store.write(work, urgent=urgent)
        except IntegrityError:
            raise Conflict("configuration already exists: API key value already exists") from None

    async def _stale_or(self, refused: Refused, cp_id: str, deployed_at: datetime) -> Refused | Stale:
        """A document that is no longer valid but is not newer either is no failure."""
        with contextlib.suppress(StoreUnavailable):
            existing = await self.resolve(cp_id)
            if existing is not None and existing.deployed_at is not None and existing.deployed_at >= deployed_at:
                return Stale(existing)
        return refused

    def with_credentials(self, row: ArtifactRow) -> ArtifactRow:
        """The artifact with its credentials in plain form, for whom they are meant. Raises KeyFileError."""
        rules = self._kinds.get(row.kind)
        return row if rules is None else self._prepare.opened(rules, row)

    def _matches(self, row: ArtifactRow, filters: ArtifactFilter) -> bool:
        rules = self._kinds.get(row.kind)
        context = rules.context(row.document) if rules is not None and filters.context else ""
        return (
            (not filters.display_name or row.display_name == filters.display_name)
            and (not filters.version or row.version == filters.version)
            and (not filters.context or context == filters.context)
            and (not filters.state or row.desired_state == filters.state)
        )


async def _unless_overtaken(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Another write of the same artifact may come between reading what is inherited and writing; then once more."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(artifact_writes.Overtaken):
            return await attempt()
    raise StoreUnavailable("the artifact changes all the time", "Try again when other writers have finished.")
