"""Remembers what came in, for whoever wants to know what a gateway did: bounded, with secrets masked.

An entry is made when a request arrives, so that one which is never answered shows too; its body and status follow.
"""

import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright.hub.config import Clock
from gatewright.wire.times import Timestamp

ENTRY: Final = "gatewright.recorded"
"""Member of the scope that holds the entry of the request."""

OBSERVER: Final = "x-gatewright-observer"
"""Header of requests that are not part of what is tried: neither recorded nor answered with faults."""

_MASK: Final = "****"
_SECRET_WORDS: Final = ("secret", "password", "token", "apikey", "api-key", "assertion")
_SECRET_BUT: Final = frozenset({"tokenType", "token_type", "tokenScope", "tokenEndpointAuthMethod"})
_MAX_BODY: Final = 262_144
"""A larger JSON or form body is counted, not kept."""
_MAX_HEADERS: Final = 100
_MAX_TEXT: Final = 4096


class Recorded(msgspec.Struct, rename="camel", omit_defaults=True):
    """One request; `body` is parsed. `status` is 0 until it is answered.

    Of a socket `status` is the close code, and `body` says by whom and why it was closed.
    """

    seq: int
    at: str
    method: str
    path: str
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    status: int = 0
    body: Any = None


class Recorder:
    """The last requests, oldest first, and the files that some of them uploaded."""

    def __init__(self, *, requests: int, upload_bytes: int, clock: Clock) -> None:
        self._entries: deque[Recorded] = deque(maxlen=requests)
        self._uploads: dict[int, bytes] = {}
        self._upload_room = upload_bytes
        self._upload_bytes = 0
        self._clock = clock
        self._seq = 0

    def entries(self, *, after: int = 0, path: str = "", method: str = "") -> list[Recorded]:
        """Requests after a sequence number; `path` is a part of theirs."""
        return [
            entry
            for entry in self._entries
            if entry.seq > after and path in entry.path and method in {"", entry.method}
        ]

    def upload(self, seq: int) -> bytes | None:
        """The file that a request brought, as long as it is kept."""
        return self._uploads.get(seq)

    def clear(self) -> None:
        """Forget everything; numbers go on."""
        self._entries.clear()
        self._uploads.clear()
        self._upload_bytes = 0

    def keep_upload(self, scope: Scope, body: object, content: bytes) -> None:
        """Attach to the request of `scope` what its body was, and the file itself."""
        entry: Recorded | None = scope.get(ENTRY)
        if entry is None:
            return
        entry.body = body
        self._uploads[entry.seq] = content
        self._upload_bytes += len(content)
        while self._upload_bytes > self._upload_room:
            self._upload_bytes -= len(self._uploads.pop(next(iter(self._uploads))))

    def around(self, application: ASGIApp, ignored: str) -> ASGIApp:
        """The application with every request recorded but those below the path `ignored`."""

        async def recording(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in {"http", "websocket"} or scope["path"].startswith(ignored) or _observes(scope):
                await application(scope, receive, send)
                return
            entry = self._begin(scope)
            scope[ENTRY] = entry
            await application(scope, _reading(entry, receive), _answering(entry, send))

        return recording

    def _begin(self, scope: Scope) -> Recorded:
        self._seq += 1
        entry = Recorded(
            seq=self._seq,
            at=Timestamp(self._clock()).text(),
            method="WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
            path=scope["path"][:_MAX_TEXT],
            query=[_masked_pair(pair) for pair in _pairs(scope["query_string"])],
            headers=_headers(scope["headers"]),
        )
        self._entries.append(entry)
        return entry


def _observes(scope: Scope) -> bool:
    return any(name.lower() == OBSERVER.encode() for name, _value in scope["headers"])


def _reading(entry: Recorded, receive: Receive) -> Callable[[], Any]:
    chunks: list[bytes] = []
    size = 0

    async def reading() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request" and entry.body is None:
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= _MAX_BODY:
                chunks.append(chunk)
            if not message.get("more_body"):
                kind = entry.headers.get("content-type", "")
                entry.body = _parsed(b"".join(chunks), kind) if size <= _MAX_BODY else {"bytes": size}
                chunks.clear()
        elif message["type"] == "websocket.disconnect" and not entry.status:
            _closed(entry, message, "gateway")
        return message

    return reading


def _answering(entry: Recorded, send: Send) -> Send:
    async def answering(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            entry.status = message["status"]
        elif message["type"] == "websocket.close" and not entry.status:
            _closed(entry, message, "server")
        await send(message)

    return answering


def _closed(entry: Recorded, message: Message, who: str) -> None:
    entry.status = message.get("code") or 1000
    entry.body = {"closedBy": who, "reason": (message.get("reason") or "")[:_MAX_TEXT]}


def _parsed(body: bytes, kind: str) -> object:
    if not body:
        return None
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(_masked_pair(pair) for pair in _pairs(body))
    if kind.startswith("multipart/"):
        return {"bytes": len(body)}
    try:
        return masked(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return {"bytes": len(body)}


def masked(value: object) -> object:
    """Decoded JSON without what its names call secret."""
    if isinstance(value, dict):
        return {name: _MASK if _is_secret(name) and each else masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return value


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_HEADERS)
    except ValueError:
        return []


def _masked_pair(pair: tuple[str, str]) -> tuple[str, str]:
    name, value = pair
    return (name, _MASK) if _is_secret(name) and value else (name, value[:_MAX_TEXT])


def _is_secret(name: object) -> bool:
    if not isinstance(name, str) or name in _SECRET_BUT:
        return False
    lowered = name.lower().replace("_", "")
    return any(word in lowered for word in _SECRET_WORDS)


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw[:_MAX_HEADERS]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")[:_MAX_TEXT]
        headers[key] = _masked_header(key, text)
    return headers


def _masked_header(name: str, value: str) -> str:
    if name == "authorization":
        scheme, _, credentials = value.partition(" ")
        user = _basic_user(credentials) if scheme.lower() == "basic" else ""
        return f"{scheme} {user}{_MASK}" if scheme.lower() in {"basic", "bearer"} else _MASK
    if name == "api-key":
        token_id, dot, _ = value.partition(".")
        return f"{token_id}.{_MASK}" if dot else _MASK
    return _MASK if name in {"cookie", "proxy-authorization"} else value


def _basic_user(credentials: str) -> str:
    try:
        user, colon, _ = base64.b64decode(credentials, validate=True).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return f"{user}:" if colon else ""
