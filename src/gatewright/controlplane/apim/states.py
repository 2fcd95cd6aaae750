"""How far each API is on its way to API Manager, for the management API, `gatewright status` and people. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gatewright.store.apim_records import ApimRecord
from gatewright.store.rows import ArtifactRow, OutboxRow


def state(row: ArtifactRow, record: ApimRecord | None, queued: OutboxRow | None) -> dict[str, Any] | None:
    """One API, ready for JSON; None for one that API Manager owns.

    `state`: pending, synced or failed. `nextTryAt` is missing when only a change of the API can help.
    """
    if row.origin != "gateway_api":
        return None
    status = row.cp_sync_status or "pending"
    found: dict[str, Any] = {"state": "synced" if status == "success" else status}
    if record is not None:
        found |= {"apiId": record.api_id, "revision": record.revision, "syncedAt": _text(record.synced_at)}
        if status != "success" and record.error:
            found |= {"reason": record.error, "failedAt": _text(record.failed_at), "failure": record.failure}
    if queued is not None and status != "success":
        found |= {"attempts": queued.attempts, "nextTryAt": _text(queued.not_before)}
    return {name: value for name, value in found.items() if value not in (None, "")}


def departing(rows: Iterable[tuple[OutboxRow, str, str]]) -> list[dict[str, Any]]:
    """What is still to be undeployed there for APIs that are gone here: outbox row, name and version of each."""
    return [
        {
            name: value
            for name, value in {
                "displayName": display_name,
                "version": version,
                "attempts": row.attempts,
                "reason": row.last_error,
                "nextTryAt": _text(row.not_before),
            }.items()
            if value not in (None, "")
        }
        for row, display_name, version in rows
    ]


def totals(states: Iterable[Mapping[str, Any] | None]) -> dict[str, int]:
    """How many are pending, synced and failed."""
    found = {"pending": 0, "synced": 0, "failed": 0}
    for each in states:
        if each is not None:
            found[each["state"]] += 1
    return found


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
