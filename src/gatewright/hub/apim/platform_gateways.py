"""Platform gateways as API Manager's Admin API keeps them: each is an environment too. Transactions, no network.

A token is `<id>.<secret>`; the SHA-256 of the secret is stored, and the secret alone is accepted as well.
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from gatewright.hub import gateways as registry
from gatewright.hub.apim.config import MAX_TOKEN, Connect
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.tables import deployments, environments, gateways, tokens
from gatewright.hub.gateways import ACTIVE, Caller
from gatewright.hub.store import Unit
from gatewright.wire.codec import encode
from gatewright.wire.identifiers import new_uuid7, token_hash
from gatewright.wire.times import Timestamp

DEFAULT_VHOST_PORT: Final = 8443

_NAME = re.compile(r"[a-z0-9-]{3,64}")
_PERMISSIONS: Final = ("PUBLIC", "ALLOW", "DENY")

_EVERY = select(gateways, environments.c.vhost, environments.c.permissions).join(
    environments, environments.c.gateway_id == gateways.c.id
)


class Permissions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who may deploy to a gateway."""

    permission_type: str = "PUBLIC"
    roles: tuple[str, ...] = ()


class GatewayRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of a registration or a change. Absent is None."""

    name: str | None = None
    display_name: str | None = None
    vhost: str | None = None
    description: str = ""
    properties: dict[str, Any] = msgspec.field(default_factory=dict)
    permissions: Permissions = msgspec.field(default_factory=Permissions)


class Environment(msgspec.Struct, frozen=True):
    """A gateway as a place to deploy to. `host` is its first and only virtual host."""

    gateway_id: str
    name: str
    host: str


def register(unit: Unit, wanted: GatewayRequest) -> tuple[Row[Any], str]:
    """Add a gateway; answers its row and its token. Raises Refusal 400 or 409."""
    _check_new(unit.connection, wanted)
    row = _added(unit, str(uuid.uuid4()), wanted)
    return row, issue_token(unit, row.id)


def change(unit: Unit, gateway_id: str, wanted: GatewayRequest) -> None:
    """Change what may be changed. Raises Refusal 400 or 404."""
    row = find(unit.connection, gateway_id)
    problems = _problems(wanted)
    for member, given, present in (("name", wanted.name, row.handle), ("vhost", wanted.vhost, row.vhost)):
        if given is not None and given != present:
            problems.append(f"{member} cannot be changed")
    if problems:
        raise Refusal(400, "; ".join(problems))
    unit.connection.execute(
        update(gateways)
        .where(gateways.c.id == gateway_id)
        .values(
            display_name=wanted.display_name,
            description=wanted.description,
            properties=encode(wanted.properties).decode(),
            updated_at=unit.now.unix_ms,
        )
    )
    unit.connection.execute(
        update(environments)
        .where(environments.c.gateway_id == gateway_id)
        .values(permissions=encode(wanted.permissions).decode())
    )


def remove(unit: Unit, gateway_id: str) -> None:
    """Forget a gateway with its tokens and events. Raises Refusal 404, or 409 while something is deployed to it."""
    row = find(unit.connection, gateway_id)
    deployed = unit.connection.execute(
        select(deployments.c.api_id).where(deployments.c.gateway_id == gateway_id, deployments.c.active)
    ).first()
    if deployed is not None:
        raise Refusal(409, f"API revisions are deployed to the gateway '{row.handle}'. Undeploy them first.")
    unit.connection.execute(delete(gateways).where(gateways.c.id == gateway_id))


def regenerate_token(unit: Unit, gateway_id: str) -> str:
    """A new token; the present ones end at once. Raises Refusal 404."""
    find(unit.connection, gateway_id)
    unit.connection.execute(delete(tokens).where(tokens.c.gateway_id == gateway_id))
    return issue_token(unit, gateway_id)


def issue_token(unit: Unit, gateway_id: str) -> str:
    """A token in plain, which is told once and not kept."""
    token_id = new_uuid7(unit.now.unix_ms, secrets.token_bytes(10))
    secret = secrets.token_urlsafe(32)
    unit.connection.execute(
        insert(tokens).values(
            id=token_id,
            gateway_id=gateway_id,
            hash=token_hash(secret),
            status=ACTIVE,
            created_at=unit.now.unix_ms,
        )
    )
    return f"{token_id}.{secret}"


def authenticate(connection: Connection, presented: str) -> Caller | None:
    """The gateway behind a token, None for an unknown, revoked or malformed one."""
    if not presented or len(presented) > MAX_TOKEN:
        return None
    token_id, dot, secret = presented.partition(".")
    caller = registry.authenticate(connection, secret if dot else presented)
    return caller if caller is not None and (not dot or caller.token_id == token_id) else None


def configured(connects: Iterable[Connect], presented: str) -> Connect | None:
    """The gateway of the configuration whose token (or the secret of it) is presented."""
    for connect in connects:
        token = connect.registration_token
        if any(hmac.compare_digest(each.encode(), presented.encode()) for each in (token, token.partition(".")[2])):
            return connect
    return None


def adopt(unit: Unit, connect: Connect) -> Caller:
    """Make the gateway of the configuration with its token; its id follows from the token's. Raises Refusal."""
    token_id, _, secret = connect.registration_token.partition(".")
    digest = hashlib.md5(f"platform-gateway-connect:{token_id}".encode(), usedforsecurity=False).digest()
    gateway_id = str(uuid.UUID(bytes=digest, version=3))
    if unit.connection.execute(select(gateways.c.id).where(gateways.c.id == gateway_id)).first() is None:
        name = connect.name or f"gateway-{token_id[:8].lower()}"
        wanted = GatewayRequest(
            name=name,
            display_name=connect.display_name or name,
            vhost=connect.url,
            description=connect.description,
        )
        _check_new(unit.connection, wanted)
        _added(unit, gateway_id, wanted)
    # A token of the configuration stays valid beside one that the Admin API has given out since.
    if unit.connection.execute(select(tokens.c.id).where(tokens.c.id == token_id)).first() is None:
        unit.connection.execute(
            insert(tokens).values(
                id=token_id,
                gateway_id=gateway_id,
                hash=token_hash(secret),
                status=ACTIVE,
                created_at=unit.now.unix_ms,
            )
        )
    return Caller(gateway_id=gateway_id, token_id=token_id, version="")


