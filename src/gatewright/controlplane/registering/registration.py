"""The way to credentials: register a client, see that it gets the scopes that a sync needs, register the gateway.

Source: bottom-up reference, sections 8 and 12. Registering a client again gives the same one, so that everything here
but the gateway's token may be repeated.
"""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from gatewright.controlplane.registering.calls import Calls, RegistrationFailed, Reply
from gatewright.observability.redaction import register_secret
from gatewright.wire.paths import WELL_KNOWN

REGISTER_PATH: Final = "/client-registration/v0.17/register"
TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
GATEWAYS_PATH: Final = "/api/am/admin/v4/gateways"
SYNC_SCOPES: Final = ("apim:api_import_export", "apim:api_view")
ADMIN_SCOPES: Final = ("apim:admin",)
GRANTS: Final = "client_credentials password refresh_token"
_ROLES: Final = "admin or Internal/devops"


class Account(msgspec.Struct, frozen=True):
    """The person who registers."""

    user: str
    password: SecretStr


class Client(msgspec.Struct, frozen=True):
    """What was registered. `scopes`: those that a token of it carries."""

    name: str
    owner: str
    client_id: str
    client_secret: SecretStr
    scopes: tuple[str, ...] = ()


class Gateway(msgspec.Struct, frozen=True):
    """A platform gateway at the API Manager and its registration token, which is shown only once."""

    id: str
    name: str
    token: SecretStr


class WantedGateway(msgspec.Struct, frozen=True):
    """`vhost` is the address at which consumers reach it. `new_token`: give one that exists already another token."""

    name: str
    display_name: str
    vhost: str
    new_token: bool = False


async def discover(calls: Calls) -> str:
    """The path of the gateway's endpoints, which only an API Manager has. Raises RegistrationFailed."""
    reply = await calls.get(WELL_KNOWN)
    path = reply.text("gatewayPath").strip().strip("/")
    if reply.status != 200 or not path:
        raise RegistrationFailed(
            "refused",
            f"{calls.host} is no API Manager 4.7: {WELL_KNOWN} answered HTTP {reply.status}",
            "check host and port; a cloud control plane needs no client",
        )
    return path


async def register_client(calls: Calls, account: Account, *, name: str, owner: str) -> Client:
    """Register `name` for `owner`, or find it again. Raises RegistrationFailed."""
    body = {"clientName": name, "owner": owner, "grantType": GRANTS, "saasApp": True}
    password = account.password.get_secret_value()
    reply = await calls.post(REGISTER_PATH, body, basic=(account.user, password))
    if reply.status != 200:
        raise _not_registered(calls.host, reply, account, name, owner)
    client_id, secret = reply.text("clientId"), reply.text("clientSecret")
    if not client_id or not secret:
        raise RegistrationFailed("refused", f"{calls.host} registered {name} without telling client id and secret")
    register_secret(secret)
    return Client(name, reply.text("appOwner") or owner, client_id, SecretStr(secret))


async def prove(calls: Calls, client: Client) -> Client:
    """The client with the scopes that a token of it has. Raises RegistrationFailed when those of a sync are missing."""
    scopes, _ = await _token(calls, client, SYNC_SCOPES)
    return msgspec.structs.replace(client, scopes=scopes)


async def register_gateway(calls: Calls, client: Client, wanted: WantedGateway) -> Gateway:
    """Register the gateway in the name of the client's owner. Raises RegistrationFailed."""
    _, bearer = await _token(calls, client, ADMIN_SCOPES)
    body = {"name": wanted.name, "displayName": wanted.display_name, "vhost": wanted.vhost}
    reply = await calls.post(GATEWAYS_PATH, body, bearer=bearer)
    if reply.status == 409:
        reply = await _again(calls, bearer, wanted)
    token = reply.text("registrationToken")
    if reply.status not in {200, 201} or not token:
        raise RegistrationFailed(
            "refused",
            f"the gateway {wanted.name} was not registered (HTTP {reply.status}): {reply.words or 'no token'}",
        )
    register_secret(token)
    return Gateway(reply.text("id"), wanted.name, SecretStr(token))


async def _again(calls: Calls, bearer: str, wanted: WantedGateway) -> Reply:
    """A new token for a gateway that exists."""
    if not wanted.new_token:
        raise RegistrationFailed(
            "refused",
            f"there is a gateway or an environment {wanted.name} already",
            "leave out --gateway to keep its token, or give it a new one with --new-token, which ends the present one",
        )
    listed = await calls.get(GATEWAYS_PATH, bearer=bearer)
    rows: Any = listed.tree.get("list") if isinstance(listed.tree, dict) else None
    same = [row for row in rows or () if isinstance(row, dict) and row.get("name") == wanted.name]
    ids = [str(row["id"]) for row in same if row.get("id")]
    if not ids:
        raise RegistrationFailed("refused", f"{wanted.name} is the name of another environment", "choose another name")
    return await calls.post(f"{GATEWAYS_PATH}/{quote(ids[0], safe='')}/regenerate-token", {}, bearer=bearer)


async def _token(calls: Calls, client: Client, scopes: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Granted scopes and a token. Raises RegistrationFailed."""
    fields = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
    reply = await calls.post_form(TOKEN_PATH, fields, basic=(client.client_id, client.client_secret.get_secret_value()))
    token = reply.text("access_token")
    if reply.status != 200 or not token:
        words = ": ".join(filter(None, (reply.text("error"), reply.text("error_description")))) or reply.words
        raise RegistrationFailed(
            "unauthorised" if reply.status == 401 else "refused",
            f"the client {client.name} gets no token (HTTP {reply.status}): {words or 'no access_token in the answer'}",
            "see the OAuth application of that name in the API Manager: it must allow the grant client_credentials",
        )
    register_secret(token)
    # An answer that names no scope grants what was asked for (RFC 6749, 5.1).
    granted = tuple(reply.text("scope").split()) or scopes
    missing = [scope for scope in scopes if scope not in granted]
    if missing:
        roles = "admin" if scopes == ADMIN_SCOPES else _ROLES
        raise RegistrationFailed(
            "unauthorised",
            f"a token of the client {client.name} lacks {' and '.join(missing)}: its owner {client.owner} has no right",
            f"give {client.owner} a role such as {roles}, or register another client for another owner",
        )
    return granted, token


def _not_registered(host: str, reply: Reply, account: Account, name: str, owner: str) -> RegistrationFailed:
    status, words = reply.status, reply.words
    if status == 401:
        return RegistrationFailed(
            "unauthorised", f"{host} does not accept the password of {account.user}", "check user name and password"
        )
    if status == 400 and account.user != owner:
        return RegistrationFailed(
            "refused",
            f"{account.user} may not register a client for {owner}: {words}",
            f"sign in as {owner} with --user, or leave out --owner",
        )
    if status == 403:
        return RegistrationFailed(
            "unauthorised",
            f"the client {name} belongs to somebody else than {owner}: {words}",
            "choose another name with --client-name, or sign in as its owner",
        )
    if status == 404:
        return RegistrationFailed("refused", f"{host} has no client registration", "check host and port")
    return RegistrationFailed(
        "refused", f"the client {name} was not registered (HTTP {status}): {words or 'no reason'}"
    )
