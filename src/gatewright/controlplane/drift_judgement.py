"""What is wrong with one artifact: the control plane's row and document against ours, and ours against the routers.

Pure. States and times are compared as the deployment diff compares them (control-plane protocol reference 4.2).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from gatewright.artifacts.vhosts import SENTINEL
from gatewright.controlplane.drift_fields import Field, field_differences
from gatewright.controlplane.drift_report import Difference
from gatewright.controlplane.push.entries import PUSHED
from gatewright.controlplane.words import quoted
from gatewright.deployment.results import ServingStatus
from gatewright.store.rows import ArtifactRow
from gatewright.wire.deployments import DeploymentRow, desired_state
from gatewright.wire.kinds import kind_of
from gatewright.wire.times import Timestamp

_MOST_ROUTERS: Final = 20
_IDLE: Final = frozenset({"NO_TRAFFIC", "NO_TRAFFIC_YET"})
_FROZEN: Final = ("main", "sandbox")


class Pair(msgspec.Struct, frozen=True):
    """An artifact on both sides; one of them may be missing."""

    remote: DeploymentRow | None
    local: ArtifactRow | None

    @property
    def key(self) -> str:
        """The local UUID, else the control plane's id."""
        if self.local is not None:
            return self.local.uuid
        return self.remote.artifact_id if self.remote is not None else ""

    @property
    def wanted(self) -> bool | None:
        """Whether the control plane wants it served; None when it does not say so. An API Manager may leave it out."""
        if self.remote is None or (self.local is not None and self.local.origin != "control_plane"):
            return None
        return True if not self.remote.state else desired_state(self.remote)

    @property
    def same_deployment(self) -> bool:
        """Whether what is stored was written for exactly the listed deployment, and not since."""
        remote, local = self.remote, self.local
        if remote is None or local is None or remote.deployed_at is None or local.deployed_at is None:
            return False
        same_time = remote.deployed_at.unix_ms == _milliseconds(local.deployed_at)
        return same_time and remote.deployment_id == (local.deployment_id or "")


def state_differences(pair: Pair, *, exists: bool | None, pushes: bool) -> Iterator[Difference]:
    """Presence, state and deployment. `exists`: whether the control plane knows an artifact that it does not list."""
    remote, local = pair.remote, pair.local
    if remote is None:
        if local is not None:
            yield from _unlisted(local, exists=exists, pushes=pushes)
        return
    wanted = pair.wanted
    if wanted is None:
        return
    if local is None:
        if wanted:
            message = "the control plane wants it served, and it is not stored here"
            yield Difference(place="store", code="MISSING", message=message)
        return
    stored = local.desired_state == "deployed"
    if wanted != stored:
        words = ("deployed", "undeployed") if wanted else ("undeployed", "deployed")
        message = f"the control plane wants it {words[0]}, and it is stored as {words[1]}"
        yield Difference(place="store", code="STATE", message=message, wanted=words[0], found=words[1])
    if wanted:
        yield from _deployment(remote, local)


