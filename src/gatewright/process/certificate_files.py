"""Certificates in files may be renewed while the gateway runs: they are read again and sent to the routers."""

import asyncio
from collections.abc import Callable
from typing import Final

from gatewright.model.gateway import Gateway
from gatewright.observability.logging import get_logger
from gatewright.process.gateway import CertificateUnreadable

INTERVAL_S: Final = 5.0
_log = get_logger(__name__)


async def follow_certificates(
    gateway: Gateway,
    read: Callable[[], Gateway],
    replace: Callable[[Gateway], None],
    *,
    interval_s: float = INTERVAL_S,
) -> None:
    """Until cancelled: call `replace` when `read` gives something else than before.

    What cannot be used is told once, and what was used last stays.
    """
    told = ""
    while True:
        await asyncio.sleep(interval_s)
        try:
            fresh = await asyncio.to_thread(read)
        except (CertificateUnreadable, OSError) as problem:
            if str(problem) != told:
                told = str(problem)
                _log.warning("renewed certificates cannot be used; the old ones stay", problem=told)
            continue
        told = ""
        if fresh != gateway:
            gateway = fresh
            _log.info("certificates have been renewed")
            replace(gateway)
