"""The calls of API Manager's publisher that a gateway makes. Source: API Manager reference, sections 9 and 11.

Every call: one bearer for all, renewed once when it is refused; failures as values with the original's texts. Calls
that only read are ours: the original asks nothing before it overwrites.
"""

import uuid
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from gatewright.controlplane.apim import evidence
from gatewright.controlplane.apim.oauth import TokenFailed, Tokens
from gatewright.controlplane.apim.transport import LARGEST_ANSWER, MEBIBYTE, Answer, NoAnswer, Transport
from gatewright.controlplane.words import quoted

BASE: Final = "/api/am/publisher/v4/apis"
IMPORT_QUERY: Final = "preserveProvider=false&overwrite=true&dryRun=false&rotateRevision=true"
_LONGEST_ID: Final = 255
_PAGE: Final = 100
_PAGES: Final = 10
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
T = TypeVar("T")


class CallFailed(msgspec.Struct, frozen=True):
    """A call that gave nothing; `message` is what a status shows.

    `temporary`: waiting may help. `outage`: API Manager itself is the reason, so other APIs will fare no better.
    `retry_after` in seconds; `status` is None when there was no answer.
    """

    message: str
    temporary: bool
    outage: bool = False
    retry_after: float = 0.0
    status: int | None = None


class Imported(msgspec.Struct, frozen=True):
    """Ids after an import; both may be empty, as in the original."""

    id: str
    revision: str


class Publisher:
    """One gateway's calls."""

    def __init__(self, transport: Transport, tokens: Tokens) -> None:
        self._transport = transport
        self._tokens = tokens

    async def import_archive(self, local_id: str, archive: bytes) -> Imported | CallFailed:
        """Create or replace an API, revision and deployment included."""
        content_type, body = _multipart(f"{local_id}.zip", archive)
        headers = {"accept": "application/json", "content-type": content_type}
        answer = await self._call("POST", f"{BASE}/import?{IMPORT_QUERY}", headers, body)
        if isinstance(answer, CallFailed):
            return answer
        if isinstance(answer, NoAnswer):
            return CallFailed(f"failed to send import request: {answer.cause}", temporary=True, outage=True)
        if answer.status == 503:
            return _refused(answer, "on-prem APIM service unavailable (503)")
        if answer.status not in {200, 201}:
            return _refused(answer, f"API import failed with status {answer.status}: {_words(answer.body)}")
        return _imported(answer)

    async def undeploy(self, api_id: str, revision: str, environment: str) -> CallFailed | None:
        """Take a revision from an environment. One that is not deployed there, or not known any more, is fine."""
        path = f"{BASE}/{_segment(api_id)}/undeploy-revision?{urlencode({'revisionId': revision})}"
        body = msgspec.json.encode([{"displayOnDevportal": False, "name": environment}])
        answer = await self._call("POST", path, {"content-type": "application/json"}, body)
        if isinstance(answer, CallFailed):
            return answer
        if isinstance(answer, NoAnswer):
            return CallFailed(f"failed to send undeploy request: {answer.cause}", temporary=True, outage=True)
        if answer.status in {200, 201, 404}:
            return None
        return _refused(answer, f"undeploy-revision returned status {answer.status}: {_words(answer.body)}")

    async def swagger(self, api_id: str) -> bytes | CallFailed:
        """The definition as API Manager has it, byte for byte."""
        answer = await self._read("swagger", f"{BASE}/{_segment(api_id)}/swagger", limit=LARGEST_ANSWER)
        return answer if isinstance(answer, CallFailed) else answer.body

    async def api(self, api_id: str) -> evidence.Remote | CallFailed | None:
        """One API; None: there is none."""
        answer = await self._read("API", f"{BASE}/{_segment(api_id)}", limit=LARGEST_ANSWER)
        if isinstance(answer, CallFailed):
            return None if answer.status == 404 else answer
        return _understood("API", answer, evidence.remote)

    async def revisions(self, api_id: str) -> list[evidence.Revision] | CallFailed:
        """The revisions of an API; none when there is no such API."""
        answer = await self._read("revisions", f"{BASE}/{_segment(api_id)}/revisions", limit=LARGEST_ANSWER)
        if isinstance(answer, CallFailed):
            return [] if answer.status == 404 else answer
        return _understood("revisions", answer, evidence.revisions)

    async def find(self, name: str, version: str) -> list[str] | CallFailed:
        """Ids of the APIs with exactly this name and version; API Manager searches more loosely."""
        found: list[str] = []
        for page in range(_PAGES):
            query = urlencode({"query": f'name:"{name}"', "limit": _PAGE, "offset": page * _PAGE}, quote_via=quote)
            answer = await self._read("list of APIs", f"{BASE}?{query}", limit=LARGEST_ANSWER)
            if isinstance(answer, CallFailed):
                return answer
            ids = _understood("list of APIs", answer, lambda tree: evidence.ids_named(tree, name, version))
            if isinstance(ids, CallFailed):
                return ids
            found += ids
            tree = _json(answer.body)
            if found or not isinstance(tree, dict) or len(tree.get("list") or ()) < _PAGE:
                break
        return found

    async def _read(self, what: str, path: str, *, limit: int) -> Answer | CallFailed:
        answer = await self._call("GET", path, {}, None, limit)
        if isinstance(answer, CallFailed):
            return answer
        if isinstance(answer, NoAnswer):
            return CallFailed(f"failed to read {what}: {answer.cause}", temporary=True, outage=True)
        if answer.status != 200:
            return _refused(answer, f"reading {what} failed with status {answer.status}: {_words(answer.body)}")
        return answer

    async def _call(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None, limit: int = MEBIBYTE
    ) -> Answer | NoAnswer | CallFailed:
        for renewed in (False, True):
            token = await self._tokens.get()
            if isinstance(token, TokenFailed):
                return CallFailed(token.message, token.temporary, outage=token.requested, retry_after=token.retry_after)
            bearer = {**headers, "authorization": f"Bearer {token}"}
            answer = await self._transport.send(method, path, headers=bearer, content=content, limit=limit)
            if renewed or isinstance(answer, NoAnswer) or answer.status != 401:
                return answer
            self._tokens.refused(token)
        raise AssertionError("the second round returns")


