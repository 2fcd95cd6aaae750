"""OAuth2 clients and the tokens they get. Transactions, no network."""

import hmac
import secrets
import string
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select

from gatewright.hub.apim import accounts
from gatewright.hub.apim.config import SUPER_ADMIN
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.tables import access_tokens, clients
from gatewright.hub.store import Unit
from gatewright.hub.vault import Vault
from gatewright.wire.identifiers import token_hash

ACCESS: Final = "access"
REFRESH: Final = "refresh"
PUBLIC: Final = ""
"""Client id of tokens that were given without any client."""

CLIENT_CREDENTIALS: Final = "client_credentials"
PASSWORD: Final = "password"  # noqa: S105 - the name of a grant
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a grant
GRANTS: Final = (CLIENT_CREDENTIALS, PASSWORD, REFRESH_TOKEN)
_NEEDS_CALLBACK: Final = ("authorization_code", "implicit")

MAX_CLIENTS: Final = 10_000
_REFRESH_LIFETIME_MS: Final = 24 * 3600 * 1000
_SEALED: Final = "oauth client"
_ALPHABET: Final = string.ascii_letters + string.digits + "_"
_MAX_NAME: Final = 255


class Profile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of a registration. Further members are accepted and not used."""

    client_name: str = ""
    owner: str = ""
    grant_type: str = ""
    saas_app: bool = False
    callback_url: str | None = None
    token_type: str | None = None


class Client(msgspec.Struct, frozen=True):
    """A registered client with its plain secret."""

    id: str
    secret: str
    name: str
    owner: str
    grants: tuple[str, ...]
    saas: bool
    callback_url: str
    token_type: str

    def __repr__(self) -> str:
        return f"Client({self.name!r})"


class Bearer(msgspec.Struct, frozen=True):
    """Whom a valid access token speaks for, and what it opens."""

    user: str
    scopes: frozenset[str]


class Issued(msgspec.Struct, frozen=True):
    """A new access token, its lifetime in seconds, and a refresh token for some."""

    access_token: str
    scope: str
    expires_in: int
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"Issued({self.scope!r})"


class InvalidGrant(Exception):
    """User and password, or a refresh token, are not accepted."""


def register(unit: Unit, user: str, profile: Profile) -> Client:
    """Make a client, or answer the one of that name as it is. Raises Refusal."""
    if not profile.client_name.strip() or len(profile.client_name) > _MAX_NAME:
        raise Refusal(400, f"clientName must have 1 to {_MAX_NAME} characters.")
    owner = profile.owner.removesuffix(accounts.TENANT)
    if user not in {owner, SUPER_ADMIN}:
        raise Refusal(400, f"Logged in user '{user}' and application owner '{owner}' should be same.")
    found = unit.connection.execute(select(clients).where(clients.c.name == profile.client_name)).first()
    if found is not None:
        if found.owner != owner:
            raise Refusal(403, f"Access to the application {profile.client_name} is forbidden for {owner}.")
        return _client(found, unit.vault)
    if not accounts.exists(unit.connection, owner):
        raise Refusal(500, f"Error occurred while trying to create the client application: no user {owner!r}.")
    count = unit.connection.exec_driver_sql("SELECT COUNT(*) FROM oauth_clients").scalar_one()
    if count >= MAX_CLIENTS:
        raise Refusal(500, f"Error occurred while trying to create the client application: there are {count}.")
    callback = (profile.callback_url or "").strip()
    grants = [grant for grant in dict.fromkeys(profile.grant_type.split()) if callback or grant not in _NEEDS_CALLBACK]
    values = {
        "id": _random(28),
        "name": profile.client_name,
        "secret_sealed": unit.vault.seal(_random(28), _SEALED),
        "owner": owner,
        "grants": " ".join(grants),
        "saas": profile.saas_app,
        "callback_url": callback,
        "token_type": profile.token_type or "",
        "created_at": unit.now.unix_ms,
    }
    unit.connection.execute(insert(clients).values(**values))
    row = unit.connection.execute(select(clients).where(clients.c.id == values["id"])).one()
    return _client(row, unit.vault)


def authenticated(connection: Connection, vault: Vault, client_id: str, secret: str) -> Client | None:
    """The client behind an id and a secret."""
    row = connection.execute(select(clients).where(clients.c.id == client_id)).first()
    if row is None:
        return None
    client = _client(row, vault)
    return client if hmac.compare_digest(client.secret.encode(), secret.encode()) else None


def give(unit: Unit, client_id: str, user: str, scope: str, lifetime: float, *, refreshable: bool) -> Issued:
    """A token for `user`, with as many of the requested scopes as the user's roles open. `lifetime` in seconds."""
    reduced = accounts.granted(unit.connection, user, scope)
    expires_at = unit.now.unix_ms + int(lifetime * 1000)
    access = _keep(unit, ACCESS, client_id, user, scope=reduced, expires_at=expires_at)
    renewal = ""
    if refreshable:
        ends = unit.now.unix_ms + _REFRESH_LIFETIME_MS
        renewal = _keep(unit, REFRESH, client_id, user, scope=reduced, expires_at=ends)
    return Issued(access_token=access, scope=reduced, expires_in=int(lifetime), refresh_token=renewal)


def refresh(unit: Unit, client_id: str, presented: str, scope: str, lifetime: float) -> Issued:
    """A new pair for a refresh token, which ends. Raises InvalidGrant."""
    hashed = token_hash(presented)
    row = unit.connection.execute(
        select(access_tokens).where(access_tokens.c.hash == hashed, access_tokens.c.kind == REFRESH)
    ).first()
    if row is None or row.client_id != client_id or row.expires_at <= unit.now.unix_ms:
        raise InvalidGrant("Persisted access token data not found")
    unit.connection.execute(delete(access_tokens).where(access_tokens.c.hash == hashed))
    return give(unit, client_id, row.user, scope or row.scope, lifetime, refreshable=True)


def bearer(connection: Connection, presented: str, now_ms: int) -> Bearer | None:
    """What an access token opens; None for an unknown, expired or revoked one."""
    row = connection.execute(
        select(access_tokens).where(
            access_tokens.c.hash == token_hash(presented),
            access_tokens.c.kind == ACCESS,
            access_tokens.c.expires_at > now_ms,
        )
    ).first()
    return None if row is None else Bearer(row.user, frozenset(row.scope.split()))


def revoke_all(unit: Unit) -> int:
    """End every token at once; answers how many."""
    return unit.connection.execute(delete(access_tokens)).rowcount


def purge(unit: Unit) -> None:
    """Remove tokens that have expired."""
    unit.connection.execute(delete(access_tokens).where(access_tokens.c.expires_at <= unit.now.unix_ms))


def _keep(unit: Unit, kind: str, client_id: str, user: str, *, scope: str, expires_at: int) -> str:
    plain = secrets.token_urlsafe(32)
    unit.connection.execute(
        insert(access_tokens).values(
            hash=token_hash(plain), kind=kind, client_id=client_id, user=user, scope=scope, expires_at=expires_at
        )
    )
    return plain


def _client(row: Row[Any], vault: Vault) -> Client:
    return Client(
        id=row.id,
        secret=vault.unseal(row.secret_sealed, _SEALED),
        name=row.name,
        owner=row.owner,
        grants=tuple(row.grants.split()),
        saas=row.saas,
        callback_url=row.callback_url,
        token_type=row.token_type,
    )


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
