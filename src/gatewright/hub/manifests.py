"""What gateways tell of themselves: checked against their registration, kept, and shown. Transactions, no network."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select, update

from gatewright.hub import gateways
from gatewright.hub.problems import ApiError
from gatewright.hub.store import Unit
from gatewright.hub.tables import gateways as table
from gatewright.observability.logging import get_logger
from gatewright.wire.codec import encode
from gatewright.wire.manifest import MANAGED_BY_ORGANIZATION, MANAGED_BY_PRODUCT, Manifest, ManifestPolicy

_MANAGED_BY_CUSTOMER = "customer"
"""Older gateways' word for `organization`."""
_FIRST_VERSION = "1.0"

_log = get_logger(__name__)


class Verification(msgspec.Struct, frozen=True):
    """Which mismatches between registration and manifest are refused instead of logged."""

    version: bool = False
    type: bool = False


def keep(unit: Unit, gateway_id: str, manifest: Manifest, rules: Verification) -> None:
    """Store a manifest and take over the reported version. ApiError 409 for a refused mismatch, 404."""
    row = unit.connection.execute(select(table).where(table.c.id == gateway_id)).first()
    if row is None:
        raise ApiError(404, "GATEWAY_NOT_FOUND", "Gateway not found")
    _check_version(row, manifest, refuse=rules.version)
    _check_type(row, manifest, refuse=rules.type)
    policies = [kept for policy in manifest.policies if (kept := _policy(policy)) is not None]
    unit.connection.execute(
        update(table)
        .where(table.c.id == gateway_id)
        .values(
            manifest=encode({"policies": policies}).decode(),
            version=manifest.version_or_default,
            updated_at=unit.now.unix_ms,
        ),
    )


def shown(connection: Connection, handle: str) -> msgspec.Raw:
    """The last manifest as JSON; `{}` before the first."""
    return msgspec.Raw((gateways.find(connection, handle).manifest or "{}").encode())


def _check_version(row: Row[Any], manifest: Manifest, *, refuse: bool) -> None:
    registered = gateways.major_minor(row.version) or _FIRST_VERSION
    reported = gateways.major_minor(manifest.version_or_default) or manifest.version_or_default
    if registered != reported:
        _mismatch(row.handle, "version", registered, reported, refuse=refuse)


def _check_type(row: Row[Any], manifest: Manifest, *, refuse: bool) -> None:
    registered, reported = row.functionality_type, manifest.functionality_or_default
    if registered != reported and not (registered == "ai" and reported == "regular"):
        _mismatch(row.handle, "functionality type", registered, reported, refuse=refuse)


def _mismatch(handle: str, what: str, registered: str, reported: str, *, refuse: bool) -> None:
    text = f"Gateway {what} mismatch (registered={registered}, reported={reported[:64]})"
    if refuse:
        raise ApiError(409, "GATEWAY_MISMATCH", text)
    _log.warning("manifest differs from registration", gateway=handle, mismatch=text)


def _policy(policy: ManifestPolicy) -> ManifestPolicy | None:
    """A policy as it is kept: None for an unknown owner, schemas only for the organisation's own."""
    managed_by = MANAGED_BY_ORGANIZATION if policy.managed_by == _MANAGED_BY_CUSTOMER else policy.managed_by
    if managed_by not in {MANAGED_BY_ORGANIZATION, MANAGED_BY_PRODUCT}:
        return None
    own = managed_by == MANAGED_BY_ORGANIZATION
    return msgspec.structs.replace(
        policy,
        name=policy.name.lower(),
        managed_by=managed_by,
        parameters=policy.parameters if own else None,
        system_parameters=policy.system_parameters if own else None,
    )
