"""Gateways and their registration tokens: transactions over the tables, no network.

A token is 32 random bytes; only its SHA-256 is stored. At most two are active for a gateway, so that a new one can be
handed out before the old one ends.
"""

import hmac
import re
import secrets
import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from gatewright.hub.problems import ApiError, invalid, not_found
from gatewright.hub.store import Unit
from gatewright.hub.tables import gateways, tokens
from gatewright.hub.views import GatewayView, IssuedToken, TokenView
from gatewright.wire.identifiers import new_uuid7, token_hash
from gatewright.wire.times import Timestamp

ACTIVE: Final = "active"
REVOKED: Final = "revoked"
MAX_ACTIVE_TOKENS: Final = 2
FUNCTIONALITIES: Final = ("regular", "ai", "event")
TOKEN_ADVICE: Final = "Store this token now: it is not shown again."  # noqa: S105 - a sentence about tokens

_HANDLE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}|[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2}")

# Built once: authentication precedes every call.
_BY_HANDLE = select(gateways).where(gateways.c.handle == bindparam("handle"))
_BY_TOKEN = (
    select(tokens.c.id, tokens.c.hash, tokens.c.gateway_id, gateways.c.version)
    .join(gateways, gateways.c.id == tokens.c.gateway_id)
    .where(tokens.c.hash == bindparam("hash"), tokens.c.status == ACTIVE)
)


