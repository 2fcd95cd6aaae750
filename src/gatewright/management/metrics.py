"""Metrics of the management API under the original's names, and the port that shows all metrics of this process.

Source: management API reference, section 20. The HTTP series cover the management API only.
"""

import gzip
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import gatewright
from gatewright.deployment.deployments import Deployments
from gatewright.management.bodies import text
from gatewright.observability.metrics import REGISTRY, exposition
from gatewright.store.errors import StoreUnavailable

REST_API = "rest_api"
API_TYPES = {
    "RestApi": REST_API,
    "LlmProviderTemplate": "llm_provider_template",
    "LlmProvider": "llm_provider",
    "LlmProxy": "llm_proxy",
    "Mcp": "mcp_proxy",
}
"""Kind → label. The original counts RestApi only."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BYTES = (100, 1e3, 1e4, 1e5, 1e6)
_log = structlog.get_logger(__name__)

API_OPERATIONS = Counter(
    "gateway_controller_api_operations",
    "Writes of APIs through the management API.",
    ["operation", "status", "api_type"],
    registry=REGISTRY,
)
API_OPERATION_SECONDS = Histogram(
    "gateway_controller_api_operation_duration_seconds",
    "Time of successful writes of APIs.",
    ["operation", "api_type"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
APIS = Gauge(
    "gateway_controller_apis_total",
    "APIs in the database; counted when metrics are read.",
    ["api_type", "status"],
    registry=REGISTRY,
)
VALIDATION_ERRORS = Counter(
    "gateway_controller_validation_errors",
    "Documents refused by the management API.",
    ["operation", "error_type"],
    registry=REGISTRY,
)
UP = Gauge("gateway_controller_up", "1 while the controller runs.", registry=REGISTRY)
INFO = Gauge(
    "gateway_controller_info",
    "Build and storage of this controller.",
    ["version", "storage_type", "build_date"],
    registry=REGISTRY,
)
_HTTP_REQUESTS = Counter(
    "gateway_controller_http_requests",
    "Requests to the management API.",
    ["method", "endpoint", "status_code"],
    registry=REGISTRY,
)
_HTTP_SECONDS = Histogram(
    "gateway_controller_http_request_duration_seconds",
    "Time to answer requests to the management API.",
    ["method", "endpoint"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
_HTTP_REQUEST_BYTES = Histogram(
    "gateway_controller_http_request_size_bytes",
    "Declared length of request bodies; 0 when unknown.",
    ["endpoint"],
    buckets=_BYTES,
    registry=REGISTRY,
)
_HTTP_RESPONSE_BYTES = Histogram(
    "gateway_controller_http_response_size_bytes",
    "Length of response bodies.",
    ["endpoint"],
    buckets=_BYTES,
    registry=REGISTRY,
)
CONCURRENT_REQUESTS = Gauge(
    "gateway_controller_concurrent_requests",
    "Requests to the management API that are being answered.",
    registry=REGISTRY,
)


def http_request(method: str, endpoint: str, response: Response, *, received: str, seconds: float) -> None:
    """Count one answered request. `endpoint` is the matched pattern, `received` the header content-length."""
    known = method if method in _METHODS else "OTHER"
    _HTTP_REQUESTS.labels(known, endpoint, str(response.status_code)).inc()
    _HTTP_SECONDS.labels(known, endpoint).observe(seconds)
    _HTTP_REQUEST_BYTES.labels(endpoint).observe(float(received[:15]) if received.isdecimal() else 0)
    _HTTP_RESPONSE_BYTES.labels(endpoint).observe(len(response.body))


class Outcome:
    """How a write of an API ended; a success unless somebody says otherwise."""

    def __init__(self) -> None:
        self.succeeded = True

    def invalid(self, operation: str, error_type: str, count: int = 1) -> None:
        """The document was refused, with this many problems."""
        self.succeeded = False
        VALIDATION_ERRORS.labels(operation, error_type).inc(count)


@contextmanager
def api_operation(operation: str, api_type: str = REST_API) -> Iterator[Outcome]:
    """Count one write and its time. `operation`: create, update, delete. `api_type`: a value of `API_TYPES`."""
    outcome = Outcome()
    started = perf_counter()
    try:
        yield outcome
    except BaseException:
        outcome.succeeded = False
        raise
    finally:
        API_OPERATIONS.labels(operation, "success" if outcome.succeeded else "error", api_type).inc()
        if outcome.succeeded:
            API_OPERATION_SECONDS.labels(operation, api_type).observe(perf_counter() - started)


def counting(deployments: Deployments, *, storage_type: str) -> Callable[[], Awaitable[None]]:
    """Refreshes the gauges that are read from elsewhere. While the database is away they keep their values."""
    UP.set(1)
    INFO.labels(gatewright.__version__, storage_type, "").set(1)

    async def refresh() -> None:
        try:
            for kind, api_type in API_TYPES.items():
                APIS.labels(api_type, "active").set(await deployments.count(kind))
        except StoreUnavailable as error:
            _log.warning("APIs cannot be counted", error=str(error))

    return refresh


def metrics_app(refresh: Callable[[], Awaitable[None]]) -> ASGIApp:
    """The metrics port: `/metrics` in the format that the scraper asks for, `/health`. Open to all."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await _answer(Request(scope), refresh)
        await response(scope, receive, send)

    return app


async def _answer(request: Request, refresh: Callable[[], Awaitable[None]]) -> Response:
    if request.url.path not in {"/metrics", "/health"}:
        return text("404 page not found", 404)
    if request.method not in {"GET", "HEAD"}:
        return text("Method Not Allowed", 405, {"allow": "GET, HEAD"})
    if request.url.path == "/health":
        return Response("OK", 200, {"content-type": "text/plain; charset=utf-8"})
    await refresh()
    body, content_type = exposition(request.headers.get("accept", ""))
    headers = {"content-type": content_type, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(gzip.compress(body, 5), 200, {**headers, "content-encoding": "gzip"})
    return Response(body, 200, headers)
