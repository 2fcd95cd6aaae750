"""Runs a hub in the foreground until SIGINT or SIGTERM."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop

from gatewright.cli import hub_connection, output
from gatewright.cli.exits import Exit, Failure
from gatewright.hub.apim.config import DEFAULT_USERS, ApiManagerConfig, read_connects, read_users
from gatewright.hub.apim.server import ApiManager
from gatewright.hub.config import HubConfig
from gatewright.hub.problems import HubStartError
from gatewright.hub.server import Hub
from gatewright.observability.logging import configure_logging

Server = TypeVar("Server", Hub, ApiManager)


def run(config: HubConfig) -> int:
    """Start, serve, stop; the exit code. Raises Failure when the hub cannot start."""
    return _in_foreground(lambda: Hub(config), _greet)


def run_api_manager(config: ApiManagerConfig, users: Path | None, connects: Path | None) -> int:
    """The same for a stand-in API Manager, with the users and the gateways of files if they are named."""

    def make() -> ApiManager:
        told: dict[str, Any] = {}
        if users is not None:
            told["users"] = read_users(users)
        if connects is not None:
            told["connects"] = read_connects(connects)
        return ApiManager(msgspec.structs.replace(config, **told))

    return _in_foreground(make, _greet_api_manager)


def _in_foreground(make: Callable[[], Server], greet: Callable[[Server], None]) -> int:
    configure_logging("hub")
    try:
        return uvloop.run(_serve(make(), greet))
    except HubStartError as error:
        raise Failure(str(error), where=error.code) from error


async def _serve(hub: Server, greet: Callable[[Server], None]) -> int:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await hub.start()
    try:
        hub_connection.write_context(hub.config.data_dir, hub.config.host, hub.port)
        greet(hub)
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


def _greet_api_manager(manager: ApiManager) -> None:
    config = manager.config
    for text in output.facts(
        (
            ("API Manager", f"https://{config.host}:{manager.port} (a stand-in)"),
            ("Authority", manager.ca_file),
            ("Users", ", ".join(user.name for user in config.users)),
            ("Admin token", f"in {manager.admin_token_file} (switches and records)"),
        )
    ):
        output.note(text)
    if config.users == DEFAULT_USERS and config.host not in {"127.0.0.1", "::1", "localhost"}:
        output.note("Whoever reaches it can sign in as admin with the password admin; --users FILE names others.")
