"""REST calls to the control plane: typed, bounded in time and size, failures as values.

One pool of keep-alive connections (HTTP/1.1), which discovery shares, so that the first fetch finds a connection that
is already open. The token goes only to the configured host: redirects are followed within the origin, nowhere else.
Source: control-plane protocol reference, section 3.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import urljoin

import httpx2
import msgspec

import gatewright
from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.half_open import closing_trace
from gatewright.controlplane.network import network_problem
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.words import error_words, quoted, retry_after
from gatewright.wire import deployments as lists
from gatewright.wire import imports, paths, platform_secrets
from gatewright.wire.apikeys import ApiKeyRow, decode_api_keys
from gatewright.wire.archives import DEFAULT_LIMITS, Batch, read_batch, read_definition
from gatewright.wire.codec import encode
from gatewright.wire.failures import Undecodable
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.manifest import Manifest
from gatewright.wire.subscriptions import PlanRow, SubscriptionRow, decode_plans, decode_subscriptions

USER_AGENT: Final = f"gatewright/{gatewright.__version__}"
MEBIBYTE: Final = 1_048_576
LIST_LIMIT: Final = 64 * MEBIBYTE
ERROR_LIMIT: Final = 16_384
_CONNECTIONS: Final = 10
_KEEP_ALIVE: Final = 90.0
"""Seconds; below the 120 s after which Platform API closes an idle connection."""
_REDIRECTS: Final = 10
_GRACE: Final = 1.0
"""Seconds that calls get when the pool is closed."""

_SMALL: Final = 65_536
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

T = TypeVar("T")


class CallFailed(msgspec.Struct, frozen=True):
    """A call that gave nothing. `temporary`: the same call may succeed later. `retry_after` in seconds.

    `problem` says more when there was no connection.

    Codes: CALL_UNREACHABLE, CALL_TIMEOUT, CALL_STATUS, CALL_TOO_LARGE, CALL_UNREADABLE, CALL_IMPOSSIBLE.
    """

    what: str
    code: str
    message: str
    temporary: bool
    status: int | None = None
    retry_after: float = 0.0
    problem: Problem | None = None

    def __str__(self) -> str:
        """One line for a log or a status."""
        return f"{self.what}: {self.message}"


class Rest:
    """Calls of one gateway. `host` may carry a port; the base path follows the link's mode."""

    def __init__(self, host: str, credentials: Credentials, *, timeout: float = paths.REST_TIMEOUT) -> None:
        self._host = host
        self._credentials = credentials
        self._timeout = timeout
        self._base = paths.rest_base(host)
        self._context: ssl.SSLContext | None = None
        self._http: httpx2.AsyncClient | None = None
        self._under_way: set[asyncio.Task[bytes | CallFailed]] = set()

    def use_path(self, gateway_path: str) -> None:
        """Calls go below this discovered path from now on; empty: cloud mode."""
        self._base = paths.rest_base(self._host, gateway_path)

    async def use_tls(self, context: ssl.SSLContext) -> None:
        """New connections use this context; the pool is made anew when it is another one."""
        if context is self._context:
            return
        await self.close()
        self._context = context
        limits = httpx2.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE
        )
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        self._http = httpx2.AsyncClient(verify=context, limits=limits, timeout=self._timeout, headers=headers)

    async def close(self) -> None:
        """Close the pool; calls that are under way get a moment, then they fail."""
        client, self._http, self._context = self._http, None, None
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_GRACE)
        calls = list(self._under_way)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        if client is not None:
            await client.aclose()

    # -- the calls -----------------------------------------------------------------------------------------------------

    async def well_known(self) -> tuple[int, bytes] | CallFailed:
        """Status and body of the well-known document; no token is sent."""
        what, limit = "discovery", 65_536
        client = self._http
        if client is None:
            return _impossible(what)
        try:
            async with asyncio.timeout(paths.DISCOVERY_TIMEOUT):
                url = paths.well_known_url(self._host)
                async with _followed(client, "GET", url, headers={}, content=None) as response:
                    return response.status_code, await _body(response, limit)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, _TooLargeError, RuntimeError) as error:
            return self._failed(what, error)

    async def definition(self, kind: ArtifactKind, artifact_id: str) -> bytes | CallFailed:
        """R1 to R4: the document of the artifact's current deployment."""
        what = f"fetch of {kind.value} {quoted(artifact_id)}"
        body = await self._call(
            what, "GET", paths.definition(kind, artifact_id), accept=paths.ZIP_TYPE, limit=DEFAULT_LIMITS.archive
        )
        return body if isinstance(body, CallFailed) else await _decoded(what, body, read_definition)

    async def deployments(self) -> lists.DeploymentList | CallFailed:
        """R7: what this gateway should have."""
        what = "list of deployments"
        body = await self._call(what, "GET", paths.DEPLOYMENTS)
        return body if isinstance(body, CallFailed) else await _decoded(what, body, lists.decode_deployment_list)

    async def fetch_batch(self, deployment_ids: Sequence[str]) -> Batch | CallFailed:
        """R8: documents by deployment id; ids that the control plane does not know are left out."""
        what = f"batch of {len(deployment_ids)} deployments"
        request = encode(lists.BatchRequest(deployment_ids=tuple(deployment_ids)))
        body = await self._call(
            what,
            "POST",
            paths.FETCH_BATCH,
            accept=paths.BATCH_TYPE,
            content=request,
            limit=DEFAULT_LIMITS.total,
            repeat=True,
        )
        return body if isinstance(body, CallFailed) else await _decoded(what, body, read_batch, small=0)

    async def existing(self, artifact_ids: Sequence[str]) -> frozenset[str] | CallFailed:
        """R9: which of these artifacts the control plane still has."""
        what = f"existence check of {len(artifact_ids)} artifacts"
        request = encode(lists.ExistenceRequest(artifact_ids=tuple(artifact_ids)))
        body = await self._call(what, "POST", paths.ARTIFACTS_EXIST, content=request, repeat=True)
        return body if isinstance(body, CallFailed) else await _decoded(what, body, lists.decode_existing)

    async def api_keys(self, kind: ArtifactKind, issuer: str) -> tuple[ApiKeyRow, ...] | CallFailed:
        """R12: the keys of all artifacts of a kind."""
        what = f"API keys of kind {kind.value}"
        body = await self._call(what, "GET", paths.api_keys(kind, issuer))
        return body if isinstance(body, CallFailed) else await _decoded(what, body, decode_api_keys)

    async def plans(self) -> tuple[PlanRow, ...] | CallFailed:
        """R10: all subscription plans."""
        what = "list of subscription plans"
        body = await self._call(what, "GET", paths.SUBSCRIPTION_PLANS)
        return body if isinstance(body, CallFailed) else await _decoded(what, body, decode_plans)

    async def subscriptions(self, api_id: str) -> tuple[SubscriptionRow, ...] | CallFailed:
        """R11: the subscriptions of one API, named as the control plane names it."""
        what = f"subscriptions of API {quoted(api_id)}"
        body = await self._call(what, "GET", paths.subscriptions(api_id))
        return body if isinstance(body, CallFailed) else await _decoded(what, body, decode_subscriptions)

    async def secrets(self, *, include_values: bool) -> tuple[platform_secrets.SecretRow, ...] | CallFailed:
        """R13: the secrets that deployed artifacts refer to."""
        what = "list of secrets"
        body = await self._call(what, "GET", paths.secrets(include_values=include_values))
        if isinstance(body, CallFailed):
            return body
        answer = await _decoded(what, body, platform_secrets.decode_secrets)
        return answer if isinstance(answer, CallFailed) else answer.list

    async def secret_value(self, handle: str) -> str | CallFailed:
        """R14: the plain value of one secret."""
        what = f"value of secret {quoted(handle)}"
        body = await self._call(what, "GET", paths.secret_value(handle), limit=MEBIBYTE)
        return (
            body if isinstance(body, CallFailed) else await _decoded(what, body, platform_secrets.decode_secret_value)
        )

    async def manifest(self, gateway_id: str, manifest: Manifest) -> CallFailed | None:
        """R15: tell version and policies."""
        body = await self._call(
            "manifest",
            "POST",
            paths.manifest(gateway_id),
            content=encode(manifest),
            limit=MEBIBYTE,
            success=frozenset({200, 204}),
        )
        return body if isinstance(body, CallFailed) else None

    async def import_artifacts(
        self, entries: list[imports.ImportEntry]
    ) -> dict[str, imports.ImportOutcome] | CallFailed:
        """R16: push artifacts made here; outcomes by local UUID."""
        what = f"push of {len(entries)} artifacts"
        request = await asyncio.to_thread(imports.encode_import, entries)
        body = await self._call(
            what,
            "POST",
            paths.IMPORT_ARTIFACTS,
            content=request.content,
            content_type=request.content_type,
            success=frozenset({200, 201}),
        )
        return body if isinstance(body, CallFailed) else await _decoded(what, body, imports.decode_import_answer)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _call(
        self,
        what: str,
        method: str,
        path: str,
        *,
        accept: str = paths.JSON_TYPE,
        content: bytes | None = None,
        content_type: str = paths.JSON_TYPE,
        limit: int = LIST_LIMIT,
        success: frozenset[int] = frozenset({200}),
        repeat: bool = False,
    ) -> bytes | CallFailed:
        """One exchange. `repeat`: a POST that only asks may be sent again on a new connection, as a GET may.

        Runs on when the caller is cancelled: the other side may have done already what it is asked for.
        """
        headers = {"accept": accept}
        if content is not None:
            headers["content-type"] = content_type
        tries = 2 if method == "GET" or repeat else 1
        exchange = self._exchange(
            what, method, path, headers=headers, content=content, limit=limit, success=success, tries=tries
        )
        call = asyncio.create_task(exchange)
        self._under_way.add(call)
        call.add_done_callback(self._under_way.discard)
        return await asyncio.shield(call)

    async def _exchange(
        self,
        what: str,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        content: bytes | None,
        limit: int,
        success: frozenset[int],
        tries: int,
    ) -> bytes | CallFailed:
        client = self._http
        if client is None or not self._credentials.usable():
            return _impossible(what)
        headers[paths.TOKEN_HEADER] = self._credentials.token
        while True:
            tries -= 1
            try:
                async with (
                    asyncio.timeout(self._timeout),
                    _followed(client, method, self._base + path, headers=headers, content=content) as response,
                ):
                    if response.status_code in success:
                        return await _body(response, limit)
                    return await _unsuccessful(what, response)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError) as error:
                # A connection of the pool that the other side closed at the same moment.
                if tries == 0:
                    return self._failed(what, error)
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, _TooLargeError, RuntimeError) as error:
                return self._failed(what, error)

    def _failed(self, what: str, error: Exception) -> CallFailed:
        if isinstance(error, _TooLargeError):
            return CallFailed(what, "CALL_TOO_LARGE", str(error), temporary=False)
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return CallFailed(what, "CALL_TIMEOUT", "no complete answer in time", temporary=True)
        if isinstance(error, httpx2.InvalidURL | httpx2.LocalProtocolError | httpx2.UnsupportedProtocol):
            return CallFailed(what, "CALL_IMPOSSIBLE", quoted(str(error)), temporary=False)
        problem = network_problem(error, self._host)
        return CallFailed(what, "CALL_UNREACHABLE", problem.message, temporary=True, problem=problem)


