"""Matches requests as the original's router does, and runs the pipeline around every endpoint.

Order, outermost first: correlation id, recovery, match (404 and 405 as text), parameters (400 as text), deprecation
headers of paths without prefix, authentication, authorization, endpoint. Source: management API reference, 1.1 to 2.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import parse_qs, unquote, unquote_to_bytes

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatewright.management.bodies import denial, failure, text
from gatewright.management.identity import BasicAuthenticator, Identity, NoCredentials
from gatewright.management.requests import BodyTooLarge, Call

CORRELATION_HEADER = "x-correlation-id"
LONGEST_CORRELATION_ID = 256
_log = structlog.get_logger(__name__)

Endpoint = Callable[[Call], Awaitable[Response]]


class Operation(msgspec.Struct, frozen=True):
    """One method on one path template below the base path. Empty `roles`: open to all, without authentication."""

    method: str
    path: str
    endpoint: Endpoint
    roles: frozenset[str]
    query: frozenset[str] = frozenset()


class _Match(msgspec.Struct, frozen=True):
    operation: Operation
    parameters: Mapping[str, str]


class _Node:
    """A segment of the path templates: literal children, then one parameter."""

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: tuple[str, _Node] | None = None
        self.operations: dict[str, Operation] = {}


class Mux:
    """An ASGI application over a table of operations, each also reachable without the base path (deprecated)."""

    def __init__(
        self,
        base: str,
        operations: Iterable[Operation],
        authenticator: BasicAuthenticator,
        *,
        correlated: bool = True,
        guard: Callable[[Call], Response | None] | None = None,
    ) -> None:
        """`guard` runs after authorization and may refuse a call (the admin port's list of addresses)."""
        self._base = base
        self._root = _Node()
        self._authenticator = authenticator
        self._correlated = correlated
        self._guard = guard
        for operation in operations:
            self._add(operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        correlation_id = _correlation_id(request)
        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            response = await self._guarded(request, correlation_id)
        if self._correlated:
            response.headers[CORRELATION_HEADER] = correlation_id
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _guarded(self, request: Request, correlation_id: str) -> Response:
        try:
            return await self._answer(request, correlation_id)
        except BodyTooLarge as error:
            return failure(413, str(error))
        except Exception:  # noqa: BLE001 - one request must never end the server
            _log.exception("a request failed", method=request.method, path=request.url.path)
            return failure(500, "Internal server error")

    async def _answer(self, request: Request, correlation_id: str) -> Response:
        raw = _raw_path(request)
        clean = _cleaned(raw)
        if clean != raw:
            return Response(status_code=301, headers={"location": clean + _query_suffix(request)})
        legacy = not raw.startswith(self._base + "/")
        found = self._find(raw if legacy else raw[len(self._base) :], request.method)
        if isinstance(found, Response):
            return found
        parameters = _bound(found.parameters)
        if isinstance(parameters, Response):
            return parameters
        query = _single_valued(request.scope.get("query_string", b"").decode("latin-1"), found.operation.query)
        if isinstance(query, Response):
            return query
        call = Call(request, parameters, query, correlation_id)
        response = await self._authorized(found.operation, call)
        if legacy:
            self._mark_deprecated(response, raw)
        return response

    async def _authorized(self, operation: Operation, call: Call) -> Response:
        if not operation.roles:
            return await operation.endpoint(call)
        identity = await self._authenticator.identify(call.request.headers.get("authorization", ""))
        if isinstance(identity, NoCredentials):
            return denial(401, "skip_authz", "no valid authentication credentials provided")
        if not isinstance(identity, Identity):
            return denial(401, "authentication_failed", "authentication failed")
        if not identity.roles & operation.roles:
            return denial(403, "forbidden", "forbidden")
        call = msgspec.structs.replace(call, user=identity.user, roles=identity.roles)
        refused = self._guard(call) if self._guard else None
        return refused or await operation.endpoint(call)

    def _mark_deprecated(self, response: Response, path: str) -> None:
        response.headers["deprecation"] = "true"
        response.headers["link"] = f'<{self._base}{path}>; rel="successor-version"'
        response.headers["warning"] = f'299 - "Deprecated API: migrate to {self._base} prefix"'

    def _add(self, operation: Operation) -> None:
        node = self._root
        for segment in operation.path.strip("/").split("/"):
            if segment.startswith("{"):
                if node.parameter is None:
                    node.parameter = (segment[1:-1], _Node())
                node = node.parameter[1]
            else:
                node = node.literal.setdefault(segment, _Node())
        node.operations[operation.method] = operation

    def _find(self, path: str, method: str) -> _Match | Response:
        found = _descend(self._root, path.split("/")[1:], {})
        if found is None:
            return text("404 page not found", 404)
        node, parameters = found
        operation = node.operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = set(node.operations) | ({"HEAD"} if "GET" in node.operations else set())
            return text("Method Not Allowed", 405, {"allow": ", ".join(sorted(allowed))})
        return _Match(operation, parameters)


def _descend(node: _Node, segments: Sequence[str], parameters: dict[str, str]) -> tuple[_Node, dict[str, str]] | None:
    if not segments:
        return (node, parameters) if node.operations else None
    head, rest = segments[0], segments[1:]
    if head == "":
        return None
    child = node.literal.get(unquote(head))
    if child is not None:
        found = _descend(child, rest, parameters)
        if found is not None:
            return found
    if node.parameter is None:
        return None
    name, below = node.parameter
    return _descend(below, rest, {**parameters, name: head})


def _correlation_id(request: Request) -> str:
    given = request.headers.get(CORRELATION_HEADER, "")
    if given and len(given) <= LONGEST_CORRELATION_ID and given.isprintable():
        return str(given)
    return str(uuid.uuid4())


def _raw_path(request: Request) -> str:
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    return str(raw.split(b"?", 1)[0].decode("latin-1"))


def _query_suffix(request: Request) -> str:
    query = request.scope.get("query_string", b"").decode("latin-1")
    return f"?{query}" if query else ""


def _cleaned(path: str) -> str:
    """The path without `//`, `.` and `..`, as a redirect target; a trailing slash stays."""
    if "//" not in path and "/." not in path:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if path.endswith("/") and kept else "")


def _bound(parameters: Mapping[str, str]) -> dict[str, str] | Response:
    bound: dict[str, str] = {}
    for name, raw in parameters.items():
        try:
            bound[name] = unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            return text(f"Invalid format for parameter {name}: the path segment is not UTF-8", 400)
    return bound


def _single_valued(query: str, known: frozenset[str]) -> dict[str, str] | Response:
    values = parse_qs(query, keep_blank_values=True, max_num_fields=100) if query else {}
    for name in sorted(known):
        if len(values.get(name, ())) > 1:
            return text(
                f"Invalid format for parameter {name}: multiple values for single value parameter '{name}'", 400
            )
    return {name: found[0] for name, found in values.items() if name in known}
