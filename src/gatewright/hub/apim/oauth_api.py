"""Client registration and the token endpoint."""

import base64
import binascii
from typing import Final
from urllib.parse import parse_qsl

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gatewright.hub.apim import accounts, oauth
from gatewright.hub.apim.oauth import Client, InvalidGrant, Issued, Profile
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.services import Services
from gatewright.hub.http import as_json, read_body, read_json
from gatewright.hub.store import Unit
from gatewright.wire.codec import encode
from gatewright.wire.paths import JSON_TYPE

REGISTER: Final = "/client-registration/v0.17/register"
TOKEN: Final = "/oauth2/token"  # noqa: S105 - a path

_FORM: Final = "application/x-www-form-urlencoded"
_CHALLENGE: Final = {"www-authenticate": 'Basic realm="is.com"'}
_NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}
_MAX_FORM: Final = 65_536
_MAX_FIELDS: Final = 64


class OauthRefusal(Exception):
    """A token request is refused in OAuth2's own words."""

    def __init__(self, status: int, error: str, description: str) -> None:
        self.status = status
        self.error = error
        self.description = description
        super().__init__(description)


class OauthApi:
    """The endpoints that hand out credentials."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """At the root of the server."""
        return [
            Route(REGISTER, self._register, methods=["POST"]),
            Route(REGISTER, _unregister, methods=["DELETE"]),
            Route(TOKEN, self._token, methods=["POST"]),
        ]

    async def _register(self, request: Request) -> Response:
        name, password = basic_credentials(request)
        user = await self._services.store.read(lambda connection: accounts.sign_in(connection, name, password))
        if user is None:
            raise Refusal(401, "User name and password are not accepted.", headers=_CHALLENGE)
        profile = await read_json(request, Profile)
        client = await self._services.store.write(lambda unit: oauth.register(unit, user, profile))
        return as_json(_registered(client))

    async def _token(self, request: Request) -> Response:
        mode = self._services.fault(request, "token_mode")
        if mode == "401":
            return _refused(OauthRefusal(401, "invalid_client", "A valid OAuth client could not be found."))
        if mode == "500":
            return _refused(OauthRefusal(500, "server_error", "Internal server error."))
        try:
            issued = await self._issued(request, mode)
        except OauthRefusal as refusal:
            return _refused(refusal)
        if mode == "malformed":
            return Response(b'{"access_token":"', headers=_NO_STORE, media_type=JSON_TYPE)
        answer: dict[str, object] = {"scope": issued.scope, "token_type": "Bearer", "expires_in": issued.expires_in}
        if issued.refresh_token:
            answer["refresh_token"] = issued.refresh_token
        if mode != "no_token":
            answer["access_token"] = issued.access_token
        return as_json(answer, headers=_NO_STORE)

    async def _issued(self, request: Request, mode: str) -> Issued:
        form = await _form(request)
        client = await self._client(request, form, public=mode == "public_ropc")
        grant = form.get("grant_type", "")
        if grant not in oauth.GRANTS:
            raise OauthRefusal(400, "unsupported_grant_type", "Unsupported grant_type value")
        if client is not None and grant not in client.grants:
            message = "The authenticated client is not authorized to use this authorization grant type"
            raise OauthRefusal(400, "unauthorized_client", message)
        lifetime = 1.0 if mode == "expires_1" else self._services.config.token_lifetime
        # Checked in a reading thread: hashing passwords would hold up every other change.
        user = await self._user(client, grant, form)

        def work(unit: Unit) -> Issued:
            client_id, scope = client.id if client is not None else oauth.PUBLIC, form.get("scope", "")
            if grant == oauth.REFRESH_TOKEN:
                return oauth.refresh(unit, client_id, form.get("refresh_token", ""), scope, lifetime)
            return oauth.give(unit, client_id, user, scope, lifetime, refreshable=grant == oauth.PASSWORD)

        try:
            return await self._services.store.write(work)
        except InvalidGrant as error:
            raise OauthRefusal(400, "invalid_grant", str(error)) from None

    async def _user(self, client: Client | None, grant: str, form: dict[str, str]) -> str:
        """For whom the token will speak; a refresh token knows that itself."""
        if grant == oauth.CLIENT_CREDENTIALS and client is not None:
            return client.owner
        if grant != oauth.PASSWORD:
            return ""
        name, password = form.get("username", ""), form.get("password", "")
        user = await self._services.store.read(lambda connection: accounts.sign_in(connection, name, password))
        if user is None:
            raise OauthRefusal(400, "invalid_grant", "Authentication failed for the given user")
        return user

    async def _client(self, request: Request, form: dict[str, str], *, public: bool) -> Client | None:
        """The client that authenticates itself; None only where a public one is accepted."""
        refusal = OauthRefusal(401, "invalid_client", "Client Authentication failed.")
        if request.headers.get("authorization"):
            try:
                client_id, secret = basic_credentials(request)
            except Refusal:
                raise refusal from None
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
            if not client_id and public and form.get("grant_type") == oauth.PASSWORD:
                return None

        def known(connection: Connection) -> Client | None:
            return oauth.authenticated(connection, self._services.store.vault, client_id, secret)

        client = await self._services.store.read(known)
        if client is None:
            raise refusal
        return client


def basic_credentials(request: Request) -> tuple[str, str]:
    """User and password of the Authorization header. Raises Refusal 401."""
    refusal = Refusal(401, "Give user name and password as 'Authorization: Basic …'.", headers=_CHALLENGE)
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise refusal
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise refusal from None
    if not colon:
        raise refusal
    return user, password


async def _form(request: Request) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith(_FORM):
        raise OauthRefusal(400, "invalid_request", f"The body must be {_FORM}.")
    body = await read_body(request, _MAX_FORM)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise OauthRefusal(400, "invalid_request", "The body is not an encoded form.") from None
    return dict(pairs)


async def _unregister(_request: Request) -> Response:
    raise Refusal(500, "Clients cannot be removed here.")


def _registered(client: Client) -> dict[str, object]:
    parameters = {"client_name": client.name, "grant_types": " ".join(client.grants)}
    return {
        "clientId": client.id,
        "clientName": client.name,
        "callBackURL": client.callback_url or None,
        "clientSecret": client.secret,
        "isSaasApplication": client.saas,
        "appOwner": client.owner,
        "jsonString": encode(parameters).decode(),
        "jsonAppAttribute": "{}",
        "applicationUUID": None,
        "tokenType": client.token_type or None,
    }


def _refused(refusal: OauthRefusal) -> Response:
    body = encode({"error_description": refusal.description, "error": refusal.error})
    headers = {**_NO_STORE, **(_CHALLENGE if refusal.status == 401 else {})}
    return Response(body, refusal.status, headers, JSON_TYPE)
