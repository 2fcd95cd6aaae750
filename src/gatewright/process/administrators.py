"""Users of the management API: those of the configuration, else one that is made at the first start.

The management API never runs open: where the configuration names no user, an administrator with a random password is
made, printed once, and only its hash is kept.
"""

import secrets
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from gatewright.management.identity import User, hash_password
from gatewright.observability.redaction import register_secret
from gatewright.store import Store

ADMINISTRATOR = "admin"
META_NAME = "management.administrator"
PASSWORD_BYTES = 18


async def generated_administrator(store: Store, announce: Callable[[str, str], None]) -> User:
    """The administrator of this store; `announce(name, password)` is called only when it is made now."""
    kept: Any = await store.get_meta(META_NAME)
    if not isinstance(kept, dict) or not isinstance(kept.get("hash"), str):
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        register_secret(password)
        made = {"name": ADMINISTRATOR, "hash": hash_password(password)}
        # Another controller on the same database may start at the same moment.
        kept = await store.agree_on(META_NAME, made)
        if kept == made:
            announce(ADMINISTRATOR, password)
    return User(name=str(kept["name"]), password=SecretStr(kept["hash"]), hashed=True, roles=frozenset({ADMINISTRATOR}))
