"""Switches traces of changes on, as the table `tracing` says."""

import asyncio
from collections.abc import Awaitable, Callable

from gatewright.observability import tracing
from gatewright.observability.logging import get_logger
from gatewright.settings.tree import Settings

_log = get_logger(__name__)


def start_tracing(settings: Settings) -> Callable[[], Awaitable[None]]:
    """Begin; returns what ends it. The library is loaded here and nowhere else: whoever does not trace does not pay."""
    from gatewright.observability.otlp import OtlpConfig, OtlpRecorder  # noqa: PLC0415 - see above

    wanted = settings.tracing
    recorder = OtlpRecorder(
        OtlpConfig(
            endpoint=wanted.endpoint,
            insecure=wanted.insecure,
            service_version=wanted.service_version,
            batch_timeout=wanted.batch_timeout.total_seconds(),
            max_batch=wanted.max_export_batch_size,
            resource_attributes={
                "service.instance.id": settings.controller.server.gateway_id,
                **wanted.resource_attributes,
            },
        )
    )
    tracing.install(recorder)
    _log.info("changes are traced", collector=wanted.endpoint)

    async def stop() -> None:
        tracing.install(None)
        await asyncio.to_thread(recorder.close)

    return stop
