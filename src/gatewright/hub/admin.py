"""The one administrator of a hub: a token made at the first start, stored as a hash, left in a private file."""

import hmac
import secrets
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select

from gatewright.hub.private_files import write_private
from gatewright.hub.store import Store, Unit
from gatewright.hub.tables import meta
from gatewright.observability.redaction import register_secret
from gatewright.wire.identifiers import token_hash

ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105 - the name of a file
_HASH_KEY: Final = "admin_token_hash"
_PREFIX: Final = "hub_"


class Administrator:
    """Knows the hash of the administrator's token. `first_token` is the plain one, only at the very first start."""

    def __init__(self, hashed: str, first_token: str | None) -> None:
        self._hash = hashed
        self.first_token = first_token

    def is_token(self, presented: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(token_hash(presented), self._hash)


async def ensure_administrator(store: Store, data_dir: Path) -> Administrator:
    """Load the administrator, or make one and leave the token in `ADMIN_TOKEN_FILE`."""
    hashed = await store.read(
        lambda connection: connection.execute(select(meta.c.value).where(meta.c.key == _HASH_KEY)).scalar()
    )
    if hashed is not None:
        return Administrator(str(hashed), None)
    plain = _PREFIX + secrets.token_urlsafe(32)
    register_secret(plain)
    # The file first: a crash in between costs this token only, the next start makes another.
    write_private(data_dir / ADMIN_TOKEN_FILE, f"{plain}\n".encode())

    def keep(unit: Unit) -> None:
        unit.connection.execute(insert(meta).values(key=_HASH_KEY, value=token_hash(plain)))

    await store.write(keep)
    return Administrator(token_hash(plain), plain)
