"""Runs the pipeline around every endpoint.

Order, outermost first: correlation id, recovery, metrics, match (404 and 405 as text), parameters (400 as text),
deprecation headers of paths without prefix, immutable mode, authentication, authorization, guard, endpoint.
Source: management API reference, 1.1 to 2 and 22.
"""

import time
import uuid
from collections.abc import Callable, Iterable

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatewright.management.bodies import denial, failure, text
from gatewright.management.identity import Authenticator, Busy, Identity, NoCredentials
from gatewright.management.matching import (
    BadParameter,
    Operation,
    RouteTable,
    WrongMethod,
    bound,
    cleaned,
    single_valued,
)
from gatewright.management.metrics import CONCURRENT_REQUESTS, http_request
from gatewright.management.requests import BodyTooLarge, BodyTooSlow, Call
from gatewright.observability import tracing

__all__ = ["Mux", "Operation"]

CORRELATION_HEADER = "x-correlation-id"
LONGEST_CORRELATION_ID = 256
UNMATCHED = "unmatched"
_WRITES = frozenset({"POST", "PUT", "DELETE"})
_IMMUTABLE = "Gateway is in immutable mode. Mutating operations are not allowed."
_log = structlog.get_logger(__name__)


class _Exchange:
    """What is known of a request while it is answered; for the log and the metrics."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.correlation_id = _correlation_id(request)
        self.started = time.perf_counter()
        self.endpoint = UNMATCHED
        self.user = ""


class Mux:
    """An ASGI application over a table of operations, each also reachable without the base path (deprecated)."""

    def __init__(
        self,
        base: str,
        operations: Iterable[Operation],
        authenticator: Authenticator,
        *,
        correlated: bool = True,
        immutable: bool = False,
        guard: Callable[[Call], Response | None] | None = None,
    ) -> None:
        """`correlated`: answers carry a correlation id, and requests count in the metrics (not so on the admin port).

        `immutable`: writes are refused, whoever asks. `guard` runs after authorization and may refuse a call (the
        admin port's list of addresses).
        """
        self._base = base
        self._table = RouteTable(operations)
        self._authenticator = authenticator
        self._correlated = correlated
        self._immutable = immutable
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        exchange = _Exchange(Request(scope, receive))
        with structlog.contextvars.bound_contextvars(correlation_id=exchange.correlation_id):
            response = await self._counted(exchange)
        if self._correlated:
            response.headers[CORRELATION_HEADER] = exchange.correlation_id
        if exchange.request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _counted(self, exchange: _Exchange) -> Response:
        if not self._correlated:
            return await self._recovering(exchange)
        with CONCURRENT_REQUESTS.track_inprogress():
            response = await self._recovering(exchange)
        request, seconds = exchange.request, time.perf_counter() - exchange.started
        received = request.headers.get("content-length", "")
        http_request(request.method, exchange.endpoint, response, received=received, seconds=seconds)
        write = _log.info if request.method in _WRITES else _log.debug
        write(
            "request",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            user=exchange.user,
            milliseconds=round(seconds * 1000, 1),
        )
        return response

    async def _recovering(self, exchange: _Exchange) -> Response:
        try:
            return await self._answer(exchange)
        except BadParameter as error:
            return text(str(error), 400)
        except ClientDisconnect:
            return failure(400, "Failed to read request body")
        except Exception:  # noqa: BLE001 - one request must never end the server
            _log.exception("a request failed", method=exchange.request.method, path=exchange.request.url.path)
            return failure(500, "Internal server error")

    async def _answer(self, exchange: _Exchange) -> Response:
        request = exchange.request
        path = _sent_path(request)
        clean = cleaned(path)
        if clean != path:
            return Response(status_code=301, headers={"location": clean + _query_suffix(request)})
        legacy = not path.startswith(self._base + "/")
        found = self._table.find(path if legacy else path[len(self._base) :], request.method)
        if found is None:
            return text("404 page not found", 404)
        if isinstance(found, WrongMethod):
            return text("Method Not Allowed", 405, {"allow": ", ".join(found.allowed)})
        operation = found.operation
        exchange.endpoint = f"{operation.method} {'' if legacy else self._base}{operation.path}"
        query = single_valued(_query(request), operation.query)
        call = Call(request, bound(found.parameters), query, exchange.correlation_id)
        try:
            response = await self._permitted(operation, call, exchange)
        except BodyTooLarge as error:
            response = failure(413, str(error))
        except BodyTooSlow as error:
            response = failure(408, str(error))
        if legacy:
            self._mark_deprecated(response, path)
        return response

    async def _permitted(self, operation: Operation, call: Call, exchange: _Exchange) -> Response:
        if self._immutable and operation.method in _WRITES:
            return failure(405, _IMMUTABLE)
        if not operation.roles:
            return await operation.endpoint(call)
        identity = await self._authenticator.identify(call.request.headers.get("authorization", ""))
        if not isinstance(identity, Identity):
            return _unidentified(identity, call.request)
        exchange.user = identity.user
        if not identity.roles & operation.roles:
            return denial(403, "forbidden", "forbidden")
        call = msgspec.structs.replace(call, user=identity.user, roles=identity.roles)
        refused = self._guard(call) if self._guard else None
        if refused is not None or operation.method not in _WRITES or not self._correlated:
            return refused or await operation.endpoint(call)
        tracing.begin(call.correlation_id, exchange.endpoint)
        status = 500
        try:
            response = await operation.endpoint(call)
            status = response.status_code
        finally:
            tracing.settle(call.correlation_id, str(status), failed=status >= 400)
        return response

    def _mark_deprecated(self, response: Response, path: str) -> None:
        response.headers["deprecation"] = "true"
        response.headers["link"] = f'<{self._base}{path}>; rel="successor-version"'
        response.headers["warning"] = f'299 - "Deprecated API: migrate to {self._base} prefix"'


def _unidentified(why: object, request: Request) -> Response:
    if isinstance(why, NoCredentials):
        return denial(401, "skip_authz", "no valid authentication credentials provided")
    peer = request.client.host if request.client else ""
    if isinstance(why, Busy):
        _log.warning("too many credentials wait to be checked", peer=peer)
        response = failure(503, "too many credentials are being checked; try again in a second")
        response.headers["retry-after"] = "1"
        return response
    # The name is not logged: people type passwords into the wrong field.
    _log.warning("credentials were refused", peer=peer)
    return denial(401, "authentication_failed", "authentication failed")


def _correlation_id(request: Request) -> str:
    given = request.headers.get(CORRELATION_HEADER, "")
    if given and len(given) <= LONGEST_CORRELATION_ID and given.isprintable():
        return str(given)
    return str(uuid.uuid4())


def _sent_path(request: Request) -> str:
    """The path as sent, percent-encoded; of an absolute target (`GET http://host/path`) the path only."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    path = str(raw.split(b"?", 1)[0].decode("latin-1"))
    if path.startswith(("http://", "https://")):
        _, slash, rest = path.partition("://")[2].partition("/")
        return slash + rest if slash else "/"
    return path


def _query(request: Request) -> str:
    return str(request.scope.get("query_string", b"").decode("latin-1"))


def _query_suffix(request: Request) -> str:
    query = _query(request)
    return f"?{query}" if query else ""
