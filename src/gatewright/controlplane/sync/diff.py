"""The deployment diff: what is stored against what the control plane lists. Pure.

Source: control-plane protocol reference 4.2. On purpose other than the original: rows are matched by the control
plane's id also where the local id is another one; what is not newer than the stored state is not fetched in vain; an
artifact that is listed as undeployed under another deployment is taken off the routers instead of deployed.
"""

from collections.abc import Iterable, Sequence

import msgspec

from gatewright.store.rows import ArtifactHead
from gatewright.wire.deployments import DeploymentRow, desired_state


class Update(msgspec.Struct, frozen=True):
    """State, deployment id and time of a stored artifact change; its content does not."""

    local: ArtifactHead
    remote: DeploymentRow
    deployed: bool
    deployment_id: str


class Diff(msgspec.Struct, frozen=True):
    """What has to be done. `delete` holds candidates: the control plane may still know them without a deployment.

    `absent` are wanted undeployed and are not here; they count among the `ignored`.
    """

    fetch: tuple[DeploymentRow, ...] = ()
    update: tuple[Update, ...] = ()
    delete: tuple[ArtifactHead, ...] = ()
    same: tuple[DeploymentRow, ...] = ()
    absent: tuple[DeploymentRow, ...] = ()
    ignored: int = 0


def control_plane_id(row: ArtifactHead) -> str:
    """How the control plane calls a stored artifact."""
    return row.cp_artifact_id or row.uuid


def diff(local: Sequence[ArtifactHead], remote: Iterable[DeploymentRow]) -> Diff:
    """Compare. `local` are all artifacts; those that were made here are never touched."""
    by_id = {row.uuid: row for row in local} | {row.cp_artifact_id: row for row in local if row.cp_artifact_id}
    seen: set[str] = set()
    fetch: list[DeploymentRow] = []
    update: list[Update] = []
    same: list[DeploymentRow] = []
    absent: list[DeploymentRow] = []
    ignored = 0
    for theirs in remote:
        ours = by_id.get(theirs.artifact_id)
        if ours is not None:
            seen.add(ours.uuid)
        match _compare(ours, theirs):
            case "fetch":
                fetch.append(theirs)
            case "same":
                same.append(theirs)
            case Update() as change:
                update.append(change)
            case _:
                ignored += 1
                if ours is None and desired_state(theirs) is False:
                    absent.append(theirs)
    gone = tuple(row for row in local if row.origin == "control_plane" and row.uuid not in seen)
    return Diff(tuple(fetch), tuple(update), gone, tuple(same), tuple(absent), ignored)


def _compare(ours: ArtifactHead | None, theirs: DeploymentRow) -> Update | str:
    wanted = desired_state(theirs)
    if not theirs.artifact_id or (ours is not None and ours.origin != "control_plane"):
        return "ignored"
    if ours is None:
        return "fetch" if wanted else "ignored"
    if not newer(theirs, ours):
        return "same"
    deployed = ours.desired_state == "deployed"
    if theirs.deployment_id == (ours.deployment_id or ""):
        return _same_deployment(ours, theirs, wanted=wanted, deployed=deployed)
    if wanted is False:
        # Under the stored deployment id: the content of theirs is not here, so that a later deploy must fetch it.
        return Update(ours, theirs, False, ours.deployment_id or "") if deployed else "same"
    return "fetch"


def _same_deployment(ours: ArtifactHead, theirs: DeploymentRow, *, wanted: bool | None, deployed: bool) -> Update | str:
    if wanted is None:
        return "ignored"
    if wanted != deployed:
        return Update(ours, theirs, wanted, theirs.deployment_id)
    return "fetch" if wanted else "same"


def newer(theirs: DeploymentRow, ours: ArtifactHead) -> bool:
    """Whether the write path will take it; a row without a time counts as now."""
    if theirs.deployed_at is None or ours.deployed_at is None:
        return theirs.deployed_at is not None or ours.deployed_at is None
    return theirs.deployed_at.unix_ms > round(ours.deployed_at.timestamp() * 1000)
