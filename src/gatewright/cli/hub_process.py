"""Runs a hub in the foreground until SIGINT or SIGTERM."""

import asyncio
import signal

import uvloop

from gatewright.cli import hub_connection, output
from gatewright.cli.exits import Exit, Failure
from gatewright.hub.config import HubConfig
from gatewright.hub.problems import HubStartError
from gatewright.hub.server import Hub
from gatewright.observability.logging import configure_logging


def run(config: HubConfig) -> int:
    """Start, serve, stop; the exit code. Raises Failure when the hub cannot start."""
    configure_logging("hub")
    try:
        return uvloop.run(_run(config))
    except HubStartError as error:
        raise Failure(str(error), where=error.code) from error


async def _run(config: HubConfig) -> int:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    hub = Hub(config)
    await hub.start()
    try:
        hub_connection.write_context(config.data_dir, config.host, hub.port)
        _greet(hub)
        stopping, failing = asyncio.create_task(ended.wait()), asyncio.create_task(hub.wait())
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        failed = failing.done() and not stopping.done()
        for task in (stopping, failing):
            task.cancel()
    finally:
        await hub.stop()
    if failed:
        raise Failure("the hub's server has ended by itself", remedy="its log has the details")
    return Exit.OK


def _greet(hub: Hub) -> None:
    config = hub.config
    for text in output.facts(
        (
            ("Hub", f"https://{config.host}:{hub.port}"),
            ("Authority", hub.ca_file),
            ("Admin token", f"in {hub.admin_token_file}"),
            ("Next", "gatewright hub register edge --token-out edge.token"),
        )
    ):
        output.note(text)