def find(connection: Connection, gateway_id: str) -> Row[Any]:
    """One gateway. Raises Refusal 404."""
    row = connection.execute(_EVERY.where(gateways.c.id == gateway_id)).first()
    if row is None:
        raise Refusal(404, f"Requested gateway {gateway_id} not found.")
    return row


def listed(connection: Connection) -> list[Row[Any]]:
    """All gateways by name."""
    return list(connection.execute(_EVERY.order_by(gateways.c.handle)))


def environments_by_name(connection: Connection) -> dict[str, Environment]:
    """Every place to deploy to."""
    return {row.handle: Environment(row.id, row.handle, _split(row.vhost).hostname or "") for row in listed(connection)}


def view(row: Row[Any], *, active: bool) -> dict[str, object]:
    """A gateway as the Admin API shows it."""
    return {
        "id": row.id,
        "name": row.handle,
        "displayName": row.display_name,
        "description": row.description,
        "properties": msgspec.json.decode(row.properties),
        "vhost": row.vhost,
        "isActive": active,
        "permissions": msgspec.json.decode(row.permissions),
        "createdAt": Timestamp.from_ms(row.created_at).text(),
        "updatedAt": Timestamp.from_ms(row.updated_at).text(),
    }


def environment_view(row: Row[Any], *, active: bool) -> dict[str, object]:
    """A gateway as an environment."""
    address = _split(row.vhost)
    return {
        "id": row.id,
        "name": row.handle,
        "displayName": row.display_name,
        "description": row.description,
        "type": "hybrid",
        "mode": "WRITE_ONLY",
        "provider": "wso2",
        "gatewayType": "APIPlatform",
        "isReadOnly": False,
        "status": "Active" if active else "Inactive",
        "permissions": msgspec.json.decode(row.permissions),
        "vhosts": [{"host": address.hostname, "httpsPort": address.port or DEFAULT_VHOST_PORT}],
    }


def _added(unit: Unit, gateway_id: str, wanted: GatewayRequest) -> Row[Any]:
    now = unit.now.unix_ms
    last = unit.connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'events'").scalar()
    unit.connection.execute(
        insert(gateways).values(
            id=gateway_id,
            handle=wanted.name,
            display_name=wanted.display_name,
            description=wanted.description,
            endpoints=encode([wanted.vhost]).decode(),
            functionality_type="regular",
            is_critical=False,
            properties=encode(wanted.properties).decode(),
            version="",
            # A new gateway has nothing to catch up on.
            confirmed_seq=int(last or 0),
            created_at=now,
            updated_at=now,
        )
    )
    unit.connection.execute(
        insert(environments).values(
            gateway_id=gateway_id, vhost=wanted.vhost, permissions=encode(wanted.permissions).decode()
        )
    )
    return find(unit.connection, gateway_id)


def _check_new(connection: Connection, wanted: GatewayRequest) -> None:
    problems, name = _problems(wanted), wanted.name or ""
    if _NAME.fullmatch(name) is None:
        problems.append("name must have 3 to 64 of a-z, 0-9 and -")
    if not _is_vhost(wanted.vhost or ""):
        problems.append("vhost must be an address such as https://gw.example.com:8443")
    if problems:
        raise Refusal(400, "; ".join(problems))
    if connection.execute(select(gateways.c.id).where(gateways.c.handle == name)).first() is not None:
        raise Refusal(409, f"A gateway or environment with name '{name}' already exists.")


def _problems(wanted: GatewayRequest) -> list[str]:
    problems = []
    if not (wanted.display_name or "").strip() or len(wanted.display_name or "") > 128:
        problems.append("displayName must have 1 to 128 characters")
    if len(wanted.description) > 1023:
        problems.append("description may have 1023 characters")
    if wanted.permissions.permission_type not in _PERMISSIONS:
        problems.append(f"permissionType must be one of {', '.join(_PERMISSIONS)}")
    return problems


def _is_vhost(vhost: str) -> bool:
    try:
        address = _split(vhost)
        return 1 <= len(address.hostname or "") <= 255 and (address.port is None or address.port > 0)
    except ValueError:
        return False


def _split(vhost: str) -> Any:  # noqa: ANN401 - urllib's own type
    return urlsplit(vhost if "://" in vhost else f"https://{vhost}")
