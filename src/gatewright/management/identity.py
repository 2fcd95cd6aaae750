"""Who calls: HTTP Basic against configured users. Source: management API reference, section 3.

Passwords are compared in constant time; hashes (argon2id, bcrypt) are checked in a thread, because they are slow on
purpose. A correct answer is remembered for a short time under a keyed digest, so that a busy client does not pay for
the hash on every call.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import bcrypt
import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import SecretStr

REMEMBERED_S = 60.0
REMEMBERED_ENTRIES = 1000
CONCURRENT_HASHES = 2
SCHEME = "Basic "


class User(msgspec.Struct, frozen=True):
    """A configured user. `password` is the hash when `hashed` is set (argon2id or bcrypt)."""

    name: str
    password: SecretStr
    hashed: bool
    roles: frozenset[str]


class Identity(msgspec.Struct, frozen=True):
    """An authenticated caller, named as configured."""

    user: str
    roles: frozenset[str]


class NoCredentials(msgspec.Struct, frozen=True):
    """The request carries nothing that this server checks."""


class WrongCredentials(msgspec.Struct, frozen=True):
    """The request carries something, and it is wrong."""


class BasicAuthenticator:
    """Checks the header `Authorization` of a request."""

    def __init__(self, users: Iterable[User], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._users = {user.name.lower(): user for user in users}
        self._clock = clock
        self._pepper = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._slots = asyncio.Semaphore(CONCURRENT_HASHES)
        self._decoy = User("", SecretStr(_hasher.hash(secrets.token_hex())), hashed=True, roles=frozenset())

    async def identify(self, authorization: str) -> Identity | NoCredentials | WrongCredentials:
        """The caller behind a header value."""
        if not authorization.startswith(SCHEME):
            return NoCredentials()
        pair = _decoded(authorization[len(SCHEME) :])
        if pair is None:
            return WrongCredentials()
        name, password = pair
        user = self._users.get(name.lower())
        if not await self._matches(user or self._decoy, password) or user is None:
            return WrongCredentials()
        return Identity(user.name, user.roles)

    async def _matches(self, user: User, password: str) -> bool:
        stored = user.password.get_secret_value()
        if not user.hashed:
            return hmac.compare_digest(stored.encode(), password.encode())
        mark = hmac.new(self._pepper, f"{user.name}\0{stored}\0{password}".encode(), hashlib.sha256).digest()
        remembered = self._known.get(mark)
        if remembered is not None and self._clock() < remembered:
            return True
        async with self._slots:
            right = await asyncio.to_thread(hash_matches, stored, password)
        if right:
            self._known[mark] = self._clock() + REMEMBERED_S
            while len(self._known) > REMEMBERED_ENTRIES:
                self._known.popitem(last=False)
        return right


_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """An argon2id hash in PHC form."""
    return _hasher.hash(password)


def hash_matches(stored: str, password: str) -> bool:
    """Whether a password belongs to an argon2id or bcrypt hash. Anything else matches nothing."""
    if stored.startswith("$argon2id$"):
        try:
            return _hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
    if stored.startswith(("$2a$", "$2b$", "$2y$")):
        try:
            return bcrypt.checkpw(password.encode()[:72], stored.encode())
        except ValueError:
            return False
    return False


def _decoded(value: str) -> tuple[str, str] | None:
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None
