"""HTTP towards a gateway: its management API and its admin API. Every call is bounded in time and in size.

Failures come out as `Failure` with the exit code that fits; what the server said is passed on in its own words.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from gatewright.cli.connection import Addresses, is_loopback
from gatewright.cli.exits import Exit, Failure

MANAGEMENT_BASE: Final = "/api/management/v1"
ADMIN_BASE: Final = "/api/admin/v1"
YAML: Final = "application/yaml"

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 30.0
LARGEST_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MOST_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the server. `body` is decoded JSON, or the text when it is not JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300


class GatewayClient:
    """One gateway, one user. Use as a context manager."""

    def __init__(
        self,
        where: Addresses,
        user: str,
        password: str,
        *,
        ca_file: Path | None = None,
        answer_timeout_s: float | None = None,
    ) -> None:
        self._where = where
        self._user = user
        timeout = httpx2.Timeout(answer_timeout_s or ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._http = httpx2.Client(
            auth=httpx2.BasicAuth(user, password),
            timeout=timeout,
            verify=_trust(ca_file),
            trust_env=not is_loopback(where.server),
            headers={"accept": "application/json", "user-agent": "gatewright-cli"},
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def management(
        self, method: str, path: str, *, body: bytes | None = None, kind: str = "application/json"
    ) -> Answer:
        """Call the management API; `path` starts with a slash and is encoded already. Raises Failure when nobody
        answers or the user may not."""
        return self._call(method, self._where.server + MANAGEMENT_BASE + path, body, kind)

    def admin(self, method: str, path: str) -> Answer:
        """Call the admin API."""
        return self._call(method, self._where.admin_server + ADMIN_BASE + path, None, "")

    def _call(self, method: str, url: str, body: bytes | None, kind: str) -> Answer:
        headers = {"content-type": kind} if body is not None else {}
        try:
            with self._http.stream(method, url, content=body, headers=headers) as response:
                answer = Answer(response.status_code, _decoded(_bounded(response)), dict(response.headers))
        except httpx2.TransportError as error:
            raise self._unreachable(url, error) from error
        if answer.status in {401, 403}:
            raise Failure(
                f"the gateway does not let the user {self._user} do this ({answer.status}: {message(answer)})",
                code=Exit.UNAUTHORISED,
                where=f"{method} {url}",
                remedy="check --user and the password; the user needs the role for this call",
            )
        return answer

    def _unreachable(self, url: str, error: httpx2.TransportError) -> Failure:
        slow = isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout)
        if slow:
            return Failure(
                f"the gateway does not answer in time ({type(error).__name__})",
                code=Exit.TIMED_OUT,
                where=url,
                remedy="look at its log, then try again",
            )
        cause = _root_cause(error)
        if "CERTIFICATE_VERIFY_FAILED" in cause:
            remedy = "name the authority that signed its certificate with --ca-file"
        else:
            remedy = "start one with 'gatewright up', or say where it is with --server"
        return Failure(
            f"no gateway answers: {cause}",
            code=Exit.UNREACHABLE,
            where=f"{url} (address from {self._where.source})",
            remedy=remedy,
        )


def message(answer: Answer) -> str:
    """What a refusal says, in one line."""
    body = answer.body
    if isinstance(body, dict):
        return str(body.get("message") or body.get("error") or f"HTTP {answer.status}")
    return str(body).strip()[:500] or f"HTTP {answer.status}"


def problems(answer: Answer) -> list[str]:
    """The fields that a refusal names, one line each."""
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    if not isinstance(errors, list):
        return []
    lines = [f"{item.get('field', '')}: {item.get('message', '')}" for item in errors if isinstance(item, dict)]
    more = len(lines) - _MOST_PROBLEMS
    return [*lines[:_MOST_PROBLEMS], f"… and {more} more"] if more > 0 else lines


def refused(answer: Answer, what: str, *, remedy: str = "") -> Failure:
    """The failure for an answer that is not a success."""
    code = Exit.NOT_FOUND if answer.status == 404 else Exit.FAILED
    return Failure(f"{what}: {message(answer)}", code=code, where=problems(answer), remedy=remedy)


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _bounded(response: httpx2.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > LARGEST_ANSWER_BYTES:
            raise Failure(f"the answer of {response.url} is larger than {LARGEST_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _decoded(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            f"the authorities in {ca_file} cannot be read: {error}",
            code=Exit.USAGE,
            remedy="name a PEM file with --ca-file",
        ) from error
