"""Encryption of what the hub must be able to tell in plain later: subscription tokens and platform secrets.

AES-256-GCM under one key in a private file beside the database. A copy of the database alone tells none of them.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatewright.hub.private_files import write_private
from gatewright.hub.problems import HubStartError

KEY_FILE: Final = "secrets.key"
SEALED: Final = "sealed:"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """A stored value was not sealed with this key, or was changed since."""


class Vault:
    """Seals and unseals texts. `purpose` binds a sealed text to its place, so that rows cannot be exchanged."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._digest_key = hmac.digest(key, b"gatewright hub: digests of secrets", "sha256")

    def __repr__(self) -> str:
        """Nothing of the key."""
        return "Vault()"

    def seal(self, plain: str, purpose: str) -> str:
        """`plain` encrypted."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return SEALED + base64.b64encode(nonce + self._cipher.encrypt(nonce, plain.encode(), purpose.encode())).decode()

    def unseal(self, sealed: str, purpose: str) -> str:
        """What was sealed for that purpose. Raises Unsealable."""
        try:
            raw = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Unsealable(purpose) from error

    def digest(self, plain: str, purpose: str) -> str:
        """A text that changes with `plain` and tells nothing of it without the key."""
        message = f"{purpose}\0{plain}".encode()
        return f"hmac-sha256:{hmac.new(self._digest_key, message, hashlib.sha256).hexdigest()}"


def load_vault(data_dir: Path) -> Vault:
    """The vault of a data directory; its key file is made at the first start. Raises HubStartError."""
    path = data_dir / KEY_FILE
    try:
        if not path.exists():
            write_private(path, secrets.token_bytes(_KEY_BYTES))
        key = path.read_bytes()
        path.chmod(0o600)
    except OSError as error:
        raise HubStartError("HUB_KEY_UNUSABLE", f"The key {path} cannot be used: {error.strerror}.") from error
    if len(key) != _KEY_BYTES:
        raise HubStartError(
            "HUB_KEY_UNUSABLE",
            f"The key {path} has {len(key)} bytes instead of {_KEY_BYTES}. Restore it from a backup.",
        )
    return Vault(key)
