"""API keys: one list per kind of artifact.

Source: control-plane protocol reference 4.6. On purpose other than the original: the list speaks only for keys that the
control plane manages (and, with an issuer configured, only for that issuer's); keys made at the gateway stay. An
empty list of an API Manager ends nothing. Equal keys cost no write.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.handlers.key_events import from_row, key_tombstone
from gatewright.controlplane.rest import CallFailed
from gatewright.controlplane.sync.contract import Circumstances
from gatewright.controlplane.sync.report import StepReport
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.controlplane.sync.traced import traced
from gatewright.deployment import KeyEvent
from gatewright.deployment.results import KeyApplied, KeyIgnored, KeyRevoked
from gatewright.observability.logging import get_logger
from gatewright.store.rows import ApiKeyRow, ArtifactHead
from gatewright.wire.apikeys import ApiKeyRow as ListedKey
from gatewright.wire.kinds import KEY_SYNC_ORDER, ArtifactKind

_MOST_ERRORS: Final = 20
_log = get_logger(__name__)


class ApiKeyStep:
    """See Step."""

    def __init__(self, tools: Tools, config: LinkConfig, shrinkage: Shrinkage) -> None:
        self._tools = tools
        self._issuer = config.issuer
        self._shrinkage = shrinkage

    def applies(self, circumstances: Circumstances) -> bool:
        """Always."""
        del circumstances
        return True

    async def run(self, circumstances: Circumstances) -> StepReport:
        """See Step."""
        counts: Counter[str] = Counter()
        errors: list[str] = []
        withheld = 0
        # Read before the lists, so that a key that arrives meanwhile does not look superfluous.
        artifacts = await self._tools.deployments.heads()
        keys = await self._tools.deployments.active_keys()
        for kind in (ArtifactKind.REST_API,) if circumstances.on_prem else KEY_SYNC_ORDER:
            known = _Known([row for row in artifacts if row.kind == kind.value], keys)
            listed = await self._tools.rest.api_keys(kind, self._issuer)
            if isinstance(listed, CallFailed):
                errors.append(str(listed))
                continue
            withheld += await self._one_kind(kind, known, listed, circumstances, counts=counts, errors=errors)
        return StepReport(name="apiKeys", counts=dict(counts), errors=tuple(errors[:_MOST_ERRORS]), withheld=withheld)

    async def _one_kind(
        self,
        kind: ArtifactKind,
        known: "_Known",
        listed: Sequence[ListedKey],
        circumstances: Circumstances,
        *,
        counts: Counter[str],
        errors: list[str],
    ) -> int:
        kept: set[str] = set()
        for row in listed:
            if not row.usable:
                continue
            if self._tools.tombstones.since(key_tombstone(row.artifact_uuid, row.name), circumstances.started):
                continue
            local_id = known.local_id(row.artifact_uuid)
            if local_id is None:
                counts["unknownArtifact"] += 1
                continue
            existing = known.find(local_id, row)
            if existing is not None:
                kept.add(existing.uuid)
            await self._put(row, existing, counts, errors)
        if circumstances.on_prem and not listed:
            # An API Manager that has just started, or of an older level, answers so too; it replays missed revocations.
            return 0
        gone = [key for key in known.managed(self._issuer) if key.uuid not in kept]
        subject = f"apiKeys.{kind.value}"
        managed = len(kept) + len(gone)
        if not self._shrinkage.believes(subject, managed, frozenset(key.uuid for key in gone)):
            _log.warning(
                "the control plane wants to end many keys at once; waiting for a second, equal answer",
                kind=kind.value,
                deletions=len(gone),
                known=managed,
            )
            return len(gone)
        for key in gone:
            correlation_id = str(uuid.uuid4())
            revocation = self._tools.deployments.revoke_key_by_event(
                key.api_id, key.name, correlation_id=correlation_id
            )
            result = await traced(revocation, correlation_id, "reconcile key", artifact=key.api_id)
            counts["revoked"] += isinstance(result, KeyRevoked)
        return 0

    async def _put(self, row: ListedKey, existing: ApiKeyRow | None, counts: Counter[str], errors: list[str]) -> None:
        try:
            event = from_row(row)
        except OverflowError:
            errors.append(f"key {row.name!r}: a time is beyond all calendars")
            return
        if existing is not None and not _differs(event, existing):
            counts["unchanged"] += 1
            return
        correlation_id = row.etag_or_derived()
        change = self._tools.deployments.apply_key(event, limited=False, correlation_id=correlation_id)
        result = await traced(change, correlation_id, "reconcile key", artifact=row.artifact_uuid)
        if isinstance(result, KeyApplied):
            counts["applied"] += 1
        elif isinstance(result, KeyIgnored):
            counts["ignored"] += 1
            errors.append(f"key {row.name!r}: {result.reason}")


class _Known:
    """Artifacts of one kind and their keys."""

    def __init__(self, artifacts: Iterable[ArtifactHead], keys: Iterable[ApiKeyRow]) -> None:
        self._local = {row.uuid: row.uuid for row in artifacts}
        self._of_control_plane = {}
        for row in artifacts:
            if row.cp_artifact_id:
                self._of_control_plane[row.cp_artifact_id] = row.uuid
        self._keys = [key for key in keys if key.api_id in self._local]
        self._by_name = {(key.api_id, key.name): key for key in self._keys}

    def local_id(self, cp_id: str) -> str | None:
        """The local UUID of an artifact that the control plane calls `cp_id`."""
        return self._local.get(cp_id) or self._of_control_plane.get(cp_id)

    def find(self, local_id: str, row: ListedKey) -> ApiKeyRow | None:
        """The stored key that a listed one stands for; a list may leave out names or ids."""
        if row.name:
            return self._by_name.get((local_id, row.name))
        alike = (key for key in self._keys if key.api_id == local_id and row.sha256.strip().lower() == key.key_hash)
        return next(alike, None)

    def managed(self, issuer: str) -> list[ApiKeyRow]:
        """Keys for which the list speaks."""
        return [key for key in self._keys if key.origin == "control_plane" and (not issuer or key.issuer == issuer)]


def _differs(event: KeyEvent, existing: ApiKeyRow) -> bool:
    """Whether storing the event would change the key."""
    if event.updated_at is not None and event.updated_at <= existing.updated_at:
        return False
    same = (existing.key_hash, existing.status, _seconds(existing.expires_at)) == (
        event.key_hash.strip().lower(),
        "active",
        _seconds(event.expires_at),
    )
    return not same


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
