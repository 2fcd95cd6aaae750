"""Artifacts that gateways made and push to the hub: matched by handle, last in wins, one bad entry harms no other.

Reference: control-plane protocol, section 6.9. No event goes back; such artifacts are read-only here.
"""

import re
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Row, insert, select, update

from gatewright.hub import deployments
from gatewright.hub.artifacts import ORIGIN_HUB
from gatewright.hub.documents import as_yaml
from gatewright.hub.store import Unit
from gatewright.hub.tables import artifacts
from gatewright.hub.tables import deployments as deployment_table
from gatewright.hub.tables import statuses as status_table
from gatewright.wire.failures import Undecodable
from gatewright.wire.imports import (
    ORIGIN_GATEWAY,
    STATUS_FAILED,
    STATUS_UNDEPLOYED,
    ImportEntry,
    ImportResult,
    push_rank,
)
from gatewright.wire.kinds import PROJECT_ANNOTATION, PROJECT_LABEL, ArtifactKind, kind_of, needs_project
from gatewright.wire.times import ZERO_TIME, Timestamp

_ACCEPTED: Final = frozenset(
    {
        ArtifactKind.REST_API,
        ArtifactKind.LLM_PROVIDER,
        ArtifactKind.LLM_PROVIDER_TEMPLATE,
        ArtifactKind.LLM_PROXY,
        ArtifactKind.MCP,
    },
)
_STATUSES: Final = {
    "deployed": deployments.DEPLOYED,
    "pending": deployments.DEPLOYING,
    "failed": deployments.FAILED,
}
_HANDLE = re.compile(r"[^\s/}\x00-\x1f\x7f]{1,255}")
_MAX_NS = 2**63 - 1


class _RefusedError(Exception):
    """One entry is refused; the text goes to the gateway."""


class _Source(msgspec.Struct, frozen=True):
    """What is read of an entry's configuration."""

    kind: ArtifactKind
    handle: str
    metadata: dict[str, Any]
    spec: dict[str, Any]

    def name(self) -> str:
        value = self.spec.get("displayName")
        return value if isinstance(value, str) else self.handle

    def version(self) -> str:
        value = self.spec.get("version")
        fallback = "v1.0" if self.kind is ArtifactKind.LLM_PROVIDER_TEMPLATE else "1.0.0"
        return value if isinstance(value, str) and value else fallback


def process(
    unit: Unit,
    gateway_id: str,
    entries: tuple[tuple[str, ImportEntry | Undecodable], ...],
    *,
    projects: tuple[str, ...],
) -> dict[str, ImportResult]:
    """Take over a batch; the answer has a result for each dpid."""
    ranked = sorted(entries, key=lambda item: _rank(item[1]))
    results: dict[str, ImportResult] = {}
    for dpid, entry in ranked:
        try:
            # A refusal in the middle of an entry must leave nothing of it behind.
            with unit.connection.begin_nested():
                results[dpid] = _take_over(unit, gateway_id, entry, projects)
        except _RefusedError as refusal:
            results[dpid] = ImportResult(
                status=STATUS_FAILED,
                origin=ORIGIN_GATEWAY,
                created_at=ZERO_TIME,
                updated_at=ZERO_TIME,
                error=str(refusal),
            )
    return results


def _take_over(
    unit: Unit,
    gateway_id: str,
    entry: ImportEntry | Undecodable,
    projects: tuple[str, ...],
) -> ImportResult:
    if isinstance(entry, Undecodable):
        raise _RefusedError(f"VALIDATION_FAILED: {entry.reason}{f' at {entry.where}' if entry.where else ''}.")
    source = _read(entry)
    if entry.status == STATUS_UNDEPLOYED:
        return _result(_undeploy(unit, gateway_id, source.handle), entry, source)
    project = _project(source, projects)
    _check_references(unit, source)
    artifact_id = _write(unit, entry, source, project)
    if source.kind is not ArtifactKind.LLM_PROVIDER_TEMPLATE:
        _record(unit, gateway_id, artifact_id, entry)
    return _result(artifact_id, entry, source)


def _read(entry: ImportEntry) -> _Source:
    if not entry.dpid:
        raise _RefusedError("VALIDATION_FAILED: dpid is required.")
    configuration = entry.configuration
    kind = kind_of(str(configuration.get("kind", "")))
    if kind not in _ACCEPTED:
        found = str(configuration.get("kind", ""))[:100]
        raise _RefusedError(f'VALIDATION_FAILED: Unsupported artifact kind "{found}".')
    metadata = configuration.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    spec = configuration.get("spec")
    handle = metadata.get("name")
    if not isinstance(handle, str) or _HANDLE.fullmatch(handle) is None:
        raise _RefusedError("VALIDATION_FAILED: metadata.name is missing or not a valid handle.")
    if entry.deployed_at is not None and not 0 <= entry.deployed_at.unix_ns <= _MAX_NS:
        raise _RefusedError("VALIDATION_FAILED: deployedAt is out of range.")
    return _Source(kind=kind, handle=handle, metadata=metadata, spec=spec if isinstance(spec, dict) else {})


