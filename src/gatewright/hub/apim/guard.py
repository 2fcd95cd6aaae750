"""Who may call: a bearer token with one of the scopes that an endpoint asks for."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from gatewright.hub.apim import oauth
from gatewright.hub.apim.oauth import Bearer
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.services import Services

Endpoint = Callable[[Request], Awaitable[Response]]
BearerEndpoint = Callable[[Request, Bearer], Awaitable[Response]]

_CHALLENGE = {"www-authenticate": 'Bearer realm="API Manager"'}


class Guard:
    """Turns endpoints into ones that only a valid token reaches."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(self, endpoint: BearerEndpoint, *scopes: str) -> Endpoint:
        """The endpoint behind any one of `scopes`."""

        async def guarded(request: Request) -> Response:
            caller = await self._bearer(request)
            if caller.scopes.isdisjoint(scopes):
                message = "The access token does not allow you to access the requested resource"
                raise Refusal(403, f"{message}: it needs one of {', '.join(scopes)}.", code=900910)
            return await endpoint(request, caller)

        return guarded

    async def _bearer(self, request: Request) -> Bearer:
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not presented.strip():
            raise Refusal(401, "Missing Credentials: give 'Authorization: Bearer …'.", headers=_CHALLENGE)
        now_ms = self._services.clock() // 1_000_000
        found = await self._services.store.read(lambda connection: oauth.bearer(connection, presented.strip(), now_ms))
        if found is None:
            raise Refusal(401, "Invalid or expired access token.", code=900901, headers=_CHALLENGE)
        return found