def document_differences(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[list[Difference], int]:
    """Both in their stored form, credentials in plain form. Gives the differences, and how many more there are."""
    fields, more = field_differences(wanted, stored)
    return [_field(each) for each in fields], more


def with_frozen_defaults(document: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Virtual hosts that `document` leaves to the gateway, as they were frozen when `stored` was written.

    The gateway's defaults may be others by now; what is stored is right all the same.
    """
    spec, frozen = document.get("spec") or {}, (stored.get("spec") or {}).get("vhosts")
    written = spec.get("vhosts")
    if not isinstance(frozen, Mapping):
        return dict(document)
    if written is None:
        hosts = dict(frozen)
    else:
        hosts = {
            name: frozen.get(name) if name in _FROZEN and value == SENTINEL else value
            for name, value in written.items()
        }
    return {**document, "spec": {**spec, "vhosts": {name: host for name, host in hosts.items() if host}}}


def router_differences(row: ArtifactRow, status: ServingStatus) -> Iterator[Difference]:
    """What is stored against what the routers have accepted."""
    deployed, state = row.desired_state == "deployed", status.state
    if state == "quarantined":
        yield from _refused(status)
    elif state == "pending":
        waiting = [each for each in status.routers if each.state == "pending"][:_MOST_ROUTERS]
        for each in waiting:
            message = f"not accepted yet: {quoted(each.reason or 'no answer')}"
            yield Difference(place="routers", code="PENDING", message=message, router=each.router)
        if not waiting:
            yield Difference(place="routers", code="PENDING", message="not rolled out yet")
    elif deployed and state in {"undeployed", "unknown"}:
        yield Difference(place="routers", code="NOT_SERVING", message="deployed, and not among what routers get")
    elif not deployed and state == "served":
        yield Difference(place="routers", code="STILL_SERVING", message="undeployed, and routers serve it still")


def lacks_routers(row: ArtifactRow, status: ServingStatus) -> bool:
    """Whether it should be served and nobody is there to do it."""
    return row.desired_state == "deployed" and status.state == "stored" and status.code not in _IDLE


def _unlisted(local: ArtifactRow, *, exists: bool | None, pushes: bool) -> Iterator[Difference]:
    if local.origin == "gateway_api":
        if pushes and kind_of(local.kind) in PUSHED and local.cp_sync_status != "success":
            why = f": {quoted(local.cp_sync_info)}" if local.cp_sync_info else ""
            message = f"made here, and the control plane has not taken it yet ({local.cp_sync_status}){why}"
            yield Difference(place="control_plane", code="UNSENT", message=message)
        return
    if exists is False:
        message = "stored here, and the control plane does not know it any more"
        yield Difference(place="store", code="EXTRA", message=message)
    elif local.desired_state == "deployed":
        known = "has no deployment of it for this gateway" if exists else "does not list it"
        message = f"stored here as deployed, and the control plane {known}"
        yield Difference(place="store", code="EXTRA", message=message)


def _deployment(remote: DeploymentRow, local: ArtifactRow) -> Iterator[Difference]:
    stored = local.deployment_id or ""
    if remote.deployment_id != stored:
        yield Difference(
            place="store",
            code="DEPLOYMENT",
            message="another deployment is stored than the one that the control plane wants",
            wanted=quoted(remote.deployment_id),
            found=stored,
        )
    elif remote.deployed_at is not None and _later(remote.deployed_at, local.deployed_at):
        yield Difference(
            place="store",
            code="NEWER",
            message="the control plane has deployed it again since",
            wanted=remote.deployed_at.text(),
            found=local.deployed_at.isoformat() if local.deployed_at else msgspec.UNSET,
        )


def _field(field: Field) -> Difference:
    message = "the order differs" if field.why == "order" else "the field differs"
    return Difference(
        place="store", code="FIELD", message=message, field=field.path, wanted=field.wanted, found=field.stored
    )


def _refused(status: ServingStatus) -> Iterator[Difference]:
    kept = "its last good version serves" if status.serving_version else "it serves nothing"
    found = status.serving_version or msgspec.UNSET
    refusing = [each for each in status.routers if each.state == "refused"][:_MOST_ROUTERS]
    for each in refusing:
        message = f"refused: {quoted(each.reason or status.reason or 'without a reason')} ({kept})"
        yield Difference(
            place="routers",
            code="REFUSED",
            message=message,
            wanted=status.version or msgspec.UNSET,
            found=found,
            router=each.router,
        )
    if not refusing:
        message = f"{status.code or 'refused'}: {quoted(status.reason or 'without a reason')} ({kept})"
        yield Difference(
            place="routers", code="REFUSED", message=message, wanted=status.version or msgspec.UNSET, found=found
        )


def _later(remote: Timestamp, local: datetime | None) -> bool:
    return local is None or remote.unix_ms > _milliseconds(local)


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
