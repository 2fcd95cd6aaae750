"""The sync to API Manager as `gatewright status` tells it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gatewright.cli import output
from gatewright.cli.phrases import ago, counts, until

_MOST: Final = 20


def section(found: Mapping[str, Any]) -> Iterator[str]:
    """The direction as a whole."""
    if not found.get("offered"):
        yield output.safe(found.get("note") or "not reached yet")
        return
    lacking = found.get("lacking") or []
    state = "on" if found.get("enabled") else "off (controller.controlplane.deployment_sync_enabled)"
    if lacking:
        state = "IMPOSSIBLE: settings are missing"
    elif found.get("outOfOrder"):
        state = "API Manager does not do its work: single tries until it does"
    yield from output.facts(
        (
            ("Sync", state),
            *(("Missing", name) for name in lacking),
            ("Environment", found.get("gatewayName")),
            ("Conflicts", found.get("conflicts")),
            ("APIs", counts(found.get("totals")) or "none"),
        )
    )
    departing = found.get("departing") or []
    for entry in departing[:_MOST]:
        why = f": {entry['reason']}" if entry.get("reason") else ""
        name = f"{entry.get('displayName')} {entry.get('version')}"
        yield output.safe(f"{name} is gone here and still to be undeployed there{_next(entry)}{why}")
    if len(departing) > _MOST:
        yield f"… and {len(departing) - _MOST} more that are gone here"


def apim_lines(item: Mapping[str, Any]) -> Iterator[str]:
    """One API: when it was synced and as what, or why it was not."""
    found = item["apiManager"]
    if found.get("state") == "failed":
        yield f"{item.get('handle')} not synced{_next(found)}: {found.get('reason') or 'no reason is known'}"
    elif found.get("state") == "synced" and found.get("revision"):
        yield (
            f"{item.get('handle')} synced {ago(found.get('syncedAt'))}: API {found.get('apiId')}, "
            f"revision {found.get('revision')}"
        )


def _next(found: Mapping[str, Any]) -> str:
    if found.get("nextTryAt"):
        return f" (next try {until(found['nextTryAt'])})"
    return " (tried again when the API changes)" if found.get("state") == "failed" and "attempts" not in found else ""