class _TooLargeError(Exception):
    """Raised inside this module only."""


@asynccontextmanager
async def _followed(
    client: httpx2.AsyncClient, method: str, url: str, *, headers: dict[str, str], content: bytes | None
) -> AsyncIterator[httpx2.Response]:
    """The answer, redirects of a GET followed as long as they stay within the origin."""
    for _ in range(_REDIRECTS + 1):
        extensions = {"trace": closing_trace()}
        async with client.stream(method, url, headers=headers, content=content, extensions=extensions) as response:
            target = _target(response, url) if method == "GET" else None
            if target is None:
                yield response
                return
            url = target
    raise httpx2.RemoteProtocolError(f"more than {_REDIRECTS} redirects")


def _target(response: httpx2.Response, url: str) -> str | None:
    location = response.headers.get("location")
    if response.status_code not in {301, 302, 303, 307, 308} or not location:
        return None
    target = urljoin(url, location)
    here, there = httpx2.URL(url), httpx2.URL(target)
    same = (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port)
    return target if same else None


async def _body(response: httpx2.Response, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > limit:
            raise _TooLargeError(f"the answer has more than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _unsuccessful(what: str, response: httpx2.Response) -> CallFailed:
    try:
        words = error_words(await _body(response, ERROR_LIMIT))
    except _TooLargeError:
        words = ""
    status = response.status_code
    message = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    return CallFailed(
        what,
        "CALL_STATUS",
        message,
        temporary=status in _TEMPORARY or status >= 500,
        status=status,
        retry_after=retry_after(response.headers.get("retry-after", "")),
    )


async def _decoded(
    what: str, body: bytes, decode: Callable[[bytes], T | Undecodable], *, small: int = _SMALL
) -> T | CallFailed:
    """Decode, in a thread when it takes long enough to be felt: from `small` bytes on."""
    value = decode(body) if len(body) < small else await asyncio.to_thread(decode, body)
    if isinstance(value, Undecodable):
        return CallFailed(what, "CALL_UNREADABLE", f"the answer cannot be used: {value}", temporary=False)
    return value


def _impossible(what: str) -> CallFailed:
    return CallFailed(what, "CALL_IMPOSSIBLE", "there is no usable token, or the link has not been started", True)
