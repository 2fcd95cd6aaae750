"""One row of the original → one row of ours. Pure; raises ValueError with a reason for what cannot be taken."""

import json
import re
from datetime import UTC, datetime
from typing import Any, Final, cast

from gatewright.deployment.takeover.original import Row, moment, text_of
from gatewright.store.certificates import CertificateRow
from gatewright.store.rows import ApiKeyRow, ApplicationRow, ArtifactRow, Origin, PlanRow, SubscriptionRow
from gatewright.store.secrets import SecretRow
from gatewright.store.tables import DOCUMENTS

DETAILS: Final = {kind: table.name for kind, table in DOCUMENTS.items()}
"""The table of the documents of a kind, as in the original."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def artifact(row: Row, configuration: object) -> ArtifactRow:
    """An artifact with its document."""
    kind = str(row["kind"])
    document = _document(configuration)
    document.pop("status", None)
    document.setdefault("kind", kind)
    state = str(row["desired_state"])
    if state not in {"deployed", "undeployed"}:
        raise ValueError(f"its desired state is {state!r}")
    origin = _origin(row["origin"])
    return ArtifactRow(
        uuid=str(row["uuid"]),
        kind=kind,
        handle=str(row["handle"]),
        display_name=str(row["display_name"]),
        version=str(row["version"]),
        document=document,
        desired_state=cast("Any", state),
        deployment_id=_optional(row.get("deployment_id")),
        deployed_at=_milliseconds(moment(row.get("deployed_at"))),
        origin=origin,
        cp_artifact_id=_optional(row.get("cp_artifact_id")),
        cp_sync_status=cast("Any", _one_of(row.get("cp_sync_status"), ("pending", "success", "failed"))),
        cp_sync_info=_optional(row.get("cp_sync_info")),
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def api_key(row: Row, owner: Origin) -> ApiKeyRow:
    """A key; `owner` is the origin of its artifact."""
    value = str(row["api_key"]).lower()
    if _HASH.fullmatch(value) is None:
        raise ValueError("its hash is not SHA-256; make the key anew")
    source = "external" if row.get("source") == "external" else "local"
    return ApiKeyRow(
        uuid=str(row["uuid"]),
        api_id=str(row["artifact_uuid"]),
        name=str(row["name"]),
        key_hash=value,
        masked_key=str(row["masked_api_key"]),
        status=cast("Any", _one_of(row["status"], ("active", "revoked", "expired")) or "revoked"),
        source=cast("Any", source),
        # A key list of the control plane ends only keys that it manages.
        origin=owner if source == "external" else "gateway_api",
        issuer=_optional(row.get("issuer")),
        external_ref_id=_optional(row.get("external_ref_id")),
        created_by=str(row.get("created_by") or "system"),
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
        expires_at=moment(row.get("expires_at")),
    )


def plan(row: Row, owner: Origin) -> PlanRow:
    """A subscription plan."""
    count = row.get("throttle_limit_count")
    return PlanRow(
        uuid=str(row["uuid"]),
        name=str(row["plan_name"]),
        billing_plan=_optional(row.get("billing_plan")),
        stop_on_quota_reach=bool(row.get("stop_on_quota_reach", 1)),
        limit_count=None if count is None else int(count),
        limit_unit=_optional(row.get("throttle_limit_unit")),
        expires_at=moment(row.get("expiry_time")),
        status=cast("Any", _one_of(row["status"], ("ACTIVE", "INACTIVE")) or "INACTIVE"),
        origin=owner,
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def subscription(row: Row, owner: Origin) -> SubscriptionRow:
    """A subscription."""
    token = str(row["subscription_token_hash"]).lower()
    if _HASH.fullmatch(token) is None:
        raise ValueError("the hash of its token is not SHA-256")
    return SubscriptionRow(
        uuid=str(row["uuid"]),
        api_id=str(row["api_id"]),
        token_hash=token,
        application_id=_optional(row.get("application_id")),
        plan_id=_optional(row.get("subscription_plan_id")),
        billing_customer_id=_optional(row.get("billing_customer_id")),
        billing_subscription_id=_optional(row.get("billing_subscription_id")),
        status=cast("Any", _one_of(row["status"], ("ACTIVE", "INACTIVE", "REVOKED")) or "INACTIVE"),
        origin=owner,
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def application(row: Row) -> ApplicationRow:
    """An application."""
    return ApplicationRow(
        uuid=str(row["application_uuid"]),
        handle=str(row["application_id"]),
        name=str(row["application_name"]),
        type=str(row["application_type"]),
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def certificate(row: Row) -> CertificateRow:
    """Authorities for upstreams."""
    pem = text_of(row["certificate"])
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise ValueError("it is no PEM certificate")
    return CertificateRow(
        uuid=str(row["uuid"]),
        name=str(row["name"]),
        certificate=pem,
        subject=str(row["subject"]),
        issuer=str(row["issuer"]),
        not_before=_time(row["not_before"]),
        not_after=_time(row["not_after"]),
        cert_count=int(row.get("cert_count") or 1),
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def secret(row: Row) -> SecretRow:
    """A secret in its envelope, whose form is the same."""
    return SecretRow(
        handle=str(row["handle"]),
        display_name=str(row["display_name"]),
        description=str(row.get("description") or ""),
        ciphertext=text_of(row["ciphertext"]),
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def _document(configuration: object) -> dict[str, Any]:
    try:
        document = json.loads(text_of(configuration))
    except (ValueError, UnicodeDecodeError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("its document is no JSON object")  # noqa: TRY004 - a value of a row
    return document


def _origin(value: object) -> Origin:
    return "control_plane" if value == "control_plane" else "gateway_api"


def _one_of(value: object, known: tuple[str, ...]) -> str | None:
    return str(value) if value in known else None


def _optional(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _time(value: object) -> datetime:
    return moment(value) or _LONG_AGO


def _milliseconds(value: datetime | None) -> datetime | None:
    """The concurrency token of deployments counts milliseconds."""
    return None if value is None else value.replace(microsecond=value.microsecond // 1000 * 1000)
