"""The authorities that HTTPS upstreams are checked against: of the database, of the configured folder, of the system.

Without custom ones Envoy reads the system's bundle itself; with custom ones it gets all of them as one secret, so that
a change replaces one resource and drains no connection. Source: data-plane reference, section 9.
"""

import asyncio
from pathlib import Path

import msgspec

from gatewright.model.gateway import Gateway, UpstreamTls
from gatewright.observability.logging import get_logger
from gatewright.store import Store, certificates

_LARGEST_BUNDLE_BYTES = 8 * 1024 * 1024
_log = get_logger(__name__)


async def with_stored_authorities(store: Store, gateway: Gateway) -> Gateway:
    """The gateway with its complete bundle; `gateway` brings those of the folder. Raises StoreUnavailable."""
    rows = await store.read(lambda connection: certificates.everything(connection, store.gateway_id))
    custom = "".join(_line_ended(row.certificate) for row in rows) + gateway.upstream_tls.custom_ca
    if custom:
        custom += await asyncio.to_thread(system_bundle, gateway.upstream_tls)
    return msgspec.structs.replace(
        gateway, upstream_tls=msgspec.structs.replace(gateway.upstream_tls, custom_ca=custom)
    )


def system_bundle(settings: UpstreamTls) -> str:
    """The system's authorities in PEM; empty when they cannot be read."""
    try:
        with Path(settings.trusted_ca_file).open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST_BUNDLE_BYTES)
    except OSError as problem:
        _log.warning("the system's authorities cannot be read; only custom ones are trusted", error=str(problem))
        return ""


def _line_ended(pem: str) -> str:
    return pem.rstrip() + "\n"