def _imported(answer: Answer) -> Imported | CallFailed:
    """The ids of an answer. It has been imported in any case: to send it again would only make more revisions."""
    tree = _json(answer.body)
    if not isinstance(tree, dict):
        words = "the answer is no JSON object; API Manager 4.7 or later is needed"
        return CallFailed(f"failed to parse import response: {words}", temporary=False, status=answer.status)
    ids = [tree.get(name) or "" for name in ("id", "revision")]
    if not all(isinstance(value, str) and len(value) <= _LONGEST_ID for value in ids):
        return CallFailed("failed to parse import response: its ids are none", temporary=False, status=answer.status)
    return Imported(*ids)


def _refused(answer: Answer, message: str) -> CallFailed:
    status = answer.status
    return CallFailed(
        message,
        temporary=status in _TEMPORARY or status >= 500,
        outage=status in {401, 429} or status >= 500,
        retry_after=answer.retry_after,
        status=status,
    )


def _understood(what: str, answer: Answer, read: Callable[[object], T | None]) -> T | CallFailed:
    try:
        value = read(_json(answer.body))
    except RecursionError:
        value = None
    if value is None:
        return CallFailed(f"the answer about {what} cannot be understood", temporary=True, status=answer.status)
    return value


def _json(body: bytes) -> Any:  # noqa: ANN401 - any JSON, None for anything else
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _words(body: bytes) -> str:
    return quoted(body[:4096].decode("utf-8", "replace"))


def _segment(value: str) -> str:
    return quote(value, safe="")


def _multipart(filename: str, content: bytes) -> tuple[str, bytes]:
    boundary = f"gatewright-{uuid.uuid4().hex}"
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    tail = f"\r\n--{boundary}--\r\n"
    return f"multipart/form-data; boundary={boundary}", head.encode() + content + tail.encode()
