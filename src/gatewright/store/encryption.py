"""Secrets at rest: AES-256-GCM with keys from files, and the envelope that names provider and key version.

    enc:aesgcm:v1:<key version>:<base64 of nonce, ciphertext and tag>

Source: deployment reference, sections 6.1 and 6.2. May touch key files; makes one that is missing when told to.
"""

import base64
import binascii
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatewright.observability.logging import get_logger
from gatewright.store.errors import KeyFileError

PROVIDER = "aesgcm"
KEY_BYTES = 32
_NONCE_BYTES = 12
_PREFIX = ("enc", PROVIDER, "v1")
_log = get_logger(__name__)


class KeyFile(msgspec.Struct, frozen=True):
    """A key version and where its 32 raw bytes are."""

    version: str
    path: Path


class KeyRing:
    """The first key encrypts, every key decrypts what names it."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Pairs of version and key. Raises KeyFileError."""
        if not keys:
            raise KeyFileError("no encryption key is configured", "Set controller.encryption.providers.")
        self._ciphers: dict[str, AESGCM] = {}
        for version, key in keys:
            if not version or ":" in version:
                raise KeyFileError(f"bad key version {version!r}", "Use a name without a colon.")
            if version in self._ciphers:
                raise KeyFileError(f"duplicate key version: {version}", "Give every key its own version.")
            if len(key) != KEY_BYTES:
                raise KeyFileError(
                    f"invalid key size: expected {KEY_BYTES} bytes, got {len(key)} bytes (version {version})",
                    "Make a key with: openssl rand 32 > FILE",
                )
            self._ciphers[version] = AESGCM(key)
        self._primary = keys[0][0]

    def __repr__(self) -> str:
        """Versions only."""
        return f"KeyRing({', '.join(self._ciphers)})"

    def encrypt(self, plain: bytes) -> str:
        """The envelope of `plain`, with the first key and a fresh nonce."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self._primary].encrypt(nonce, plain, None)
        return ":".join((*_PREFIX, self._primary, base64.b64encode(sealed).decode()))

    def decrypt(self, envelope: str) -> bytes:
        """What was encrypted. Raises KeyFileError for an unknown key or a changed envelope."""
        parts = envelope.split(":")
        if len(parts) != 5 or tuple(parts[:3]) != _PREFIX:
            raise KeyFileError("the stored value is not an envelope of aesgcm", "Restore the database from a backup.")
        cipher = self._ciphers.get(parts[3])
        if cipher is None:
            raise KeyFileError(
                f"key not found for version {parts[3]}: key version not found: {parts[3]}",
                "Add that key below the current one in controller.encryption.providers.",
            )
        try:
            sealed = base64.b64decode(parts[4], validate=True)
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except (InvalidTag, binascii.Error, ValueError) as problem:
            raise KeyFileError(
                f"decryption failed (authentication error): {type(problem).__name__}",
                f"The value was changed, or the key file of version {parts[3]} is another one than before.",
            ) from problem

    def current(self, envelope: str) -> bool:
        """Whether `envelope` was made with the first key; otherwise it is due for encryption anew."""
        return envelope.split(":")[3:4] == [self._primary]


def load_key_ring(files: Sequence[KeyFile], *, create_missing: bool) -> KeyRing:
    """Read the keys. With `create_missing` a missing first key is made (mode 0600). Raises KeyFileError."""
    return KeyRing(
        [(file.version, _read_key(file, create=create_missing and index == 0)) for index, file in enumerate(files)]
    )


def _read_key(file: KeyFile, *, create: bool) -> bytes:
    try:
        if create and not file.path.exists():
            _make_key(file.path)
        key = file.path.read_bytes()
        if file.path.stat().st_mode & 0o077:
            _log.warning("an encryption key is readable by others; chmod it to 600", path=str(file.path))
    except OSError as problem:
        raise KeyFileError(
            f"encryption key {file.version} cannot be read from {file.path}: {problem.strerror}",
            "Make it with: openssl rand 32 > FILE, readable for this user only.",
        ) from problem
    return key


def _make_key(path: Path) -> None:
    """All of it or nothing: a half-written key would be taken for a key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path)  # never over a key that somebody else made meanwhile
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
