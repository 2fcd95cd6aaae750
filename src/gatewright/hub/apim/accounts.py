"""Users, their passwords and roles, and which scopes the roles open. Transactions, no network."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select

from gatewright.hub.apim.config import User
from gatewright.hub.apim.tables import users
from gatewright.hub.store import Unit

ADMIN: Final = "admin"
CREATOR: Final = "Internal/creator"
PUBLISHER: Final = "Internal/publisher"
DEVOPS: Final = "Internal/devops"
SUBSCRIBER: Final = "Internal/subscriber"
OBSERVER: Final = "Internal/observer"

SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "apim:admin": frozenset({ADMIN}),
    "apim:api_import_export": frozenset({ADMIN, DEVOPS}),
    "apim:api_view": frozenset({ADMIN, CREATOR, PUBLISHER, DEVOPS, OBSERVER}),
    "apim:api_create": frozenset({ADMIN, CREATOR}),
    "apim:api_manage": frozenset({ADMIN, CREATOR, PUBLISHER}),
    "apim:api_publish": frozenset({ADMIN, PUBLISHER}),
    "apim:api_delete": frozenset({ADMIN, CREATOR}),
    "apim:api_key": frozenset({ADMIN, SUBSCRIBER}),
    "apim:subscribe": frozenset({ADMIN, SUBSCRIBER}),
    "openid": frozenset(),
}
"""Scope → the roles of which a user needs one; none for a scope that is everybody's."""

NO_SCOPE: Final = "default"

TENANT: Final = "@carbon.super"
"""May stand behind every name of a user."""
# Cheap enough for a token request per call of a gateway, dear enough for a file that is stolen from a test machine.
_COST: Final = {"n": 4096, "r": 8, "p": 1}


def keep(unit: Unit, wanted: Iterable[User]) -> None:
    """Make users, or give them this password and these roles."""
    for user in wanted:
        salt = secrets.token_bytes(16)
        unit.connection.execute(delete(users).where(users.c.name == user.name))
        unit.connection.execute(
            insert(users).values(
                name=user.name,
                salt=salt,
                password_hash=_hashed(user.password, salt),
                roles=msgspec.json.encode(user.roles).decode(),
            )
        )


def sign_in(connection: Connection, name: str, password: str) -> str | None:
    """The user behind a name and a password, None when they do not belong together."""
    name = name.removesuffix(TENANT)
    row = connection.execute(select(users).where(users.c.name == name)).first()
    salt, expected = (row.salt, row.password_hash) if row is not None else (b"", b"")
    # Hashed for an unknown user too: the time tells nothing.
    matches = hmac.compare_digest(_hashed(password, salt), expected)
    return name if matches else None


def exists(connection: Connection, name: str) -> bool:
    """True for a user."""
    return connection.execute(select(users.c.name).where(users.c.name == name)).first() is not None


def granted(connection: Connection, user: str, requested: str) -> str:
    """The part of the requested scopes (space-separated) that the user's roles open; `default` when none is left."""
    found = connection.execute(select(users.c.roles).where(users.c.name == user)).scalar()
    roles = set(msgspec.json.decode(found, type=list[str])) if found is not None else set()
    scopes = [scope for scope in dict.fromkeys(requested.split()) if scope in SCOPES and _open(SCOPES[scope], roles)]
    return " ".join(scopes) or NO_SCOPE


def listed(connection: Connection) -> list[dict[str, object]]:
    """Users with their roles."""
    rows = connection.execute(select(users.c.name, users.c.roles).order_by(users.c.name))
    return [{"name": row.name, "roles": msgspec.json.decode(row.roles)} for row in rows]


def _open(needed: frozenset[str], roles: set[str]) -> bool:
    return not needed or bool(needed & roles)


def _hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, **_COST)
