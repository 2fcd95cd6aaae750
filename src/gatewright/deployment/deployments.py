"""The write path as its callers see it."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gatewright.deployment.requests import ArtifactFilter, Caller, KeyEvent, KeyRequest
from gatewright.deployment.results import (
    Applied,
    Change,
    DeploymentIdMismatch,
    KeyApplied,
    KeyCreated,
    KeyIgnored,
    KeyRevoked,
    KeyStale,
    KeyUpdated,
    Refused,
    Serving,
    ServingStatus,
    Stale,
    Stored,
    Unknown,
)
from gatewright.store.rows import ApiKeyRow, ArtifactRow, OutboxRow, SyncStatus


class Deployments:
    """Everything that changes or reads artifacts and keys.

    Handlers pass parsed documents (`artifacts.parsing`), unrendered. Every method that writes may raise
    StoreUnavailable on the management side; control-plane methods return it as `Refused("STORE_UNAVAILABLE", …)`.
    A cancelled caller does not undo a write that has begun.
    """

    # -- management side -------------------------------------------------------------------------------------------

    async def create(self, kind: str, document: Mapping[str, Any], *, correlation_id: str, actor: str) -> Stored:
        """POST: always ends deployed; a pinned UUID that exists makes it an update of that row.

        Raises MalformedDocument, InvalidArtifact, TemplateError (all from `artifacts`), InvalidPin, Conflict,
        UnsupportedKind. The order of the checks is that of the management API reference, 8.3.
        """
        raise NotImplementedError

    async def update(
        self, kind: str, handle: str, document: Mapping[str, Any], *, correlation_id: str, actor: str
    ) -> Stored:
        """PUT: replaces the document; `spec.deploymentState: undeployed` takes it off the routers.

        Raises as `create`, and HandleMismatch, NotFound.
        """
        raise NotImplementedError

    async def delete(self, kind: str, handle: str, *, correlation_id: str, actor: str) -> Change:
        """Remove an artifact and its keys. Raises NotFound."""
        raise NotImplementedError

    async def get(self, kind: str, handle: str) -> ArtifactRow | None:
        """The stored artifact, read from the database."""
        raise NotImplementedError

    async def get_by_id(self, uuid: str) -> ArtifactRow | None:
        """The artifact with this local UUID."""
        raise NotImplementedError

    async def resolve(self, cp_id: str) -> ArtifactRow | None:
        """The artifact that a control plane means: by local UUID, else by `cp_artifact_id`."""
        raise NotImplementedError

    async def list(self, kind: str | None = None, filters: ArtifactFilter | None = None) -> list[ArtifactRow]:
        """Artifacts, newest first; all kinds when `kind` is None."""
        raise NotImplementedError

    # -- keys, management side -------------------------------------------------------------------------------------

    async def create_key(
        self, kind: str, handle: str, request: KeyRequest, *, caller: Caller, correlation_id: str
    ) -> KeyCreated:
        """Make or register a key; an existing name is replaced. Raises NotFound, Conflict, KeyRefused."""
        raise NotImplementedError

    async def update_key(
        self, kind: str, handle: str, name: str, request: KeyRequest, *, caller: Caller, correlation_id: str
    ) -> KeyUpdated:
        """Give an external key another value. Raises NotFound, KeyNotFound, Conflict, KeyRefused."""
        raise NotImplementedError

    async def regenerate_key(
        self, kind: str, handle: str, name: str, request: KeyRequest, *, caller: Caller, correlation_id: str
    ) -> KeyCreated:
        """A new generated value; the old one ends. Only the expiry of `request` counts.

        Raises NotFound, KeyNotFound, KeyRefused.
        """
        raise NotImplementedError

    async def revoke_key(self, kind: str, handle: str, name: str, *, caller: Caller, correlation_id: str) -> KeyRevoked:
        """End a key; an unknown name is fine. Raises NotFound, KeyRefused (neither owner nor admin)."""
        raise NotImplementedError

    async def list_keys(self, kind: str, handle: str, *, caller: Caller) -> list[ApiKeyRow]:
        """Active keys, newest first; all for an admin, else the caller's own. Raises NotFound."""
        raise NotImplementedError

    # -- control-plane side ----------------------------------------------------------------------------------------

    async def apply_deploy(
        self,
        cp_id: str,
        document: Mapping[str, Any],
        *,
        deployment_id: str,
        performed_at: datetime | None,
        correlation_id: str,
    ) -> Applied | Stale | Refused:
        """A deployment: validated, then stored when `performed_at` (None: now) is newer than what is stored."""
        raise NotImplementedError

    async def apply_undeploy(
        self, cp_id: str, *, deployment_id: str, performed_at: datetime | None, correlation_id: str
    ) -> Applied | Stale | Unknown | DeploymentIdMismatch | Refused:
        """Takes the artifact off the routers; document and keys stay."""
        raise NotImplementedError

    async def apply_status(
        self,
        uuid: str,
        *,
        state: str,
        deployment_id: str,
        deployed_at: datetime,
        correlation_id: str,
    ) -> Applied | Stale | Unknown | Refused:
        """The status update of the deployment diff: desired state, deployment id and time, without a document."""
        raise NotImplementedError

    async def apply_delete(self, cp_id: str, *, correlation_id: str) -> Applied | Unknown | Refused:
        """Removes the artifact and its keys, whatever the time. For an unknown id leftover keys are removed."""
        raise NotImplementedError

    async def apply_key(
        self, event: KeyEvent, *, update: bool = False, limited: bool = True, correlation_id: str
    ) -> KeyApplied | KeyStale | KeyIgnored:
        """`apikey.created`, or with `update` `apikey.updated`. `limited=False` for the key list (no per-user limit)."""
        raise NotImplementedError

    async def revoke_key_by_event(
        self, cp_api_id: str, key_name: str, *, correlation_id: str
    ) -> KeyRevoked | KeyIgnored:
        """`apikey.revoked`."""
        raise NotImplementedError

    async def keys_of(self, artifact_id: str) -> list[ApiKeyRow]:
        """All keys of an artifact by its local UUID."""
        raise NotImplementedError

    async def mark_pushed(
        self, uuid: str, status: SyncStatus, cp_artifact_id: str | None = None, info: str | None = None
    ) -> None:
        """Record the outcome of a push; `cp_artifact_id` None keeps the known one. An unknown artifact is ignored."""
        raise NotImplementedError

    # -- outbox ----------------------------------------------------------------------------------------------------

    @property
    def outbox_changed(self) -> asyncio.Event:
        """Set whenever an outbox row was written; the consumer clears it before it looks."""
        raise NotImplementedError

    async def outbox_due(self, target: str, now: datetime, limit: int = 100) -> list[OutboxRow]:
        """Rows that may be tried now, oldest first. `target`: `control_plane`."""
        raise NotImplementedError

    async def outbox_done(self, row_id: int) -> None:
        """The row's work is done; a newer row of the same entity stays."""
        raise NotImplementedError

    async def outbox_retry(self, row_id: int, not_before: datetime, error: str) -> None:
        """Try again later; counts an attempt."""
        raise NotImplementedError

    # -- serving ---------------------------------------------------------------------------------------------------

    async def served(self, change: Change, timeout: float) -> Serving:  # noqa: ASYNC109 - the caller's deadline
        """What the data plane makes of `change`; waits up to `timeout` seconds."""
        raise NotImplementedError

    def status(self, uuid: str) -> ServingStatus:
        """What the data plane says of an artifact, from memory."""
        raise NotImplementedError