class Registration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of a registration. `id` is the handle, made from the display name if empty."""

    display_name: str
    id: str = ""
    description: str = ""
    endpoints: tuple[str, ...] = ()
    functionality_type: str = "regular"
    is_critical: bool = False
    version: str = ""
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


class Caller(msgspec.Struct, frozen=True):
    """Who presents a valid token."""

    gateway_id: str
    token_id: str
    version: str


def register(unit: Unit, wanted: Registration) -> str:
    """Add a gateway and answer its handle. ApiError 400 for broken rules, 409 for a handle that is taken."""
    handle = wanted.id or _handle_from(wanted.display_name)
    problems = tuple(_problems(wanted, handle))
    if problems:
        raise invalid(*problems)
    taken = unit.connection.execute(select(gateways.c.id).where(gateways.c.handle == handle)).first()
    if taken is not None:
        raise ApiError(409, "GATEWAY_NAME_CONFLICT", f"There is a gateway {handle!r} already.")
    now = unit.now.unix_ms
    unit.connection.execute(
        insert(gateways).values(
            id=str(uuid.uuid4()),
            handle=handle,
            functionality_type=wanted.functionality_type,
            version=_canonical(wanted.version),
            confirmed_seq=_last_seq(unit.connection),
            created_at=now,
            updated_at=now,
            **_described(wanted),
        ),
    )
    return handle


def change(unit: Unit, handle: str, wanted: Registration) -> str:
    """Replace what people say of a gateway; answers its UUID. Type and version stay. ApiError 400, 404."""
    known = find(unit.connection, handle)
    problems = list(_problems(wanted, handle))
    if wanted.id and wanted.id != handle:
        problems.append("id: must be the one in the path, or left out")
    if problems:
        raise invalid(*problems)
    unit.connection.execute(
        update(gateways)
        .where(gateways.c.id == known.id)
        .values(updated_at=max(unit.now.unix_ms, known.updated_at + 1), **_described(wanted))
    )
    return str(known.id)


def remove(unit: Unit, handle: str) -> str:
    """Delete a gateway with its tokens, deployments and events; answers its UUID."""
    gateway_id = str(find(unit.connection, handle).id)
    unit.connection.execute(delete(gateways).where(gateways.c.id == gateway_id))
    return gateway_id


def find(connection: Connection, handle: str) -> Row[Any]:
    """The row of a gateway by handle. ApiError 404."""
    row = connection.execute(_BY_HANDLE, {"handle": handle}).first()
    if row is None:
        raise not_found("gateway", handle)
    return row


def by_ids(connection: Connection) -> dict[str, str]:
    """UUID → handle of every gateway."""
    return {row.id: row.handle for row in connection.execute(select(gateways.c.id, gateways.c.handle))}


def listed(connection: Connection, gateway_id: str | None = None) -> list[Row[Any]]:
    """All gateways by handle, or the one with that UUID."""
    query = select(gateways).order_by(gateways.c.handle)
    if gateway_id is not None:
        query = query.where(gateways.c.id == gateway_id)
    return list(connection.execute(query))


def view(row: Row[Any], connected_since_ms: list[int]) -> GatewayView:
    """A gateway for people; `connected_since_ms` has an entry for each of its open connections."""
    since = Timestamp.from_ms(min(connected_since_ms)).text() if connected_since_ms else ""
    return GatewayView(
        id=row.handle,
        uuid=row.id,
        display_name=row.display_name,
        description=row.description,
        endpoints=tuple(msgspec.json.decode(row.endpoints)),
        functionality_type=row.functionality_type,
        is_critical=row.is_critical,
        properties=msgspec.json.decode(row.properties),
        version=row.version,
        is_active=bool(connected_since_ms),
        connections=len(connected_since_ms),
        connected_since=since,
        created_at=Timestamp.from_ms(row.created_at).text(),
        updated_at=Timestamp.from_ms(row.updated_at).text(),
    )


def issue_token(unit: Unit, handle: str) -> IssuedToken:
    """Make a further token. ApiError 409 when two are active."""
    gateway_id = find(unit.connection, handle).id
    active = unit.connection.execute(
        select(func.count()).where(tokens.c.gateway_id == gateway_id, tokens.c.status == ACTIVE)
    ).scalar_one()
    if active >= MAX_ACTIVE_TOKENS:
        raise ApiError(
            409,
            "GATEWAY_TOKEN_LIMIT_REACHED",
            f"Gateway {handle!r} has {active} active tokens, the most there may be. Revoke one first.",
        )
    plain = secrets.token_urlsafe(32)
    token_id = new_uuid7(unit.now.unix_ms, secrets.token_bytes(10))
    unit.connection.execute(
        insert(tokens).values(
            id=token_id,
            gateway_id=gateway_id,
            hash=token_hash(plain),
            status=ACTIVE,
            created_at=unit.now.unix_ms,
        ),
    )
    return IssuedToken(id=token_id, token=plain, created_at=unit.now.text(), message=TOKEN_ADVICE)


def rotate_token(unit: Unit, handle: str, overlap_seconds: float) -> IssuedToken:
    """Make a new token and let the present one live on for `overlap_seconds` only. ApiError as `issue_token`."""
    issued = issue_token(unit, handle)
    gateway_id = find(unit.connection, handle).id
    unit.connection.execute(
        update(tokens)
        .where(tokens.c.gateway_id == gateway_id, tokens.c.status == ACTIVE, tokens.c.id != issued.id)
        .values(revoke_at=unit.now.unix_ms + int(overlap_seconds * 1000)),
    )
    return issued


def revoke_token(unit: Unit, handle: str, token_id: str) -> None:
    """End a token; once more does no harm. ApiError 404 for one that the gateway never had."""
    gateway_id = find(unit.connection, handle).id
    mine = (tokens.c.gateway_id == gateway_id, tokens.c.id == token_id)
    row = unit.connection.execute(select(tokens.c.status).where(*mine)).first()
    if row is None:
        raise ApiError(404, "GATEWAY_TOKEN_NOT_FOUND", f"Gateway {handle!r} has no token {token_id!r}.")
    if row.status == ACTIVE:
        unit.connection.execute(update(tokens).where(*mine).values(status=REVOKED, revoked_at=unit.now.unix_ms))


def end_rotations(unit: Unit) -> list[str]:
    """Revoke every token whose overlap is over; answers their ids."""
    due = (tokens.c.status == ACTIVE, tokens.c.revoke_at.is_not(None), tokens.c.revoke_at <= unit.now.unix_ms)
    ended = list(unit.connection.execute(select(tokens.c.id).where(*due)).scalars())
    if ended:
        unit.connection.execute(
            update(tokens).where(tokens.c.id.in_(ended)).values(status=REVOKED, revoked_at=unit.now.unix_ms)
        )
    return ended


def token_views(connection: Connection, handle: str) -> list[TokenView]:
    """The active tokens of a gateway, oldest first."""
    gateway_id = find(connection, handle).id
    rows = connection.execute(
        select(tokens)
        .where(tokens.c.gateway_id == gateway_id, tokens.c.status == ACTIVE)
        .order_by(tokens.c.created_at, tokens.c.id)
    )
    return [
        TokenView(
            id=row.id,
            status=row.status,
            created_at=Timestamp.from_ms(row.created_at).text(),
            revoke_at="" if row.revoke_at is None else Timestamp.from_ms(row.revoke_at).text(),
        )
        for row in rows
    ]


def authenticate(connection: Connection, presented: str) -> Caller | None:
    """The gateway behind a token, None for an unknown or revoked one."""
    hashed = token_hash(presented)
    row = connection.execute(_BY_TOKEN, {"hash": hashed}).first()
    if row is None or not hmac.compare_digest(row.hash, hashed):
        return None
    return Caller(gateway_id=row.gateway_id, token_id=row.id, version=row.version)


def confirm(unit: Unit, gateway_id: str, seq: int) -> None:
    """Remember that a gateway has everything up to `seq`."""
    unit.connection.execute(
        update(gateways).where(gateways.c.id == gateway_id, gateways.c.confirmed_seq < seq).values(confirmed_seq=seq),
    )


def major_minor(version: str) -> str:
    """`1.2` of `v1.2.3`; empty for what is no version."""
    match = re.match(r"v?(\d{1,6})\.(\d{1,6})", version)
    return f"{int(match[1])}.{int(match[2])}" if match else ""


def reads_only_alpha(version: str) -> bool:
    """True for a gateway that positively is older than 1.2.0 and needs documents of `v1alpha1`."""
    match = re.fullmatch(r"v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?(?:[-+.].*)?", version.strip())
    return match is not None and (int(match[1]), int(match[2] or 0)) < (1, 2)


def _last_seq(connection: Connection) -> int:
    """A new gateway has nothing to catch up on."""
    row = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'events'").first()
    return 0 if row is None else int(row[0])


def _handle_from(display_name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", display_name.lower()).strip("-")[:64].strip("-")


def _described(wanted: Registration) -> dict[str, Any]:
    return {
        "display_name": wanted.display_name,
        "description": wanted.description,
        "endpoints": msgspec.json.encode([endpoint.strip() for endpoint in wanted.endpoints]).decode(),
        "is_critical": wanted.is_critical,
        "properties": msgspec.json.encode(wanted.properties).decode(),
    }


def _canonical(version: str) -> str:
    return major_minor(version) if re.fullmatch(r"\d+\.\d+", version) else version


def _problems(wanted: Registration, handle: str) -> list[str]:
    problems = []
    if not wanted.display_name.strip() or len(wanted.display_name) > 128:
        problems.append("displayName: must have 1 to 128 characters")
    if not (3 <= len(handle) <= 64) or _HANDLE.fullmatch(handle) is None:
        problems.append("id: must have 3 to 64 of a-z, 0-9 and inner hyphens")
    if any(not endpoint.strip() or len(endpoint) > 255 for endpoint in wanted.endpoints):
        problems.append("endpoints: each must have 1 to 255 characters")
    if wanted.functionality_type not in FUNCTIONALITIES:
        problems.append(f"functionalityType: must be one of {', '.join(FUNCTIONALITIES)}")
    if wanted.version and _VERSION.fullmatch(wanted.version) is None:
        problems.append("version: must be like 1.2 or 2026.08.01")
    return problems
