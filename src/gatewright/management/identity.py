"""Who calls: HTTP Basic against configured users. Source: management API reference, section 3.

Passwords are compared in constant time; hashes (argon2id, bcrypt) are checked in a thread, because they are slow on
purpose, and few at a time: guessing must not cost the gateway its processors. A correct answer is remembered for a
short time under a keyed digest, so that a busy client neither pays for the hash on every call nor waits behind those
who guess.
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
from typing import Protocol

import bcrypt
import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import SecretStr

REMEMBERED_S = 60.0
REMEMBERED_ENTRIES = 1000
CONCURRENT_HASHES = 2
WAITING_HASHES = 32
"""More are turned away at once; at about 50 ms for a check, the last one waits for a second."""

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


class Busy(msgspec.Struct, frozen=True):
    """Too many credentials wait to be checked; the caller should try again."""


Identified = Identity | NoCredentials | WrongCredentials | Busy


class Authenticator(Protocol):
    """Tells who calls."""

    async def identify(self, authorization: str) -> Identified:
        """The caller behind the value of the header `Authorization` (empty when there is none)."""
        ...


class BasicAuthenticator:
    """HTTP Basic. User names are compared without case, and shown as they are configured."""

    def __init__(self, users: Iterable[User], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._users = {user.name.lower(): user for user in users}
        self._clock = clock
        self._pepper = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._slots = asyncio.Semaphore(CONCURRENT_HASHES)
        self._waiting = 0
        # An unknown name costs what a known one costs, else answers would tell which names exist.
        self._decoy = _decoy(hashed=any(user.hashed for user in self._users.values()))

    async def identify(self, authorization: str) -> Identified:
        """See Authenticator. The scheme is compared with case, as in the original."""
        if not authorization.startswith(SCHEME):
            return NoCredentials()
        pair = _decoded(authorization[len(SCHEME) :])
        if pair is None:
            return WrongCredentials()
        name, password = pair
        user = self._users.get(name.lower())
        matches = await self._matches(user or self._decoy, password)
        if matches is None:
            return Busy()
        return Identity(user.name, user.roles) if matches and user is not None else WrongCredentials()

    async def _matches(self, user: User, password: str) -> bool | None:
        stored = user.password.get_secret_value()
        if not user.hashed:
            return hmac.compare_digest(self._digest(stored), self._digest(password))
        mark = self._digest(f"{user.name}\0{stored}\0{password}")
        remembered = self._known.get(mark)
        if remembered is not None and self._clock() < remembered:
            return True
        right = await self._hash_matches(stored, password)
        if right:
            self._known[mark] = self._clock() + REMEMBERED_S
            while len(self._known) > REMEMBERED_ENTRIES:
                self._known.popitem(last=False)
        return right

    async def _hash_matches(self, stored: str, password: str) -> bool | None:
        """None when too many wait already."""
        if self._waiting >= WAITING_HASHES:
            return None
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(hash_matches, stored, password)
        finally:
            self._waiting -= 1

    def _digest(self, secret: str) -> bytes:
        return hmac.new(self._pepper, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """An argon2id hash in PHC form."""
    return _hasher.hash(password)


def hash_matches(stored: str, password: str) -> bool:
    """Whether a password belongs to an argon2id or bcrypt hash. Anything else matches nothing."""
    if stored.startswith("$argon2id$"):
        try:
            # The parameters come from the stored hash.
            return _hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
    if stored.startswith(("$2a$", "$2b$", "$2y$")):
        try:
            return bcrypt.checkpw(password.encode()[:72], stored.encode())
        except ValueError:
            return False
    return False


def _decoy(*, hashed: bool) -> User:
    password = secrets.token_hex()
    return User("", SecretStr(hash_password(password) if hashed else password), hashed=hashed, roles=frozenset())


def _decoded(value: str) -> tuple[str, str] | None:
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None
