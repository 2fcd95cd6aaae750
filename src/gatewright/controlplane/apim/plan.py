"""What a sync would do about one API, and why. Pure: the engine acts on it, `gatewright apim plan` shows it."""

from typing import Final, Literal

import msgspec

from gatewright.controlplane.apim.config import ConflictRule
from gatewright.controlplane.apim.evidence import Remote
from gatewright.store.apim_records import ApimRecord

Action = Literal["create", "update", "adopt", "undeploy", "none", "stop", "take-theirs", "overwrite", "fail"]
State = Literal["deployed", "undeployed", "deleted"]

WRITES: Final = frozenset({"create", "update", "overwrite"})
"""Actions that import."""


class Wanted(msgspec.Struct, frozen=True):
    """What the gateway has. `content` is the hash of what would be sent, `problem` why nothing can be.

    `waiting`: something is to be done since the last sync.
    """

    name: str
    version: str
    state: State = "deployed"
    content: str = ""
    problem: str = ""
    waiting: bool = True


class Intent(msgspec.Struct, frozen=True):
    """`api_id` is API Manager's id of the API that it is about, empty when there is none yet.

    create, update, overwrite import; adopt only records what is there already; undeploy takes the revision from this
    gateway; none: nothing is to be done; stop: a conflict that a person has to settle; fail: it cannot be sent.
    """

    action: Action
    reason: str
    api_id: str = ""


def plan(
    wanted: Wanted, record: ApimRecord | None, there: Remote | None, *, rule: ConflictRule, gateway_name: str
) -> Intent:
    """`there`: the API at API Manager that has the name and version, None when there is none."""
    if wanted.state != "deployed":
        return _departure(wanted, record, there, gateway_name)
    if wanted.problem:
        return Intent("fail", wanted.problem)
    if there is None:
        known = record is not None and record.api_id is not None
        reason = "it was deleted at API Manager" if known else "API Manager has no API of this name and version"
        return Intent("create", reason)
    if there.gateway == gateway_name:
        arrived = _arrived(wanted, record, there)
        if arrived is not None:
            return arrived
    conflict = _foreign(record, there, gateway_name) or _edited(record, there)
    if conflict:
        return _settled(rule, conflict, there.id)
    in_step = Intent("none", "in step", there.id)
    return Intent("update", "changed here since the last sync", there.id) if wanted.waiting else in_step


def _arrived(wanted: Wanted, record: ApimRecord | None, there: Remote) -> Intent | None:
    """Whether what is there is an import of ours that is not recorded."""
    if record is not None and record.begun and there.content == record.begun:
        if record.begun == wanted.content:
            return Intent("adopt", "the last import has arrived, only its answer was lost", there.id)
        return Intent("update", "changed here since an import whose answer was lost", there.id)
    if (record is None or record.api_id is None) and there.content == wanted.content:
        return Intent("adopt", "API Manager has this very content from this gateway", there.id)
    return None


def _departure(wanted: Wanted, record: ApimRecord | None, there: Remote | None, gateway_name: str) -> Intent:
    if record is None or (record.api_id is None and record.begun is None):
        return Intent("none", "it was never synced")
    if there is None:
        return Intent("none", "API Manager does not have it any more")
    if record.api_id is None and there.gateway != gateway_name:
        return Intent("none", "the API of this name and version is not of this gateway", there.id)
    if record.api_id is not None and record.revision is None and record.begun is None:
        return Intent("none", "nothing of this gateway is deployed there", there.id)
    return Intent("undeploy", f"it is {wanted.state} here", there.id)


def _foreign(record: ApimRecord | None, there: Remote, gateway_name: str) -> str:
    """Why an import would destroy what was not made by this gateway; empty when it would not."""
    if there.gateway == gateway_name:
        return ""
    if record is not None and record.api_id == there.id:
        return "it was edited at API Manager since the last sync: the marks of this gateway are gone"
    if there.gateway:
        return f"the gateway {there.gateway} made the API of this name and version"
    who = "another gateway made the API of this name and version" if there.from_gateway else ""
    return who or "the API of this name and version was made at API Manager"


def _edited(record: ApimRecord | None, there: Remote) -> str:
    """Why an import would destroy what people changed in an API of this gateway; empty when it would not."""
    if record is None or record.api_id is None:
        return "this gateway made it, but has no record of the last sync, so edits at API Manager cannot be told"
    if record.api_id != there.id:
        return "the API of this name and version is another one than the one that was synced"
    if record.fingerprint is None:
        return "" if record.content in {None, there.content} else "somebody else has imported it since the last sync"
    return "" if record.fingerprint == there.fingerprint else "it was edited at API Manager since the last sync"


def _settled(rule: ConflictRule, conflict: str, api_id: str) -> Intent:
    if rule == "overwrite":
        return Intent(
            "overwrite", f"{conflict}; it is overwritten, as gatewright.controlplane.apim_conflicts says", api_id
        )
    if rule == "take-theirs":
        return Intent("take-theirs", f"{conflict}; the gateway takes API Manager's version", api_id)
    advice = "compare both and set gatewright.controlplane.apim_conflicts, or use another name or version"
    return Intent("stop", f"conflict: {conflict}; {advice}", api_id)
