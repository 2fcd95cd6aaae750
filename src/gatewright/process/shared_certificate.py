"""The self-signed certificate of the HTTPS listener, the same at all controllers that share a database.

Routers may connect to any of them, and must not change their certificate with that.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gatewright.observability.logging import get_logger
from gatewright.process.certificate import CERTIFICATE_FILE, KEY_FILE, place, self_signed
from gatewright.store import Store
from gatewright.store.errors import KeyFileError

META_NAME: Final = "listener.self_signed"
_log = get_logger(__name__)


async def share_certificate(store: Store, directory: Path) -> None:
    """Put the one that all agree on into `directory`, where the listener looks for it. Raises StoreUnavailable."""
    certificate, key = self_signed(directory, datetime.now(UTC))
    try:
        kept = await store.agree_on(META_NAME, [certificate, store.seal(key)])
        agreed, agreed_key = str(kept[0]), store.unseal(str(kept[1]))
    except (KeyFileError, LookupError, TypeError) as problem:
        _log.warning(
            "the self-signed certificate cannot be shared: each controller sends its own to its routers",
            why=str(problem),
            advice="Set router.downstream_tls.cert_path and key_path to the same certificate at every controller.",
        )
        return
    if agreed != certificate:
        place(directory / CERTIFICATE_FILE, directory / KEY_FILE, agreed, agreed_key)
