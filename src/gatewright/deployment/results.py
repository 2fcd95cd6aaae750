"""Outcomes of the write path, as values.

Management calls return `Stored`, `Change`, `KeyCreated`, … and raise for refusals, because an HTTP handler maps each
refusal to a status. Control-plane calls return one of `Applied | Stale | Unknown | DeploymentIdMismatch | Refused`,
because each of them decides what is acknowledged. Pure.

    DeploymentError              code, message
    ├── NotFound                 no such artifact
    ├── KeyNotFound              no such key on an existing artifact
    ├── Conflict                 name and version, handle, or key value are taken
    ├── InvalidPin               the artifact-id annotation is not a UUID
    ├── HandleMismatch           the document names another handle than the path
    ├── UnknownReference         the document refers to an artifact that does not exist
    ├── InUse                    others stand on the artifact
    ├── UnsupportedKind          nothing here handles documents of this kind
    └── KeyRefused               a rule about keys; `reason` tells which
`InvalidArtifact` and `TemplateError` come unchanged from `gatewright.artifacts`.
"""

from datetime import datetime
from typing import Literal

import msgspec
from pydantic import SecretStr

from gatewright.artifacts.problems import ArtifactWarning, ValidationProblem
from gatewright.store.rows import Action, ApiKeyRow, ArtifactRow, ChangeRow, OutboxRow

Change = ChangeRow
"""A committed change: `seq`, `kind`, `entity_id`, `artifact_id`, `action`, `correlation_id`, `at`."""

OUTBOX_TARGET = "control_plane"
"""Where artifacts that were made here go."""

OUTBOX_PUSH = "push"
"""`OutboxRow.action`: send the artifact as it is in the table now, deployed or undeployed."""

OUTBOX_DELETE = "delete"
"""`OutboxRow.action`: the artifact is gone; send what `deleted_artifact` gives, as undeployed."""

OUTBOX_LEFT = "left"
"""`OutboxRow.action`: undeploy at API Manager what an artifact was called there before it got another name."""


def deleted_artifact(row: OutboxRow) -> ArtifactRow:
    """The last content of a deleted artifact, out of an `OUTBOX_DELETE` row."""
    return msgspec.convert(row.payload["artifact"], ArtifactRow)


RefusalCode = Literal[
    "INVALID_DOCUMENT",
    "RENDERING_FAILED",
    "CONFLICT",
    "UNKNOWN_REFERENCE",
    "IN_USE",
    "UNSUPPORTED_KIND",
    "MISSING_DEPLOYMENT_ID",
    "STORE_UNAVAILABLE",
]
ServingState = Literal["served", "refused", "stored", "timeout"]


class Stored(msgspec.Struct, frozen=True):
    """An artifact was created or updated."""

    row: ArtifactRow
    change: Change
    warnings: tuple[ArtifactWarning, ...] = ()


class Applied(msgspec.Struct, frozen=True):
    """The control plane's wish is stored. `row` is None when the artifact is gone (deletion).

    `succeeds`: UUIDs of what has made room for it and is gone.
    """

    row: ArtifactRow | None
    change: Change
    warnings: tuple[ArtifactWarning, ...] = ()
    succeeds: tuple[str, ...] = ()


class Stale(msgspec.Struct, frozen=True):
    """Not newer than what is stored: nothing changed, nothing is acknowledged."""

    row: ArtifactRow


class Unknown(msgspec.Struct, frozen=True):
    """No artifact under this id. `change` is set when leftovers (keys) were removed."""

    change: Change | None = None


class DeploymentIdMismatch(msgspec.Struct, frozen=True):
    """The undeployment names another deployment than the stored one."""

    stored: str
    wanted: str


class Refused(msgspec.Struct, frozen=True):
    """Nothing was stored; the last version, if any, goes on. `problems` are the document's, if it was read."""

    code: RefusalCode
    message: str
    problems: tuple[ValidationProblem, ...] = ()


class KeyCreated(msgspec.Struct, frozen=True):
    """A key was made or registered. `plain_key` is set only for keys generated here and exists nowhere else.

    `remaining` is how many more active keys the owner may have on the artifact.
    """

    row: ApiKeyRow
    plain_key: SecretStr | None
    remaining: int
    change: Change
    action: Action