def _project(source: _Source, projects: tuple[str, ...]) -> str:
    if not needs_project(source.kind):
        return ""
    for block, name in (("annotations", PROJECT_ANNOTATION), ("labels", PROJECT_LABEL)):
        values = source.metadata.get(block)
        value = values.get(name) if isinstance(values, dict) else None
        if isinstance(value, str) and value:
            if value not in projects:
                raise _RefusedError("PROJECT_NOT_FOUND: The specified project could not be found.")
            return value
    raise _RefusedError(f'VALIDATION_FAILED: A project is required for artifact kind "{source.kind}".')


def _check_references(unit: Unit, source: _Source) -> None:
    wanted: list[tuple[ArtifactKind, str, object]] = []
    if source.kind is ArtifactKind.LLM_PROVIDER:
        wanted.append((ArtifactKind.LLM_PROVIDER_TEMPLATE, "LLM provider template", source.spec.get("template")))
    if source.kind is ArtifactKind.LLM_PROXY:
        additional = source.spec.get("additionalProviders")
        providers = [source.spec.get("provider"), *(additional if isinstance(additional, list) else ())]
        wanted.extend(
            (ArtifactKind.LLM_PROVIDER, "LLM provider", item.get("id") if isinstance(item, dict) else item)
            for item in providers
        )
    for kind, label, handle in wanted:
        found = unit.connection.execute(
            select(artifacts.c.id).where(artifacts.c.kind == kind.value, artifacts.c.handle == str(handle))
        ).first()
        if found is None:
            raise _RefusedError(f'VALIDATION_FAILED: The referenced {label} "{str(handle)[:100]}" does not exist.')


def _write(unit: Unit, entry: ImportEntry, source: _Source, project: str) -> str:
    """Add the artifact, overwrite it, or leave it, by who owns it and which is newer; answers its id."""
    known = unit.connection.execute(select(artifacts).where(artifacts.c.handle == source.handle)).first()
    deployed_ns = None if entry.deployed_at is None else entry.deployed_at.unix_ns
    values: dict[str, object] = {
        "display_name": source.name(),
        "version": source.version(),
        "project": project,
        "document": as_yaml(entry.configuration),
        "deployed_ns": deployed_ns,
        "updated_at": unit.now.unix_ms,
    }
    if known is None:
        artifact_id = str(uuid.uuid4())
        unit.connection.execute(
            insert(artifacts).values(
                id=artifact_id,
                kind=source.kind.value,
                handle=source.handle,
                origin=ORIGIN_GATEWAY,
                created_at=unit.now.unix_ms,
                **values,
            ),
        )
        return artifact_id
    if known.kind != source.kind.value:
        raise _RefusedError(f'ARTIFACT_EXISTS: "{source.handle}" exists with kind {known.kind}.')
    if _is_newer(known, deployed_ns):
        unit.connection.execute(update(artifacts).where(artifacts.c.id == known.id).values(**values))
    return str(known.id)


def _is_newer(known: Row[Any], deployed_ns: int | None) -> bool:
    if known.origin == ORIGIN_HUB or deployed_ns is None:
        return False
    return bool(known.deployed_ns is None or deployed_ns > known.deployed_ns)


def _record(unit: Unit, gateway_id: str, artifact_id: str, entry: ImportEntry) -> None:
    """Keep a deployment record unless this revision is the last one recorded, and the status either way."""
    revision = entry.properties.deployment_revision if entry.properties is not None else ""
    last = unit.connection.execute(
        select(deployment_table.c.id, deployment_table.c.revision)
        .where(deployment_table.c.artifact_id == artifact_id, deployment_table.c.gateway_id == gateway_id)
        .order_by(deployment_table.c.created_at.desc(), deployment_table.c.id.desc())
        .limit(1)
    ).first()
    if last is not None and revision and last.revision == revision:
        deployment_id = str(last.id)
    else:
        content = as_yaml(entry.configuration)
        deployment_id = deployments.record(unit, artifact_id, gateway_id, content, revision=revision)
    status = _STATUSES.get(entry.status, deployments.DEPLOYED)
    deployments.set_status(
        unit,
        artifact_id,
        gateway_id,
        deployment_id=deployment_id,
        status=status,
        desired=deployments.DEPLOYED,
        performed_at=(entry.deployed_at or unit.now).unix_ms,
    )


def _undeploy(unit: Unit, gateway_id: str, handle: str) -> str:
    """Mark an artifact as undeployed on the gateway; answers its id, empty when it is unknown."""
    known = unit.connection.execute(select(artifacts.c.id).where(artifacts.c.handle == handle)).first()
    if known is None:
        return ""
    unit.connection.execute(
        update(status_table)
        .where(status_table.c.artifact_id == known.id, status_table.c.gateway_id == gateway_id)
        .values(
            status=deployments.UNDEPLOYED,
            desired=deployments.UNDEPLOYED,
            reason=None,
            updated_at=unit.now.unix_ms,
        ),
    )
    return str(known.id)


def _result(artifact_id: str, entry: ImportEntry, source: _Source) -> ImportResult:
    zero: Timestamp = ZERO_TIME
    return ImportResult(
        id=artifact_id,
        status=entry.status,
        origin=ORIGIN_GATEWAY,
        created_at=entry.created_at or zero,
        updated_at=entry.updated_at or zero,
        deployed_at=entry.deployed_at,
        deployed_version=source.version(),
    )


def _rank(entry: ImportEntry | Undecodable) -> int:
    return 99 if isinstance(entry, Undecodable) else push_rank(str(entry.configuration.get("kind", "")))
