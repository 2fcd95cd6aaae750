"""What the link tells of itself: for the admin API, `gatewright status` and people. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from gatewright.controlplane.journal import Entry
from gatewright.controlplane.sync.report import Reconcile


class LastError(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong last, and what to do."""

    code: str
    message: str
    advice: str
    at: datetime


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The link now. `mode`: cloud, on_prem or unknown.

    `certificate_days_left` is negative after the end. `waiting` events are in queues, `acks_owed` not answered yet,
    `pushes_pending` not delivered yet.
    """

    configured: bool
    state: str
    since: datetime
    host: str = ""
    mode: str = "unknown"
    gateway_id: str = ""
    connection_id: str = ""
    attempts: int = 0
    reconnects: int = 0
    next_attempt_at: datetime | None = None
    verified: bool = True
    certificate_expires_at: datetime | None = None
    certificate_days_left: int | None = None
    last_error: LastError | None = None
    advice: str = ""
    manifest_error: str = ""
    last_reconcile: Reconcile | None = None
    deletions_withheld: int = 0
    waiting: int = 0
    acks_owed: int = 0
    pushes_pending: int = 0
    events: tuple[Entry, ...] = ()


def plain(status: LinkStatus) -> Mapping[str, Any]:
    """Ready for JSON, in camelCase; what is not known is left out."""
    tree: dict[str, Any] = msgspec.to_builtins(status)
    report = status.last_reconcile
    if report is not None:
        tree["lastReconcile"] = {
            "at": report.at.isoformat(timespec="milliseconds"),
            "trigger": report.trigger,
            "correlationId": report.correlation_id,
            "durationMs": round(report.seconds * 1000, 1),
            "counts": report.counts,
            "error": "; ".join(report.errors) or None,
            "withheld": report.withheld,
        }
    return {name: value for name, value in tree.items() if value not in (None, "")}
