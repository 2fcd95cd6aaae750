"""Stored artifacts as entries of a push. Pure. Source: control-plane protocol reference 3.13, 5.1, 5.8."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from gatewright.artifacts.metadata import read_metadata
from gatewright.store.rows import ArtifactRow
from gatewright.wire.imports import STATUS_DEPLOYED, STATUS_UNDEPLOYED, ImportEntry, entry, push_rank
from gatewright.wire.kinds import PROJECT_ANNOTATION, ArtifactKind, kind_of, needs_project
from gatewright.wire.times import Timestamp

PUSHED: Final = frozenset(
    {
        ArtifactKind.REST_API,
        ArtifactKind.LLM_PROVIDER_TEMPLATE,
        ArtifactKind.LLM_PROVIDER,
        ArtifactKind.LLM_PROXY,
        ArtifactKind.MCP,
    }
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Unsendable(msgspec.Struct, frozen=True):
    """An artifact that the control plane would refuse; `reason` is what its owner has to read."""

    reason: str


def import_entry(row: ArtifactRow, *, deleted: bool = False) -> ImportEntry | Unsendable:
    """The entry of a row; a deleted artifact is told as undeployed, for there is no message for deletions."""
    kind = kind_of(row.kind)
    if kind is None or kind not in PUSHED:
        return Unsendable(f"artifacts of kind {row.kind} are not sent to a control plane")
    if needs_project(kind) and not read_metadata(row.document).project_id:
        return Unsendable(
            f"cannot push artifact {row.uuid} (kind {row.kind}) to the control plane: "
            f'a project is required as the "{PROJECT_ANNOTATION}" metadata annotation'
        )
    template = kind is ArtifactKind.LLM_PROVIDER_TEMPLATE
    deployed = not deleted and (template or row.desired_state == "deployed")
    deployed_at = row.updated_at if template else row.deployed_at
    return entry(
        row.uuid,
        row.document,
        STATUS_DEPLOYED if deployed else STATUS_UNDEPLOYED,
        created_at=_timestamp(row.created_at),
        updated_at=_timestamp(row.updated_at),
        deployed_at=None if deployed_at is None else _timestamp(deployed_at),
    )


def ranked(rows: Iterable[ArtifactRow]) -> list[ArtifactRow]:
    """What is referred to comes first; the order inside a kind is kept."""
    return sorted(rows, key=lambda row: push_rank(row.kind))


def _timestamp(time: datetime) -> Timestamp:
    return Timestamp((time - _EPOCH) // timedelta(microseconds=1) * 1000)
