"""Access tokens for the publisher. Source: API Manager reference, 8.2 and 8.3.

One token for all callers, kept until nine tenths of its life are over, fetched by one caller at a time. No secret, no
token and no body of an answer reaches a log or an error text.
"""

import asyncio
import base64
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec

from gatewright.controlplane.apim import metrics
from gatewright.controlplane.apim.config import ApimConfig
from gatewright.controlplane.apim.transport import MEBIBYTE, Answer, NoAnswer, Transport
from gatewright.controlplane.words import quoted
from gatewright.observability.logging import get_logger
from gatewright.observability.redaction import forget_secret, register_secret

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
SCOPE: Final = "apim:api_import_export apim:api_view"
LIFE: Final = 3600.0
"""Seconds that a token lives when the answer does not say."""

SHARE: Final = 0.9
"""Part of its life for which a token is used."""

_PREFIX: Final = "failed to get access token: OAuth2 token generation failed: "
_UNCONFIGURED: Final = (
    "failed to get access token: no authentication method configured: "
    "provide either clientID+clientSecret or username+password"
)
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_log = get_logger(__name__)


class TokenFailed(msgspec.Struct, frozen=True):
    """There is no token. `requested`: whether anybody was asked. `temporary`: waiting may help."""

    message: str
    temporary: bool
    requested: bool = True
    retry_after: float = 0.0


class Tokens:
    """The token of one gateway."""

    def __init__(self, config: ApimConfig, transport: Transport, *, now: Callable[[], float]) -> None:
        """`now` gives seconds that never go back."""
        self._config = config
        self._transport = transport
        self._now = now
        self._request: asyncio.Task[str | TokenFailed] | None = None
        self._token = ""
        self._until = 0.0
        for secret in (config.client_secret, config.password):
            register_secret(secret.get_secret_value())

    async def get(self) -> str | TokenFailed:
        """The present token, or a new one. Callers that wait together share one request and its outcome."""
        if self._token and self._now() < self._until:
            return self._token
        request = self._request
        if request is None or request.done():
            request = self._request = asyncio.create_task(self._fetch())
        return await asyncio.shield(request)

    def refused(self, token: str) -> None:
        """The publisher answered 401 to `token`: it is not used again. A newer one stays."""
        if token == self._token:
            self._drop()

    async def _fetch(self) -> str | TokenFailed:
        request = token_request(self._config)
        if request is None:
            return TokenFailed(_UNCONFIGURED, temporary=False, requested=False)
        headers, content = request
        answer = await self._transport.send("POST", TOKEN_PATH, headers=headers, content=content, limit=MEBIBYTE)
        result = self._result(answer)
        metrics.TOKENS.labels("failed" if isinstance(result, TokenFailed) else "success").inc()
        return result

    def _result(self, answer: Answer | NoAnswer) -> str | TokenFailed:
        if isinstance(answer, NoAnswer):
            return TokenFailed(f"{_PREFIX}failed to send token request: {answer.cause}", temporary=True)
        if answer.status != 200:
            why = _reason(answer.body)
            _log.debug("the token endpoint refused", status=answer.status, reason=why)
            text = f"{_PREFIX}token endpoint returned unexpected status {answer.status}{why and f' ({why})'}"
            temporary = answer.status in _TEMPORARY or answer.status >= 500
            return TokenFailed(text, temporary=temporary, retry_after=answer.retry_after)
        found = _token(answer.body)
        if isinstance(found, str):
            return TokenFailed(f"{_PREFIX}{found}", temporary=True)
        token, life = found
        self._drop()
        register_secret(token)
        self._token = token
        self._until = self._now() + SHARE * life
        return token

    def _drop(self) -> None:
        if self._token:
            forget_secret(self._token)
        self._token, self._until = "", 0.0


def token_request(config: ApimConfig) -> tuple[dict[str, str], bytes] | None:
    """Headers and form of the flow that the settings choose; None when they name none."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    with_client = config.has_user and config.has_client and config.password_client
    if config.has_client:
        pair = f"{config.client_id}:{config.client_secret.get_secret_value()}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    if config.has_client and not with_client:
        fields = [("grant_type", "client_credentials")]
    elif config.has_user:
        password = config.password.get_secret_value()
        fields = [("grant_type", "password"), ("username", config.username), ("password", password)]
    else:
        return None
    fields.append(("scope", SCOPE))
    return headers, "&".join(f"{name}={quote_plus(value)}" for name, value in fields).encode()


def _token(body: bytes) -> tuple[str, float] | str:
    """Token and its life in seconds; a text says what is wrong with the answer, and nothing of what is in it."""
    try:
        tree: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "failed to parse token response: it is no JSON"
    if not isinstance(tree, dict):
        return "failed to parse token response: it is no object"
    seconds, token = tree.get("expires_in"), tree.get("access_token")
    if seconds is not None and (not isinstance(seconds, int) or isinstance(seconds, bool)):
        return "failed to parse token response: expires_in is no integer"
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        return "access token not found in token endpoint response"
    return token, float(seconds) if seconds and seconds > 0 else LIFE


def _reason(body: bytes) -> str:
    """The `error` of an OAuth refusal and its description: short words of the protocol, never the whole body."""
    try:
        tree: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(tree, dict):
        return ""
    words = [tree[name] for name in ("error", "error_description") if isinstance(tree.get(name), str)]
    return quoted(": ".join(words))