class KeyUpdated(msgspec.Struct, frozen=True):
    """An external key got another value or expiry."""

    row: ApiKeyRow
    change: Change


class KeyApplied(msgspec.Struct, frozen=True):
    """A key event of the control plane is stored."""

    row: ApiKeyRow
    change: Change


class KeyRevoked(msgspec.Struct, frozen=True):
    """The key is gone. `change` is None when there was none: revoking is idempotent."""

    change: Change | None


class KeyStale(msgspec.Struct, frozen=True):
    """The stored key is at least as new as the event."""

    row: ApiKeyRow


class KeyIgnored(msgspec.Struct, frozen=True):
    """A key event that breaks a rule is dropped; the control plane gets no answer in either case."""

    reason: "KeyReason"
    message: str


KeyReason = Literal[
    "UNKNOWN_ARTIFACT",
    "MISSING_FIELD",
    "NAME",
    "EXPIRY_UNIT",
    "EXPIRY_PAST",
    "EXPIRY_INVALID",
    "LIMIT",
    "NAME_MISMATCH",
    "NOT_OWNER",
    "LOCAL_KEY",
    "VALUE_REQUIRED",
    "VALUE_TAKEN",
    "STORE_UNAVAILABLE",
]


class Serving(msgspec.Struct, frozen=True):
    """What the data plane made of a change.

    `served`: all connected routers accepted it (`routers` of them). `stored`: no router is connected. `refused`: it
    does not compile, or a router refused it; `reason` has the words. `timeout`: not all routers answered in time.
    """

    state: ServingState
    routers: int = 0
    reason: str | None = None


class RouterServing(msgspec.Struct, frozen=True):
    """One router's view of one artifact."""

    router: str
    state: Literal["accepted", "refused", "pending"]
    reason: str | None = None


class ServingStatus(msgspec.Struct, frozen=True):
    """What is known of an artifact in the data plane.

    `pending`: not rolled out yet. `served`: every connected router accepted the newest version. `stored`: rolled out,
    no router connected, or without traffic of its own (`code` NO_TRAFFIC or NO_TRAFFIC_YET). `quarantined`: the newest
    version does not compile or was refused; `serving_version` is the last good one (None: the artifact serves nothing).
    `undeployed`: rolled out as removed. `unknown`: no such artifact.
    """

    artifact_id: str
    state: Literal["pending", "served", "stored", "quarantined", "undeployed", "unknown"]
    version: str | None = None
    serving_version: str | None = None
    code: str | None = None
    reason: str | None = None
    since: datetime | None = None
    routers: tuple[RouterServing, ...] = ()


class DeploymentError(Exception):
    """Base of refusals on the management side. `code` is stable."""

    code = "DEPLOYMENT_ERROR"

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class NotFound(DeploymentError):
    """No artifact of this kind has this handle."""

    code = "NOT_FOUND"


class KeyNotFound(DeploymentError):
    """The artifact exists, the key does not."""

    code = "KEY_NOT_FOUND"


class Conflict(DeploymentError):
    """The message is the original's, ready for the client."""

    code = "CONFLICT"


class InvalidPin(DeploymentError):
    """The annotation that pins the UUID holds something else."""

    code = "INVALID_PIN"


class HandleMismatch(DeploymentError):
    """Renaming an artifact by PUT is refused."""

    code = "HANDLE_MISMATCH"


class UnknownReference(DeploymentError):
    """`kind` and `handle` say what is missing."""

    code = "UNKNOWN_REFERENCE"

    def __init__(self, kind: str, handle: str) -> None:
        self.kind = kind
        self.handle = handle
        super().__init__(f"there is no {kind} with the handle '{handle}'")


class InUse(DeploymentError):
    """The message names who stands in the way."""

    code = "IN_USE"


class UnsupportedKind(DeploymentError):
    """A kind that this gateway does not deploy."""

    code = "UNSUPPORTED_KIND"


class KeyRefused(DeploymentError):
    """`reason` tells which rule; the message is the original's raw text."""

    code = "KEY_REFUSED"

    def __init__(self, reason: KeyReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)
