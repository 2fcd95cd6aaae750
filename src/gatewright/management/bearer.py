"""Who calls: tokens of an identity provider (JWT, signed with a key of its JWKS document).

Source: management API reference, 3.3. The provider's keys are fetched when they are needed, kept for ten minutes, and
kept on when the provider is away; an unknown key id fetches them anew, but not more often than every ten seconds, so
that forged tokens cannot be used against the provider.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx2
import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gatewright.management.identity import Identified, Identity, NoCredentials, WrongCredentials

SCHEME = "Bearer "
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
LEEWAY_S = 60
REFRESH_S = 600.0
SHORTEST_REFRESH_S = 10.0
FETCH_TIMEOUT_S = 10.0
LARGEST_JWKS_BYTES = 512 * 1024
LONGEST_TOKEN = 16 * 1024
_log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]


class Provider(msgspec.Struct, frozen=True):
    """An identity provider. `role_mapping`: local role → values of the claim; `*` stands for any other value."""

    jwks_url: str
    issuer: str
    roles_claim: str
    audience: frozenset[str] = frozenset()
    role_mapping: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)


class BearerAuthenticator:
    """Checks bearer tokens: signature, issuer, audience, times; maps roles. Nothing of a token is logged."""

    def __init__(
        self,
        provider: Provider,
        *,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`fetch` gets the JWKS document of a URL; `clock` and `now` in seconds."""
        self._provider = provider
        self._fetch = fetch or fetch_jwks
        self._clock = clock
        self._now = now
        self._keys: KeySet | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()

    async def identify(self, authorization: str) -> Identified:
        """See Authenticator."""
        if not authorization.startswith(SCHEME):
            return NoCredentials()
        text = authorization[len(SCHEME) :]
        if len(text) > LONGEST_TOKEN:
            return WrongCredentials()
        claims = self._claims(text, await self._current(REFRESH_S))
        if claims is None:
            # The provider may have changed its keys since.
            before = self._keys
            keys = await self._current(SHORTEST_REFRESH_S)
            claims = self._claims(text, keys) if keys is not before else None
        return WrongCredentials() if claims is None else self._identity(claims)

    def _claims(self, text: str, keys: KeySet | None) -> Mapping[str, Any] | None:
        if keys is None:
            return None
        try:
            claims = jwt.decode(text, keys, algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError, TypeError):
            return None
        return claims if self._admissible(claims) else None

    def _admissible(self, claims: Mapping[str, Any]) -> bool:
        now = self._now()
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(begins, int | float):
            return False
        if now > expires + LEEWAY_S or now < begins - LEEWAY_S or claims.get("iss") != self._provider.issuer:
            return False
        audience = self._provider.audience
        return not audience or bool(audience & set(_words(claims.get("aud"), split=False)))

    def _identity(self, claims: Mapping[str, Any]) -> Identified:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            return WrongCredentials()
        given = _words(claims.get(self._provider.roles_claim), split=True)
        return Identity(subject, local_roles(given, self._provider.role_mapping))

    async def _current(self, oldest: float) -> KeySet | None:
        """The keys, fetched anew when the last attempt is more than `oldest` seconds ago."""
        async with self._lock:
            if self._tried_at is None or self._clock() - self._tried_at > oldest:
                self._tried_at = self._clock()
                self._keys = await self._fetched() or self._keys
            elif self._keys is None and self._clock() - self._tried_at > SHORTEST_REFRESH_S:
                self._tried_at = self._clock()
                self._keys = await self._fetched()
            return self._keys

    async def _fetched(self) -> KeySet | None:
        try:
            return KeySet.import_key_set(await self._fetch(self._provider.jwks_url))  # type: ignore[arg-type] # checked there
        except (httpx2.HTTPError, JoseError, ValueError, TypeError, KeyError, OSError) as error:
            _log.warning(
                "the keys of the identity provider cannot be fetched; tokens are checked with those known, if any",
                url=self._provider.jwks_url,
                error=str(error) or type(error).__name__,
            )
            return None


def local_roles(given: Sequence[str], mapping: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Each value: the local roles that name it; else the one with `*`; else the value itself."""
    roles: set[str] = set()
    anything = next((role for role, values in mapping.items() if "*" in values), None)
    for value in given:
        named = [role for role, values in mapping.items() if value in values]
        roles.update(named or [anything or value])
    return frozenset(roles)


async def fetch_jwks(url: str) -> Mapping[str, Any]:
    """Get a JWKS document, bounded in size and time, redirects not followed. Raises httpx2.HTTPError, ValueError."""
    body = b""
    async with (
        asyncio.timeout(FETCH_TIMEOUT_S),
        httpx2.AsyncClient(timeout=FETCH_TIMEOUT_S) as client,
        client.stream("GET", url) as response,
    ):
        response.raise_for_status()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LARGEST_JWKS_BYTES:
                raise ValueError(f"the document is larger than {LARGEST_JWKS_BYTES} bytes")
    return msgspec.json.decode(body, type=dict[str, Any])


def _words(value: object, *, split: bool) -> list[str]:
    if isinstance(value, str):
        return value.split() if split else [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
